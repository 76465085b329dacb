//! Errors of the database.

use std::fmt::Display;

/// A failure of the store. Its kind determines the SMTP reply.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("the disk is full: {0}")]
    Full(String),
    #[error("the disk of the database server is full: {0}")]
    ServerFull(String),
    #[error("the database is locked by another process: {0}")]
    Busy(String),
    /// The database server cannot be reached. The outcome of the operation is unknown.
    #[error("the database cannot be reached: {0}")]
    Away(String),
    /// The server cannot be used as it is configured, and waiting does not help. The outcome of the operation is
    /// unknown.
    #[error("the database cannot be used with the settings in [store]: {0}")]
    Refused(String),
    #[error("the database cannot be written: {0}")]
    ReadOnly(String),
    #[error("the database is damaged (vestibule doctor says what to do): {0}")]
    Damaged(String),
    /// One row has invalid content; other rows are not affected.
    #[error("a row of the database is damaged: {0}")]
    DamagedRow(String),
    #[error(
        "the database has schema {found}, and this program knows up to {known}; \
         run a newer vestibule, or restore a backup from before the upgrade"
    )]
    NewerSchema { found: usize, known: usize },
    #[error(
        "the database has schema {found}, and this program needs {known}; start `vestibule serve` of \
         this version, or stop the daemon and run `vestibule migrate`"
    )]
    OlderSchema { found: usize, known: usize },
    #[error("{path}: {cause}")]
    Open { path: String, cause: String },
    #[error("there is no {what} {name}")]
    NotFound { what: &'static str, name: String },
    #[error("{0}")]
    NotAllowed(String),
    #[error(
        "the settings were changed in the meantime: the current revision is {found}, not {expected}"
    )]
    Conflict { expected: u64, found: u64 },
    #[error("the store is shut down")]
    Closed,
    /// The writer thread panicked: nothing can be stored until the process restarts.
    #[error("the database writer thread panicked: {0}")]
    WriterFailed(String),
    #[error("database: {0}")]
    Other(String),
}

/// A result of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    pub(crate) fn not_found(what: &'static str, name: impl Display) -> Self {
        let name = name.to_string();
        Self::NotFound { what, name }
    }

    /// Creates the error for a file or a server that cannot be opened.
    pub(super) fn open(path: impl Display, cause: impl Display) -> Self {
        let (path, cause) = (path.to_string(), cause.to_string());
        Self::Open { path, cause }
    }

    pub(super) fn other(cause: impl Display) -> Self {
        Self::Other(cause.to_string())
    }

    /// Creates the error for an operation that panicked.
    pub(super) fn fault(cause: impl Display) -> Self {
        Self::Other(format!("internal error in vestibule: {cause}"))
    }

    /// Creates the error for a transaction that cannot begin because the table `writer` has no row.
    pub(super) fn of_moved_store() -> Self {
        Self::ReadOnly("the store was moved to another location".to_owned())
    }

    /// True if retrying cannot help.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Closed
                | Self::WriterFailed(_)
                | Self::NewerSchema { .. }
                | Self::OlderSchema { .. }
                | Self::NotFound { .. }
        )
    }

    /// True if the error can clear without a change of our configuration.
    pub(crate) fn passes(&self) -> bool {
        matches!(
            self,
            Self::Away(_) | Self::Busy(_) | Self::Full(_) | Self::ServerFull(_) | Self::ReadOnly(_)
        )
    }

    /// True if a single row cannot be read, although the database can.
    pub(super) fn is_of_row(&self) -> bool {
        matches!(self, Self::DamagedRow(_))
    }

    /// True if the error loses the whole transaction rather than one operation.
    pub(super) fn spoils_transaction(&self) -> bool {
        matches!(
            self,
            Self::Full(_)
                | Self::ServerFull(_)
                | Self::Busy(_)
                | Self::Away(_)
                | Self::Refused(_)
                | Self::ReadOnly(_)
                | Self::Damaged(_)
        )
    }
}

/// Value of a row; None if the row is damaged.
pub(super) fn readable<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(cause) if cause.is_of_row() => Ok(None),
        Err(error) => Err(error),
    }
}
