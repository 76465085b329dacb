//! Mistakes of a configuration, each with its place and the remedy.

use crate::domain::join;
use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake. Shown as `FILE:LINE: KEY: mistake; remedy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub file: PathBuf,
    /// Counts from 1; `None` if the mistake concerns the file as a whole.
    pub line: Option<usize>,
    /// Empty if the text is not TOML, or the mistake concerns the file as a whole.
    pub key: String,
    pub what: String,
}

/// The mistakes of one file, in the order of its lines: all, or 100 if there are more. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", join(.mistakes, "\n"))]
pub struct ConfigErrors {
    mistakes: Vec<Mistake>,
}

impl ConfigErrors {
    pub(super) fn new(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.line);
        Self { mistakes }
    }

    /// A mistake of the file as a whole.
    pub(super) fn of_file(file: &Path, what: impl fmt::Display) -> Self {
        Self::new(vec![Mistake {
            file: file.to_owned(),
            line: None,
            key: String::new(),
            what: what.to_string(),
        }])
    }

    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.what)
    }
}
