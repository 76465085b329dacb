//! The place of a database: takes what the configuration says, and gives the driver of its engine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::store::engine::driver::Driver;
use crate::store::engine::notify::Notifier;
use crate::store::sqlite::driver::SqliteDriver;

/// The place of a database.
#[derive(Debug, Clone)]
pub enum Location {
    /// A file of the embedded engine.
    File(PathBuf),
}

impl Location {
    /// The place that a configuration names.
    pub fn of(config: &Config) -> Self {
        Self::File(config.database())
    }

    /// False if there is certainly no database yet.
    pub fn exists(&self) -> bool {
        match self {
            Self::File(path) => path.try_exists().unwrap_or(true),
        }
    }

    pub(super) fn driver(&self) -> Arc<dyn Driver> {
        match self {
            Self::File(path) => Arc::new(SqliteDriver::of(path)),
        }
    }

    pub(super) fn notifier(&self) -> Notifier {
        match self {
            Self::File(path) => Notifier::beside(path),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Self {
        location.clone()
    }
}
