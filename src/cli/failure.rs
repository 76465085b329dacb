//! Failures of a command, and their exit status.

use std::process::ExitCode;

use crate::config::ConfigErrors;
use crate::store::StoreError;

/// Ways in which a command can fail.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Status 1.
    #[error("{0:#}")]
    Failed(anyhow::Error),
    /// Status 1; the error was printed when it occurred.
    #[error("")]
    Said,
    /// Status 2: the arguments or the configuration.
    #[error("{0}")]
    Usage(String),
    /// Status 3.
    #[error("{0}")]
    NotFound(String),
    /// The reader closed our output, as `| head` does. Not a failure.
    #[error("")]
    Unread,
}

/// Result of every command.
pub type CommandResult = Result<(), CommandError>;

impl CommandError {
    /// # Examples
    /// `CommandError::not_found("request", "01J…")`
    pub fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("there is no {what} {name}"))
    }

    /// Writes the reason to standard error and returns the status.
    pub fn report(&self) -> ExitCode {
        let text = self.to_string();
        if !text.is_empty() {
            let mut lines = text.lines();
            eprintln!("error: {}", lines.next().unwrap_or_default());
            for line in lines {
                eprintln!("       {line}");
            }
        }
        match self {
            Self::Unread => ExitCode::SUCCESS,
            Self::Failed(_) | Self::Said => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::NotFound(_) => ExitCode::from(3),
        }
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::NotFound(error.to_string()),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<ConfigErrors> for CommandError {
    fn from(errors: ConfigErrors) -> Self {
        Self::Usage(errors.to_string())
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::Unread
        } else {
            Self::Failed(error.into())
        }
    }
}

impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}
