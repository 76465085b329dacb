//! In: a message. Out: a synced file in a Maildir, under a name derived from the request's id.
//!
//! The message is written and synced under `tmp` and then renamed into `new`, so a reader never sees a partial
//! file. The name is the same for every attempt, so delivery is idempotent: a retry after a crash finds the file of
//! the earlier attempt in `new` or, if it was read meanwhile, in `cur`.
//!
//! A group of messages is written by one thread. The storage can block this thread beyond the end of its attempt.
//! It then publishes nothing more, and no other thread writes to that Maildir until it has ended.

mod hung;
mod message_file;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::message_file::{Fault, MessageFile, Unwritten, at, create, sync_all, sync_folder};
use crate::config::MaildirDestination;
use crate::delivery::OutgoingMessage;
use crate::domain::Domain;
use crate::outbound::{AttemptOutcome, Cause};
use crate::panics::catch_panic;

/// Maximum number of concurrent groups: one is written while the other is recorded.
pub(in crate::delivery) const CONCURRENCY: usize = 2;

/// A Maildir that takes messages.
#[derive(Debug, Clone)]
pub(in crate::delivery) struct Maildir {
    path: PathBuf,
    modes: Modes,
    hostname: Domain,
}

/// Permissions of messages and folders.
#[derive(Debug, Clone, Copy)]
struct Modes {
    message: u32,
    folder: u32,
}

impl Modes {
    const OWNER: Self = Self {
        message: 0o600,
        folder: 0o700,
    };
    /// Modes with access for the group. New files and folders inherit the group of their folder.
    const GROUP: Self = Self {
        message: 0o660,
        folder: 0o2770,
    };
}

impl Maildir {
    pub(in crate::delivery) fn new(config: &MaildirDestination, hostname: &Domain) -> Self {
        Self {
            path: config.path.clone(),
            modes: if config.group {
                Modes::GROUP
            } else {
                Modes::OWNER
            },
            hostname: hostname.clone(),
        }
    }

