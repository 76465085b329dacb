//! A well-behaved MTA at work during an attack: each of its messages is accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::client::send;
use crate::support::harness::Harness;

pub struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Bystander {
    /// Starts, and continues until it [leaves](Self::leave).
    pub fn of(harness: &Harness) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, smtp) = (Arc::clone(&stop), harness.smtp);
        let thread = std::thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                send(smtp, "bob@partner.example", &format!("bystander{sent}"));
                sent += 1;
                // The bystander must not be an attack itself.
                std::thread::sleep(Duration::from_millis(20));
            }
            sent
        });
        Self { stop, thread }
    }

    /// Stops, and returns the number of its messages.
    ///
    /// # Panics
    /// If one of them was not accepted, or none was sent at all.
    pub fn leave(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.thread.join().expect("each was accepted");
        assert!(sent > 0, "nothing was tried");
        sent
    }
}
