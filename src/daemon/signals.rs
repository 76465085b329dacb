//! Signals of the operating system.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A received signal.
pub enum Signal {
    Stop(&'static str),
    Reload,
}

/// The installed handlers. While this exists, none of these signals ends the process by itself.
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hang_up: Stream,
}

impl Signals {
    /// # Errors
    /// The handlers cannot be installed.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }

    /// Returns at the next signal that ends the process.
    pub async fn wait_for_stop(&mut self) {
        while matches!(self.next().await, Signal::Reload) {}
    }
}
