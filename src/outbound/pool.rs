//! Idle connections to one server, kept for the next message.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Idle connections. The most recently used one is reused first.
pub struct Pool<C> {
    idle: Mutex<Vec<(C, Instant)>>,
    /// Maximum connections.
    size: usize,
    /// Time after which an idle connection is dropped.
    keep: Duration,
}

impl<C> Pool<C> {
    pub fn new(size: usize, keep: Duration) -> Self {
        Self {
            idle: Mutex::default(),
            size,
            keep,
        }
    }

    /// A connection, and the time for which it was idle.
    pub fn take(&self) -> Option<(C, Duration)> {
        let mut idle = self.idle();
        idle.retain(|(_, since)| since.elapsed() < self.keep);
        idle.pop()
            .map(|(connection, since)| (connection, since.elapsed()))
    }

    pub fn put(&self, connection: C) {
        let mut idle = self.idle();
        if idle.len() < self.size {
            idle.push((connection, Instant::now()));
        }
    }

    /// Takes all connections, to close them.
    pub fn drain(&self) -> Vec<C> {
        let idle = std::mem::take(&mut *self.idle());
        idle.into_iter().map(|(connection, _)| connection).collect()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(C, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
