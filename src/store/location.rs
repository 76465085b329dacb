//! Location of a database: takes the configuration and returns the driver for its engine.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, PostgresServer, StoreConfig};
use crate::domain::LedgerId;
use crate::store::engine::driver::Driver;
use crate::store::engine::notify::Notifier;
use crate::store::postgres::driver::PostgresDriver;
use crate::store::sqlite::driver::SqliteDriver;
use crate::store::{Result, StoreError};

/// Location of a database.
#[derive(Debug, Clone)]
pub enum Location {
    /// A file of the embedded engine.
    File(PathBuf),
    /// A database on a PostgreSQL server.
    Server(Box<PostgresServer>),
}

impl Location {
    /// Returns the location that a configuration names.
    pub fn of(config: &Config) -> Self {
        match &config.store {
            StoreConfig::Sqlite => Self::File(config.database()),
            StoreConfig::Postgres(server) => Self::Server(server.clone()),
        }
    }

    /// False if there is certainly no database yet.
    pub fn exists(&self) -> bool {
        match self {
            Self::File(path) => path.try_exists().unwrap_or(true),
            Self::Server(_) => true,
        }
    }

    pub(super) fn driver(&self) -> Arc<dyn Driver> {
        match self {
            Self::File(path) => Arc::new(SqliteDriver::of(path)),
            Self::Server(server) => Arc::new(PostgresDriver::of(server)),
        }
    }

    /// Id of this node among those that share the database. None if it has no id yet, or if the database is a file,
    /// which no other node can share.
    pub(super) fn node_id(&self) -> Option<String> {
        let Self::Server(server) = self else {
            return None;
        };
        let text = fs::read_to_string(server.node_file.as_ref()?).ok()?;
        let id: LedgerId = text.trim().parse().ok()?;
        Some(id.to_string())
    }

    /// Returns the id of this node, and creates and stores one if there is none: for the daemon. Empty if the
    /// database is a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn make_node_id(&self) -> Result<String> {
        let Self::Server(server) = self else {
            return Ok(String::new());
        };
        if let Some(id) = self.node_id() {
            return Ok(id);
        }
        let id = LedgerId::new().to_string();
        // Without a data folder, each start makes a new node.
        if let Some(file) = &server.node_file {
            let written = write_file(file, &format!("{id}\n"));
            written.map_err(|error| StoreError::open(file.display(), error))?;
        }
        Ok(id)
    }

    pub(super) fn notifier(&self) -> Notifier {
        match self {
            Self::File(path) => Notifier::beside(path),
            Self::Server(_) => Notifier::default(),
        }
    }
}

/// Writes a file that is complete whenever it is visible, and that survives a power failure once this returns.
fn write_file(file: &Path, text: &str) -> io::Result<()> {
    let unfinished = file.with_extension("tmp");
    let mut draft = File::create(&unfinished)?;
    draft.write_all(text.as_bytes())?;
    draft.sync_all()?;
    fs::rename(&unfinished, file)?;
    let folder = file.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(server) => server.fmt(f),
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

impl From<PostgresServer> for Location {
    fn from(server: PostgresServer) -> Self {
        Self::Server(Box::new(server))
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Self {
        location.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_id_in_a_file_that_is_never_incomplete() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("node-id");
        let mut server =
            PostgresServer::parse("postgres://vestibule@db.corp.example/vestibule").expect("a URL");
        server.node_file = Some(file.clone());
        let location = Location::from(server);
        // Left by a power failure. It is replaced, so the other name of its content shows no write to it.
        let other = folder.path().join("other");
        fs::write(&file, "").expect("written");
        fs::hard_link(&file, &other).expect("linked");
        assert_eq!(location.node_id(), None);
        let id = location.make_node_id().expect("an id");
        assert_eq!(fs::read_to_string(&other).expect("read"), "");
        assert_eq!(location.node_id().as_ref(), Some(&id));
        assert_eq!(location.make_node_id().expect("the same"), id);
    }
}
