//! Wakeups for the workers: one counter for each topic, advanced by a commit that makes something due.
//!
//! A worker subscribes before it looks for work, so it cannot miss a change: waiting returns at once if the
//! counter advanced since. Another process (the command line) sends a datagram to a socket beside the
//! database after its commits, and the daemon listens there. Nothing polls.

use std::io;
use std::os::unix::net::UnixDatagram as Ringer;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UnixDatagram;
use tokio::sync::watch;

use crate::store::{Store, StoreError};

/// A kind of change that a worker waits for. Topics are separate because each needless wakeup costs a query
/// of the database, with every message that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// A verification mail is owed.
    VerificationMail,
    /// A released request may be delivered, or a destination is paused.
    Requests,
    /// An operator did something, or a destination resumes.
    OperatorActions,
    /// A hook call is owed.
    Calls,
    /// A notice is owed to a sender whose mail is not accepted.
    Notices,
}

/// The topics in which a transaction made something due.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wakeups([bool; 5]);

impl Wakeups {
    pub(crate) fn add(&mut self, topic: Topic) {
        self.0[topic as usize] = true;
    }

    pub(crate) fn add_if(&mut self, topic: Topic, is_due: bool) {
        self.0[topic as usize] |= is_due;
    }

    fn all() -> Self {
        Self([true; 5])
    }
}

/// One worker's subscription.
#[derive(Debug, Clone)]
pub struct Changes {
    counter: watch::Receiver<u64>,
}

impl Changes {
    /// True if [`wait`](Self::wait) would resolve at once.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.counter.has_changed().unwrap_or(false)
    }

    /// Resolves when something of the topic may have become due, through this or another process, since it
    /// last resolved or since the subscription. May resolve spuriously. Never resolves after the store is
    /// dropped.
    pub async fn wait(&mut self) {
        if self.counter.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Sender side of [`Changes`].
#[derive(Debug)]
pub(crate) struct Notifier {
    /// One counter for each topic.
    counters: [watch::Sender<u64>; 5],
    socket: PathBuf,
    /// True where this process listens on the socket itself and need not send to it.
    listening: AtomicBool,
    ringer: OnceLock<Option<Ringer>>,
}

impl Notifier {
    pub(crate) fn beside(database: &Path) -> Self {
        Self {
            counters: std::array::from_fn(|_| watch::Sender::new(0)),
            socket: database.with_file_name("notify.sock"),
            listening: AtomicBool::new(false),
            ringer: OnceLock::new(),
        }
    }

    pub(crate) fn subscribe(&self, topic: Topic) -> Changes {
        Changes {
            counter: self.counters[topic as usize].subscribe(),
        }
    }

    /// Announces that something may be due: to the workers of this process, and to the daemon where that is
    /// another process.
    pub(crate) fn ring(&self, wakeups: Wakeups) {
        self.wake(wakeups);
        if wakeups.0.contains(&true) && !self.listening.load(Ordering::Relaxed) {
            // Without a daemon there is no socket and no listener.
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
    /// Subscribes to a topic. Subscribe first, then look for work, then wait: so no change is lost in
    /// between.
    #[must_use]
    pub fn subscribe(&self, topic: Topic) -> Changes {
        self.notifier.subscribe(topic)
    }

    /// Listens for changes by other processes until the returned future is dropped. The daemon spawns it.
    ///
    /// # Errors
    /// The socket cannot be created.
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
            // One look finds changes made before the socket existed.
            notifier.wake(Wakeups::all());
            while socket.recv(&mut one).await.is_ok() {
                notifier.wake(Wakeups::all());
            }
        })
    }
}
