//! Maintenance of an engine's files, for which there is no portable statement.

use super::Tx;
use crate::store::Result;

/// The parts of a table's definition that copying it needs.
#[derive(Debug, Clone)]
pub(crate) struct TableShape {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    /// Columns of the primary key; all columns if there is none.
    pub(crate) key: Vec<String>,
    /// Tables that its rows refer to.
    pub(crate) refers_to: Vec<String>,
}

/// Maintenance of the database. Every method fails if the database cannot be read or written.
pub(crate) trait Maintenance {
    /// Dirties a page without changing what is stored, so that the commit has to be synced. Does nothing in an
    /// engine whose write transactions always change something.
    fn touch(&self) -> Result<()> {
        Ok(())
    }

    /// Size of the database in octets.
    fn size(&self) -> Result<u64>;

    /// Number of octets that could be returned to the file system; 0 if the engine reuses freed space by itself.
    fn unused_octets(&self) -> Result<u64> {
        Ok(0)
    }

    /// True if the database returns unused space by itself.
    fn shrinks(&self) -> Result<bool> {
        Ok(true)
    }

    /// Numbers of schema migrations: applied to the database, and known to this program.
    fn schema(&self) -> Result<(usize, usize)>;

    /// The first signs of a damaged file, at most `most`.
    fn find_damage(&self, most: usize) -> Result<Vec<String>>;

    /// Rows that refer to a missing row.
    fn find_orphans(&self) -> Result<Vec<String>>;

    /// Tables whose rows are deleted with the rows of `table` that they refer to, each with the referring column.
    fn columns_that_cascade(&self, table: &str) -> Result<Vec<(String, String)>>;

    /// The tables of the schema.
    fn tables(&self) -> Result<Vec<TableShape>>;

    /// Sets whether this session overwrites freed space: all of it, or only where that costs nothing. An engine
    /// without such a setting relies on `erase_log` of its driver.
    fn overwrite_what_is_freed(&self, _all: bool) -> Result<()> {
        Ok(())
    }

    /// Number of pages that could be returned to the file system.
    fn free_pages(&self) -> Result<i64> {
        Ok(0)
    }

    /// Returns up to `most` of them.
    fn give_pages_back(&self, _most: i64) -> Result<()> {
        Ok(())
    }
}

impl TableShape {
    /// Reads the shapes of all tables. The statements select the names of all tables, and the columns, the key and
    /// the references of one.
    pub(crate) fn of_tables(
        tx: &Tx,
        names: &str,
        columns: &str,
        key: &str,
        refers_to: &str,
    ) -> Result<Vec<Self>> {
        let shape = |name: String| {
            let columns: Vec<String> = tx.all(columns, &[&name])?;
            let key: Vec<String> = tx.all(key, &[&name])?;
            Ok(Self {
                key: if key.is_empty() { columns.clone() } else { key },
                columns,
                refers_to: tx.all(refers_to, &[&name])?,
                name,
            })
        };
        tx.all::<String>(names, &[])?
            .into_iter()
            .map(shape)
            .collect()
    }
}