    /// Delivers a group of messages: writes all, then syncs them, then renames them in order. Returns `None` for
    /// each message that was not attempted, because the storage failed earlier or `stop` was cancelled. A fault of
    /// one message also stops the later messages of its account and portal, but no others.
    pub(in crate::delivery) async fn attempt(
        &self,
        messages: Vec<Arc<OutgoingMessage>>,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> Vec<Option<AttemptOutcome>> {
        let count = messages.len();
        if hung::is_at(&self.path) {
            let cause = Cause::of_destination("an earlier attempt still hangs in the storage");
            return fail(0, &AttemptOutcome::Retry(cause), count);
        }
        let group = Arc::new(Group {
            stop: stop.child_token(),
            begun: AtomicUsize::new(0),
        });
        let (maildir, here, of_thread) = (self.clone(), Handle::current(), Arc::clone(&group));
        let thread =
            tokio::task::spawn_blocking(move || maildir.deliver(&messages, &of_thread, &here));
        // Stops the thread if it is still running when this future completes or is dropped.
        let _thread = hung::Thread {
            path: self.path.clone(),
            handle: thread.abort_handle(),
            stop: group.stop.clone(),
        };
        let failure = match timeout_at(deadline, thread).await {
            Ok(Ok(attempts)) => return attempts,
            Ok(Err(panic)) => AttemptOutcome::of_panic(&panic.to_string()),
            Err(_) => AttemptOutcome::Retry(Cause::of_destination("the storage took too long")),
        };
        // Cancel before reading `begun`, so that no later message becomes visible.
        group.stop.cancel();
        fail(group.begun.load(Ordering::SeqCst), &failure, count)
    }

    fn deliver(
        &self,
        messages: &[Arc<OutgoingMessage>],
        group: &Group,
        here: &Handle,
    ) -> Vec<Option<AttemptOutcome>> {
        let mut attempts = vec![None; messages.len()];
        let files = self.write_all(messages, group, here, &mut attempts);
        let mut published = Vec::with_capacity(files.len());
        for ((place, file), synced) in files.iter().zip(sync_all(&files, here)) {
            group.begun.store(place + 1, Ordering::SeqCst);
            if group.stop.is_cancelled() {
                break;
            }
            if let Err(fault) = synced.and_then(|()| self.finish(file)) {
                attempts[*place] = Some(fault.into());
                break;
            }
            published.push(*place);
        }
        for (_, file) in &files[published.len()..] {
            file.remove();
        }
        let outcome = if published.is_empty() {
            AttemptOutcome::Delivered
        } else {
            // The messages are visible even if this sync fails, so a retry must look for them.
            let synced = sync_folder(&self.path.join("new"));
            synced.map_or_else(AttemptOutcome::from, |()| AttemptOutcome::Delivered)
        };
        for place in published {
            attempts[place] = Some(outcome.clone());
        }
        attempts
    }

    /// Writes messages under `tmp`, each with its index. Failures go to `attempts`.
    fn write_all(
        &self,
        messages: &[Arc<OutgoingMessage>],
        group: &Group,
        here: &Handle,
        attempts: &mut [Option<AttemptOutcome>],
    ) -> Vec<(usize, MessageFile)> {
        let mut files = Vec::with_capacity(messages.len());
        let before = match self.find_stored(messages) {
            Ok(before) => before,
            Err(fault) => {
                let first = messages.iter().position(|outgoing| is_repeat(outgoing));
                attempts[first.unwrap_or_default()] = Some(fault.into());
                return files;
            }
        };
        let mut stopped = BTreeSet::new();
        for (place, outgoing) in messages.iter().enumerate() {
            let queue = (outgoing.claim().account, &outgoing.claim().portal);
            if stopped.contains(&queue) {
                continue;
            }
            let written = here.block_on(catch_panic(self.write(outgoing, group, &before)));
            let attempt = match written {
                Ok(Ok(file)) => {
                    files.push((place, file));
                    continue;
                }
                Ok(Err(Unwritten::Stopped)) => break,
                Ok(Err(Unwritten::Failed(attempt))) => attempt,
                Err(panic) => AttemptOutcome::of_panic(&panic),
            };
            let is_of_all = attempt.destination_failure().is_some();
            attempts[place] = Some(attempt);
            if is_of_all {
                break;
            }
            stopped.insert(queue);
        }
        files
    }

    /// Writes a message under `tmp`, unless it was stored `before`.
    async fn write(
        &self,
        outgoing: &OutgoingMessage,
        group: &Group,
        before: &BTreeSet<String>,
    ) -> Result<MessageFile, Unwritten> {
        if group.stop.is_cancelled() {
            return Err(Unwritten::Stopped);
        }
        let name = self.name(outgoing);
        if before.contains(&name) {
            return Ok(MessageFile::AlreadyStored);
        }
        let attempt = outgoing.claim().attempt;
        // Each attempt has its own file name: an earlier attempt that the storage still blocks may resume writing.
        // Once its file is removed it can publish nothing.
        let of_attempt = |attempt| self.path.join("tmp").join(format!("{name}.{attempt}"));
        let (part, whole) = (of_attempt(attempt), self.path.join("new").join(&name));
        if attempt > 1 {
            let _ = fs::remove_file(of_attempt(attempt - 1));
        }
        let mut created = create(&part, self.modes.message);
        if matches!(&created, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            self.make()?;
            created = create(&part, self.modes.message);
        }
        let file = Arc::new(created.map_err(at(&part))?);
        let message_file = MessageFile::Staged { file, part, whole };
        message_file
            .fill(outgoing, &group.stop)
            .await
            .inspect_err(|_| {
                // A partial file would take space that others need.
                message_file.remove();
            })?;
        Ok(message_file)
    }

    /// Makes a message visible to readers.
    fn finish(&self, message_file: &MessageFile) -> Result<(), Fault> {
        let MessageFile::Staged { part, whole, .. } = message_file else {
            return Ok(());
        };
        let mut renamed = fs::rename(part, whole);
        if matches!(&renamed, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            self.make()?;
            renamed = fs::rename(part, whole);
        }
        renamed.map_err(at(whole))
    }

    /// The three parts of a Maildir name: seconds, a unique part, the host.
    fn name(&self, outgoing: &OutgoingMessage) -> String {
        let claim = outgoing.claim();
        format!(
            "{}.{}.{}",
            claim.received_at.as_second(),
            claim.request(),
            self.hostname
        )
    }

    /// Names of the messages that an earlier attempt stored. Reads `cur` once for all of them.
    fn find_stored(&self, messages: &[Arc<OutgoingMessage>]) -> Result<BTreeSet<String>, Fault> {
        let repeats = messages.iter().filter(|outgoing| is_repeat(outgoing));
        let names = repeats.map(|outgoing| self.name(outgoing));
        // First `new`: readers move messages from there to `cur`.
        let new = self.path.join("new");
        let (stored, others): (Vec<_>, Vec<_>) = names.partition(|name| new.join(name).exists());
        let mut stored = BTreeSet::from_iter(stored);
        if others.is_empty() {
            return Ok(stored);
        }
        let cur = self.path.join("cur");
        let entries = match fs::read_dir(&cur) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(stored),
            entries => entries.map_err(at(&cur))?,
        };
        for entry in entries {
            let file = entry.map_err(at(&cur))?.file_name();
            // A reader adds `:2,` and flags to the name.
            let is_of = |name: &&String| file.as_encoded_bytes().starts_with(name.as_bytes());
            stored.extend(others.iter().find(is_of).cloned());
        }
        Ok(stored)
    }

    /// Creates the missing folders of the Maildir. Existing folders keep their modes.
    fn make(&self) -> Result<(), Fault> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for name in ["", "tmp", "new", "cur"] {
            let folder = self.path.join(name);
            if folder.is_dir() {
                continue;
            }
            // The mode is set explicitly: the umask would clear bits that `group` requires.
            builder
                .create(&folder)
                .and_then(|()| {
                    fs::set_permissions(&folder, Permissions::from_mode(self.modes.folder))
                })
                .map_err(at(&folder))?;
        }
        sync_folder(&self.path)?;
        self.path.parent().map_or(Ok(()), sync_folder)
    }
}

/// State that the thread of a group shares with its attempt.
struct Group {
    /// Cancelled when the thread must publish nothing more.
    stop: CancellationToken,
    /// Number of messages, from the first on, that may be visible. It is set before `stop` is checked, so a task
    /// that cancels `stop` and then reads this number knows every message that may become visible.
    begun: AtomicUsize,
}

/// Outcomes of a group that failed: the `failure` for the first `begun` messages, at least one, which may have been
/// published, and `None` for the others.
fn fail(begun: usize, failure: &AttemptOutcome, count: usize) -> Vec<Option<AttemptOutcome>> {
    let mut attempts = vec![Some(failure.clone()); begun.clamp(1, count.max(1))];
    attempts.resize(count, None);
    attempts
}

/// True if an earlier attempt may have stored the message.
fn is_repeat(outgoing: &OutgoingMessage) -> bool {
    outgoing.claim().attempt > 1
}
