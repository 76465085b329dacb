//! An MTA that behaves, at work while others do not: each of its messages is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::client::send;
use crate::harness::Harness;

pub struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Bystander {
    /// Begins, and goes on until it [leaves](Self::leave).
    pub fn of(harness: &Harness) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, smtp) = (Arc::clone(&stop), harness.smtp);
        let thread = std::thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                send(smtp, "bob@partner.example", &format!("bystander{sent}"));
                sent += 1;
                // It is not an attack of its own.
                std::thread::sleep(Duration::from_millis(20));
            }
            sent
        });
        Self { stop, thread }
    }

    /// How many messages it sent.
    ///
    /// # Panics
    /// When one of them was not taken, or none was sent at all.
    pub fn leave(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.thread.join().expect("each was taken");
        assert!(sent > 0, "nothing was tried");
        sent
    }
}
