//! What is wrong with a configuration, each with its place and what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake. Shown as `FILE:LINE: KEY: what is wrong; what would be right`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub file: PathBuf,
    /// From 1; none where the file as a whole is meant.
    pub line: Option<usize>,
    /// Empty where the text is no TOML, or the file as a whole is meant.
    pub key: String,
    pub what: String,
}

/// All mistakes of one file, in the order of its lines. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    mistakes: Vec<Mistake>,
}

impl ConfigErrors {
    pub(super) fn new(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.line);
        Self { mistakes }
    }

    /// The file as a whole cannot be used.
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

/// One mistake a line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, mistake) in self.mistakes.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
