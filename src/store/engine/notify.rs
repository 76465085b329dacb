//! Wakeups for the workers: one counter for each topic, advanced by a commit that makes something due.
//!
//! A worker subscribes before it looks for work, so it cannot miss a change: waiting returns at once if the counter
//! advanced since. Another process (the command line) sends a datagram to a socket beside the database after its
//! commits, and the daemon listens there. A database server notifies its sessions itself. In case a notification is
//! lost, all workers also poll every 30 seconds, or every second if the server cannot notify.

use std::io;
use std::os::unix::net::UnixDatagram as NotifySocket;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::net::UnixDatagram;
use tokio::sync::watch;

use crate::store::engine::driver::{Driver, Listener};
use crate::store::{Result, Store, StoreError};

/// A kind of change that a worker waits for. Topics are separate because each needless wakeup costs a database
/// query, for every message that arrives.
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

/// The topics in which a transaction made something due: one bit for each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wakeups(u8);

impl Wakeups {
    const ALL: Self = Self(u8::MAX);

    pub(crate) fn add(&mut self, topic: Topic) {
        self.add_if(topic, true);
    }

    pub(crate) fn add_if(&mut self, topic: Topic, is_due: bool) {
        self.0 |= u8::from(is_due) << topic as u8;
    }

    pub(crate) fn any(self) -> bool {
        self.0 != 0
    }

    /// The bits, as sent to other processes.
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits)
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

/// Sender side of [`Changes`]. The default wakes only the workers of this process.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    /// One counter for each topic.
    counters: [watch::Sender<u64>; 5],
    /// None where the engine announces changes itself.
    socket: Option<PathBuf>,
    /// True where this process listens on the socket itself and need not send to it.
    listening: AtomicBool,
    socket_out: OnceLock<Option<NotifySocket>>,
}

impl Notifier {
    pub(crate) fn beside(database: &Path) -> Self {
        Self {
            socket: Some(database.with_file_name("notify.sock")),
            ..Self::default()
        }
    }

    pub(crate) fn subscribe(&self, topic: Topic) -> Changes {
        Changes {
            counter: self.counters[topic as usize].subscribe(),
        }
    }

    /// Announces that something may be due: to the workers of this process, and to the daemon where that is
    /// another process.
    pub(crate) fn announce(&self, wakeups: Wakeups) {
        self.wake(wakeups);
        if let Some(socket) = &self.socket
            && wakeups.any()
            && !self.listening.load(Ordering::Relaxed)
        {
            // Without a daemon there is no socket and no listener.
            let socket_out = self.socket_out.get_or_init(|| {
                let socket_out = NotifySocket::unbound().ok()?;
                socket_out.set_nonblocking(true).ok()?;
                Some(socket_out)
            });
            if let Some(socket_out) = socket_out {
                let _ = socket_out.send_to(b"!", socket);
            }
        }
    }

    fn wake(&self, wakeups: Wakeups) {
        for (place, counter) in self.counters.iter().enumerate() {
            if wakeups.0 & (1 << place) != 0 {
                counter.send_modify(|count| *count += 1);
            }
        }
    }
}

impl Store {
    /// Subscribes to a topic. Subscribe first, then look for work, then wait, so that no change is lost in between.
    #[must_use]
    pub fn subscribe(&self, topic: Topic) -> Changes {
        self.notifier.subscribe(topic)
    }

    /// Listens for changes by other processes until the returned future is dropped. The daemon spawns it.
    ///
    /// # Errors
    /// The socket cannot be created.
    pub fn listen_for_others(&self) -> Result<Pin<Box<dyn Future<Output = ()> + Send + 'static>>> {
        let notifier = self.notifier.clone();
        let Some(path) = notifier.socket.clone() else {
            return Ok(Box::pin(listen(self.driver.clone(), notifier)));
        };
        let failed = |error: io::Error| StoreError::open(path.display(), error);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let socket = UnixDatagram::bind(&path).map_err(failed)?;
        notifier.listening.store(true, Ordering::Relaxed);
        Ok(Box::pin(async move {
            let mut one = [0; 1];
            // The first wakeup covers changes made before the socket existed.
            notifier.wake(Wakeups::ALL);
            while socket.recv(&mut one).await.is_ok() {
                notifier.wake(Wakeups::ALL);
            }
        }))
    }
}

/// Polling interval while the engine announces no commits.
const POLL: Duration = Duration::from_secs(1);

/// Polling interval while the engine announces commits.
const LOOK: Duration = Duration::from_secs(30);

/// Wakes the workers when the engine announces a commit of another process, and at an interval.
async fn listen(driver: Arc<dyn Driver>, notifier: Arc<Notifier>) {
    let mut listener: Option<Box<dyn Listener>> = None;
    let mut all_woken = Instant::now();
    loop {
        let (driver, held) = (driver.clone(), listener.take());
        let heard = tokio::task::spawn_blocking(move || match held {
            Some(mut listener) => {
                let wakeups = listener.wait()?;
                Ok::<_, StoreError>((Some(listener), wakeups))
            }
            // Waking all workers covers commits from before the listener was opened.
            None => Ok((driver.listen()?, Wakeups::ALL)),
        });
        let mut is_listening = false;
        let mut wakeups = Wakeups::ALL;
        if let Ok(Ok((open, heard))) = heard.await {
            (listener, wakeups) = (open, heard);
            is_listening = listener.is_some();
        }
        // In case an announcement was lost.
        if all_woken.elapsed() > LOOK {
            wakeups = Wakeups::ALL;
            all_woken = Instant::now();
        }
        notifier.wake(wakeups);
        if !is_listening {
            tokio::time::sleep(POLL).await;
        }
    }
}
