//! Maintenance of an engine's files, for which there is no portable statement.

use crate::store::StoreError;

/// A table, as far as copying it needs.
#[derive(Debug, Clone)]
pub(crate) struct TableShape {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    /// The columns of the primary key; all where there is none.
    pub(crate) key: Vec<String>,
    /// Tables that its rows refer to.
    pub(crate) refers_to: Vec<String>,
}

/// Care of the database. All of it fails where the database cannot be read or written.
pub(crate) trait Maintenance {
    /// Changes something, so that a commit has to be synced, without changing what is stored.
    fn touch(&self) -> Result<(), StoreError>;

    /// Size of the database in octets.
    fn size(&self) -> Result<u64, StoreError>;

    /// Number of octets that could be returned to the file system.
    fn unused_octets(&self) -> Result<u64, StoreError>;

    /// True if the database returns unused space by itself.
    fn shrinks(&self) -> Result<bool, StoreError>;

    /// Number of schema migrations that the database has, and that this program knows.
    fn schema(&self) -> Result<(usize, usize), StoreError>;

    /// The first signs of a damaged file, at most `most`.
    fn find_damage(&self, most: usize) -> Result<Vec<String>, StoreError>;

    /// Rows that refer to a row that is not there.
    fn find_orphans(&self) -> Result<Vec<String>, StoreError>;

    /// Tables, each with the column that refers to `table`, whose rows are deleted with its rows.
    fn columns_that_cascade(&self, table: &str) -> Result<Vec<(String, String)>, StoreError>;

    /// The tables of the schema.
    fn tables(&self) -> Result<Vec<TableShape>, StoreError>;

    /// Sets whether this session overwrites freed space: all of it, or only where that costs nothing.
    fn overwrite_what_is_freed(&self, all: bool) -> Result<(), StoreError>;

    /// Number of pages that could be returned to the file system.
    fn free_pages(&self) -> Result<i64, StoreError>;

    /// Returns up to `most` of them.
    fn give_pages_back(&self, most: i64) -> Result<(), StoreError>;
}
