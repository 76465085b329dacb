//! Why the database did not do something.

/// A failure of the store. What the MTA is told follows from the kind.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the disk is full: {0}")]
    Full(String),
    #[error("the database is locked by another process: {0}")]
    Busy(String),
    #[error("the database cannot be written: {0}")]
    ReadOnly(String),
    #[error("the database is damaged: {0}")]
    Damaged(String),
    #[error(
        "the database has schema {found}, and this program knows up to {known}; \
         run a newer vestibule, or restore a backup of before the upgrade"
    )]
    NewerSchema { found: usize, known: usize },
    #[error("{path}: {cause}")]
    Open { path: String, cause: String },
    #[error("there is no {what} {name}")]
    NotFound { what: &'static str, name: String },
    #[error("{0}")]
    NotAllowed(String),
    #[error("the settings were changed meanwhile: revision {found} is not {expected}")]
    Conflict { expected: u64, found: u64 },
    #[error("the store is shut down")]
    Closed,
    #[error("database: {0}")]
    Other(String),
}
