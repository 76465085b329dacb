//! In: a message. Out: a synced file in a Maildir, under a name derived from the request's id.
//!
//! The message is written and synced under `tmp` and then renamed into `new`, so a reader never sees a part
//! of it. The name is the same for every attempt: a repeat after a crash finds the file of the earlier
//! attempt in `new` or, if it was read meanwhile, in `cur`.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::config::MaildirDestination;
use crate::delivery::OutgoingMessage;
use crate::delivery::message::ReadPosition;
use crate::domain::Domain;
use crate::outbound::{Attempt, Cause};

/// Groups of messages that are written at the same time: one is written while the other is recorded.
pub(in crate::delivery) const CONCURRENCY: usize = 2;

/// Files that are synced at the same time: enough for the file system to combine them.
const SYNCS: usize = 8;

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
    /// New files and folders inherit the group of their folder.
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

    /// Delivers a group of messages: all are written, then synced, then renamed in order. One for each; `None`
    /// from the first on that failed.
    pub(in crate::delivery) async fn attempt(
        &self,
        messages: Vec<Arc<OutgoingMessage>>,
    ) -> Vec<Option<Attempt>> {
        let maildir = self.clone();
        let here = Handle::current();
        let count = messages.len();
        let delivering = tokio::task::spawn_blocking(move || maildir.deliver(&messages, &here));
        delivering.await.unwrap_or_else(|panic| {
            // Some may be visible already, so this counts as an attempt of each.
            let unknown = Attempt::Unknown(Cause::of_request(&panic.to_string()));
            vec![Some(unknown); count]
        })
    }

    fn deliver(&self, messages: &[Arc<OutgoingMessage>], here: &Handle) -> Vec<Option<Attempt>> {
        let mut files = Vec::with_capacity(messages.len());
        let mut failure = None;
        for outgoing in messages {
            match self.write(outgoing, here) {
                Ok(file) => files.push(file),
                Err(attempt) => {
                    failure = Some(attempt);
                    break;
                }
            }
        }
        let mut delivered = 0;
        for (file, synced) in files.iter().zip(sync_all(&files, here)) {
            if let Err(fault) = synced.and_then(|()| self.finish(file)) {
                failure = Some(fault.into());
                break;
            }
            delivered += 1;
        }
        for file in &files[delivered..] {
            file.remove();
        }
        let mut attempts = vec![Some(Attempt::Delivered); delivered];
        if delivered > 0
            && let Err(fault) = sync_folder(&self.path.join("new"))
        {
            // They are visible already: the repeats have to look for them.
            attempts = vec![Some(fault.into()); delivered];
            failure = None;
        }
        attempts.extend(failure.map(Some));
        attempts.resize(messages.len(), None);
        attempts
    }

    /// Writes a message under `tmp`.
    fn write(&self, outgoing: &OutgoingMessage, here: &Handle) -> Result<Written, Attempt> {
        let name = self.name(outgoing);
        let attempt = outgoing.claim().attempt;
        if attempt > 1 && self.has(&name)? {
            return Ok(Written::Before);
        }
        // A name of its own for each attempt: an earlier one that storage held up beyond its time may still be
        // writing. Without its file it publishes nothing.
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
        let written = Written::Now { file, part, whole };
        written.fill(outgoing, here).inspect_err(|_| {
            // A partial file would take space that others need.
            written.remove();
        })?;
        Ok(written)
    }

    /// Makes a message visible to readers.
    fn finish(&self, written: &Written) -> Result<(), Fault> {
        let Written::Now { part, whole, .. } = written else {
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

    /// True if an earlier attempt stored the message. A reader adds `:2,` and flags to the name.
    fn has(&self, name: &str) -> Result<bool, Fault> {
        if self.path.join("new").join(name).exists() {
            return Ok(true);
        }
        let cur = self.path.join("cur");
        let entries = match fs::read_dir(&cur) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            entries => entries.map_err(at(&cur))?,
        };
        for entry in entries {
            let entry = entry.map_err(at(&cur))?;
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(name.as_bytes())
            {
                return Ok(true);
            }
        }
        Ok(false)
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
            // The mode is set explicitly: the umask would clear the bits that `group` asks for.
            builder
                .create(&folder)
                .and_then(|()| fs::set_permissions(&folder, mode(self.modes.folder)))
                .map_err(at(&folder))?;
        }
        sync_folder(&self.path)?;
        self.path.parent().map_or(Ok(()), sync_folder)
    }
}

fn mode(bits: u32) -> Permissions {
    Permissions::from_mode(bits)
}

fn create(part: &Path, bits: u32) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(part)?;
    if bits != 0o600 {
        file.set_permissions(mode(bits))?;
    }
    Ok(file)
}

/// A message in a file.
#[derive(Clone)]
enum Written {
    /// An earlier attempt stored it.
    Before,
    Now {
        file: Arc<File>,
        part: PathBuf,
        whole: PathBuf,
    },
}

impl Written {
    fn fill(&self, outgoing: &OutgoingMessage, here: &Handle) -> Result<(), Attempt> {
        let Self::Now { file, part, .. } = self else {
            return Ok(());
        };
        let mut place = ReadPosition::default();
        loop {
            let piece = here
                .block_on(outgoing.message().piece(&mut place))
                .map_err(|error| Attempt::Retry(Cause::of_request(&error.to_string())))?;
            let Some(piece) = piece else {
                return Ok(());
            };
            (&**file).write_all(&piece).map_err(at(part))?;
        }
    }

    fn sync(&self) -> Result<(), Fault> {
        match self {
            Self::Before => Ok(()),
            Self::Now { file, part, .. } => file.sync_all().map_err(at(part)),
        }
    }

    fn remove(&self) {
        if let Self::Now { part, .. } = self {
            let _ = fs::remove_file(part);
        }
    }
}

/// Syncs files on several threads, which the runtime keeps for the next group.
fn sync_all(files: &[Written], here: &Handle) -> Vec<Result<(), Fault>> {
    if let [only] = files {
        return vec![only.sync()];
    }
    let share = files.len().div_ceil(SYNCS).max(1);
    let tasks: Vec<_> = files
        .chunks(share)
        .map(|files| {
            let files = files.to_vec();
            here.spawn_blocking(move || files.iter().map(Written::sync).collect::<Vec<_>>())
        })
        .collect();
    let mut synced = Vec::with_capacity(files.len());
    for task in tasks {
        match here.block_on(task) {
            Ok(done) => synced.extend(done),
            // What is not synced is not delivered.
            Err(_) => break,
        }
    }
    synced
}

fn sync_folder(folder: &Path) -> Result<(), Fault> {
    // The parent of a relative path with one component is the empty path.
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))
}

#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}")]
struct Fault {
    path: String,
    cause: io::Error,
}

/// None of these errors is caused by the message, and each can be repaired.
impl From<Fault> for Attempt {
    fn from(fault: Fault) -> Self {
        Self::Retry(Cause::of_destination(&fault.to_string()))
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> Fault + '_ {
    |cause| Fault {
        path: path.display().to_string(),
        cause,
    }
}
