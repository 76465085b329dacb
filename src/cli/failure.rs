//! Why a command did not do what was asked, and the exit status that says so.

use std::process::ExitCode;

use crate::config::ConfigErrors;
use crate::store::StoreError;

/// The ways in which a command ends otherwise than well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Status 1.
    #[error("{0:#}")]
    Failed(anyhow::Error),
    /// Status 1; what went wrong was said as it came up.
    #[error("")]
    Said,
    /// Status 2: the arguments or the configuration.
    #[error("{0}")]
    Usage(String),
    /// Status 3.
    #[error("{0}")]
    NotFound(String),
    /// Whoever read our output has seen enough, as in `| head`. Not a failure.
    #[error("")]
    Unread,
}

/// What every command returns.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// # Examples
    /// `Failure::not_found("request", "01J…")`
    pub fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("there is no {what} {name}"))
    }

    /// The status, after the reason was written to standard error.
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

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::NotFound(error.to_string()),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::Usage(errors.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::Unread
        } else {
            Self::Failed(error.into())
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}
