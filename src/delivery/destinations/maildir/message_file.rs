//! A file of a Maildir that holds one message: created under `tmp`, filled and synced, and its errors.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::delivery::OutgoingMessage;
use crate::delivery::message::ReadPosition;
use crate::outbound::{AttemptOutcome, Cause};

/// Number of concurrent fsyncs: enough for the file system to combine them.
const SYNCS: usize = 8;

/// A message in a file.
#[derive(Clone)]
pub(super) enum MessageFile {
    /// An earlier attempt stored it.
    AlreadyStored,
    /// Under `tmp` as `part`, until it is renamed to `whole` in `new`.
    Staged {
        file: Arc<File>,
        part: PathBuf,
        whole: PathBuf,
    },
}

impl MessageFile {
    /// Writes the message into the file, unless `stop` is cancelled meanwhile.
    pub(super) async fn fill(
        &self,
        outgoing: &OutgoingMessage,
        stop: &CancellationToken,
    ) -> Result<(), Unwritten> {
        let Self::Staged { file, part, .. } = self else {
            return Ok(());
        };
        let mut place = ReadPosition::default();
        loop {
            let piece = outgoing.message().piece(&mut place).await;
            let Some(piece) = piece? else {
                return Ok(());
            };
            if stop.is_cancelled() {
                return Err(Unwritten::Stopped);
            }
            (&**file).write_all(&piece).map_err(at(part))?;
        }
    }

    fn sync(&self) -> Result<(), Fault> {
        match self {
            Self::AlreadyStored => Ok(()),
            Self::Staged { file, part, .. } => file.sync_all().map_err(at(part)),
        }
    }

    pub(super) fn remove(&self) {
        if let Self::Staged { part, .. } = self {
            let _ = fs::remove_file(part);
        }
    }
}

/// Reason why a message was not written.
pub(super) enum Unwritten {
    Stopped,
    Failed(AttemptOutcome),
}

impl<T: Into<AttemptOutcome>> From<T> for Unwritten {
    fn from(failure: T) -> Self {
        Self::Failed(failure.into())
    }
}

/// Creates a file under `tmp` with these permissions. Whatever stands in its place is removed and never opened: a file
/// that an earlier attempt left there, or, with `group`, what others put there, such as a link to a file of ours or a
/// pipe that nobody reads.
pub(super) fn create(part: &Path, bits: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut created = options.open(part);
    if matches!(&created, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
        fs::remove_file(part)?;
        created = options.open(part);
    }
    let file = created?;
    if bits != 0o600 {
        file.set_permissions(Permissions::from_mode(bits))?;
    }
    Ok(file)
}

/// Syncs files on several threads of the runtime's pool. Returns one result for each file, up to the first thread
/// that panicked.
pub(super) fn sync_all(files: &[(usize, MessageFile)], here: &Handle) -> Vec<Result<(), Fault>> {
    if let [(_, only)] = files {
        return vec![only.sync()];
    }
    let share = files.len().div_ceil(SYNCS).max(1);
    let tasks: Vec<_> = files
        .chunks(share)
        .map(|files| {
            let files: Vec<_> = files.iter().map(|(_, file)| file.clone()).collect();
            here.spawn_blocking(move || files.iter().map(MessageFile::sync).collect::<Vec<_>>())
        })
        .collect();
    let mut synced = Vec::with_capacity(files.len());
    for task in tasks {
        match here.block_on(task) {
            Ok(done) => synced.extend(done),
            Err(error) => {
                let cause = io::Error::other(error);
                let path = "sync".to_owned();
                synced.push(Err(Fault { path, cause }));
                break;
            }
        }
    }
    synced
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), Fault> {
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

/// Error of the storage at a path.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}")]
pub(super) struct Fault {
    path: String,
    cause: io::Error,
}

/// Every such error is a retry for the whole destination: none is caused by the message, and each can be repaired.
impl From<Fault> for AttemptOutcome {
    fn from(fault: Fault) -> Self {
        Self::Retry(Cause::of_destination(&fault.to_string()))
    }
}

/// Adds the path to an error.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Fault + '_ {
    |cause| Fault {
        path: path.display().to_string(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::store::Claim;

    #[tokio::test]
    async fn a_full_disk_is_a_failure_of_the_destination() {
        let disk = OpenOptions::new().write(true).open("/dev/full");
        let message_file = MessageFile::Staged {
            file: Arc::new(disk.expect("a full disk")),
            part: PathBuf::from("part"),
            whole: PathBuf::from("whole"),
        };
        let hostname = Domain::parse("gate.corp.example").expect("a domain");
        let raw = b"From: ann@corp.example\r\n\r\n".to_vec();
        let outgoing = OutgoingMessage::in_memory(Claim::for_testing(), raw, &hostname);
        let stop = CancellationToken::new();
        let Err(Unwritten::Failed(outcome)) = message_file.fill(&outgoing, &stop).await else {
            panic!("written to a full disk");
        };
        let cause = outcome.destination_failure().expect("its failure");
        assert!(
            cause.text.contains("No space left on device"),
            "{}",
            cause.text
        );
    }
}
