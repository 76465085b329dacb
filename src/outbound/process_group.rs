//! The process group of a program that we started. Dropping it kills every process in it, unless
//! [`disarm`](ProcessGroup::disarm) was called.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

pub struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// The group that this child leads.
    #[must_use]
    pub fn of(leader: &Child) -> Self {
        Self(
            leader
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(Pid::from_raw),
        )
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // An error means that the processes have ended already.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Leaves the remaining processes running: the program ended by itself, so it left them on purpose.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
