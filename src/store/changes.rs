//! Waking the workers: a counter for each topic that a commit moves on when it makes something due.
//!
//! A worker that subscribed before it looked for work cannot miss a change: waiting returns at once
//! when the counter moved since. Another process (the command line) rings a datagram socket beside
//! the database after its commits, and the daemon listens there; nobody polls.

use std::io;
use std::os::unix::net::UnixDatagram as Ringer;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UnixDatagram;
use tokio::sync::watch;

use super::{Store, StoreError};

/// What a worker waits for. One that is woken for nothing reads the database for nothing, with every
/// message that comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// A letter is owed.
    VerificationMail,
    /// A released request may be handed over, or a destination is paused.
    Requests,
    /// An operator did something, or a destination goes on.
    OperatorActions,
    /// A hook is to be told something.
    Calls,
    /// A sender is to be told that their mail is not taken.
    Notices,
}

/// What a transaction made due.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wakeups([bool; 5]);

impl Wakeups {
    pub(super) fn add(&mut self, topic: Topic) {
        self.0[topic as usize] = true;
    }

    pub(super) fn add_if(&mut self, topic: Topic, is_due: bool) {
        self.0[topic as usize] |= is_due;
    }

    fn all() -> Self {
        Self([true; 5])
    }
}

/// One worker's view of the changes.
#[derive(Debug, Clone)]
pub struct Changes {
    counter: watch::Receiver<u64>,
}

impl Changes {
    /// Resolves when something of the topic may have become due since the last time that it
    /// resolved, or since the subscription, by this process or by another one. May resolve without a
    /// cause. Never resolves once the store is gone.
    pub async fn wait(&mut self) {
        if self.counter.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The other side of [`Changes`].
#[derive(Debug)]
pub(super) struct Notifier {
    /// By topic.
    counters: [watch::Sender<u64>; 5],
    socket: PathBuf,
    /// This process listens on the socket itself, and need not ring there.
    listening: AtomicBool,
    ringer: OnceLock<Option<Ringer>>,
}

impl Notifier {
    pub(super) fn beside(database: &Path) -> Self {
        Self {
            counters: std::array::from_fn(|_| watch::Sender::new(0)),
            socket: database.with_file_name("notify.sock"),
            listening: AtomicBool::new(false),
            ringer: OnceLock::new(),
        }
    }

    pub(super) fn subscribe(&self, topic: Topic) -> Changes {
        Changes {
            counter: self.counters[topic as usize].subscribe(),
        }
    }

    /// Something may be due: tells the workers here, and the daemon where this is another process.
    pub(super) fn ring(&self, wakeups: Wakeups) {
        self.wake(wakeups);
        if wakeups.0.contains(&true) && !self.listening.load(Ordering::Relaxed) {
            // Without a daemon there is no socket, and nobody to tell.
            let ringer = self.ringer.get_or_init(|| {
                let ringer = Ringer::unbound().ok()?;
                ringer.set_nonblocking(true).ok()?;
                Some(ringer)
            });
            if let Some(ringer) = ringer {
                let _ = ringer.send_to(b"!", &self.socket);
            }
        }
    }

    fn wake(&self, wakeups: Wakeups) {
        for (counter, wakeups) in self.counters.iter().zip(wakeups.0) {
            if wakeups {
                counter.send_modify(|count| *count += 1);
            }
        }
    }
}

impl Store {
    /// Subscribe first, then look for work, then wait: no change can be lost in between.
    #[must_use]
    pub fn subscribe(&self, topic: Topic) -> Changes {
        self.notifier.subscribe(topic)
    }

    /// Listens for other processes that changed the database, until the returned future is dropped.
    /// For the daemon: spawn it.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn listen_for_others(
        &self,
    ) -> Result<impl Future<Output = ()> + Send + 'static, StoreError> {
        let notifier = self.notifier.clone();
        let failed = |error: io::Error| StoreError::Open {
            path: notifier.socket.display().to_string(),
            cause: error.to_string(),
        };
        match std::fs::remove_file(&notifier.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let socket = UnixDatagram::bind(&notifier.socket).map_err(failed)?;
        notifier.listening.store(true, Ordering::Relaxed);
        Ok(async move {
            let mut one = [0; 1];
            // What came before the socket was there is found by looking once.
            notifier.wake(Wakeups::all());
            while socket.recv(&mut one).await.is_ok() {
                notifier.wake(Wakeups::all());
            }
        })
    }
}
