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
use crate::delivery::message::Place;
use crate::domain::Domain;
use crate::outbound::{Attempt, Cause};

/// Messages that are written at the same time: enough for the file system to combine their syncs.
pub(in crate::delivery) const CONCURRENCY: usize = 16;

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

    pub(in crate::delivery) async fn attempt(&self, outgoing: Arc<OutgoingMessage>) -> Attempt {
        let maildir = self.clone();
        let here = Handle::current();
        match tokio::task::spawn_blocking(move || maildir.deliver(&outgoing, &here)).await {
            Ok(Ok(())) => Attempt::Delivered,
            // None of these errors is caused by the message, and each can be repaired.
            Ok(Err(fault)) => Attempt::Retry(Cause::of_destination(&fault.to_string())),
            Err(panic) => Attempt::Retry(Cause::of_request(&panic.to_string())),
        }
    }

    fn deliver(&self, outgoing: &OutgoingMessage, here: &Handle) -> Result<(), Fault> {
        match self.put(outgoing, here) {
            Err(fault) if fault.cause.kind() == io::ErrorKind::NotFound => {
                self.make()?;
                self.put(outgoing, here)
            }
            done => done,
        }
    }

    fn put(&self, outgoing: &OutgoingMessage, here: &Handle) -> Result<(), Fault> {
        let name = self.name(outgoing);
        let [tmp, new] = ["tmp", "new"].map(|folder| self.path.join(folder));
        if outgoing.claim().attempt > 1 && self.has(&name)? {
            return sync_folder(&new);
        }
        let part = tmp.join(&name);
        let whole = new.join(&name);
        let file = create(&part, self.modes.message).map_err(at(&part))?;
        write(file, outgoing, here)
            .map_err(at(&part))
            .and_then(|()| fs::rename(&part, &whole).map_err(at(&whole)))
            .inspect_err(|_| {
                // A partial file would take space that others need.
                let _ = fs::remove_file(&part);
            })?;
        sync_folder(&new)
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

fn write(mut file: File, outgoing: &OutgoingMessage, here: &Handle) -> io::Result<()> {
    let mut place = Place::default();
    let message = outgoing.message();
    while let Some(piece) = here
        .block_on(message.piece(&mut place))
        .map_err(io::Error::other)?
    {
        file.write_all(&piece)?;
    }
    file.sync_all()
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

fn at(path: &Path) -> impl Fn(io::Error) -> Fault + '_ {
    |cause| Fault {
        path: path.display().to_string(),
        cause,
    }
}
