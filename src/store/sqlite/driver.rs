//! The driver of the embedded engine: a file, opened by several sessions and processes.

use std::path::{Path, PathBuf};

use super::checkpoint::Checkpointer;
use super::session::SqliteSession;
use super::{connection, migrations};
use crate::store::Result;
use crate::store::engine::disk_space::DiskSpace;
use crate::store::engine::driver::{Driver, ReaderSession, WriterSession};

/// A database in a file.
#[derive(Debug)]
pub(crate) struct SqliteDriver {
    path: PathBuf,
}

impl SqliteDriver {
    pub(crate) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }
}

impl Driver for SqliteDriver {
    fn create(&self) -> Result<()> {
        connection::create(&self.path)
    }

    fn migrate(&self) -> Result<()> {
        connection::migrate(&self.path)
    }

    fn schema(&self) -> Result<(usize, usize)> {
        migrations::schema(&connection::reading(&self.path)?)
    }

    /// The kernel marks pages that it failed to sync as clean and does not write them again, although readers
    /// of the log still see them. So after a failure, the whole log is copied into the database first, and the
    /// log restarts.
    fn open_writer(&self, in_doubt: bool) -> Result<Box<dyn WriterSession>> {
        let session = SqliteSession::writing(&self.path)?;
        if in_doubt {
            session.begin_log_anew()?;
        }
        let checkpointer = Checkpointer::start(self.path.clone())?;
        Ok(Box::new(session.with_checkpoints(checkpointer)))
    }

    fn open_reader(&self) -> Result<Box<dyn ReaderSession>> {
        Ok(Box::new(SqliteSession::reading(&self.path)?))
    }

    fn erase_log(&self) -> Result<bool> {
        connection::empty_log(&connection::copying(&self.path)?)
    }

    fn disk_space(&self) -> Option<DiskSpace> {
        DiskSpace::of(&self.path).ok()
    }
}
