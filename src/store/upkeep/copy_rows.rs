//! Copies of whole stores, row by row, between any two engines: takes a snapshot of one database, and fills
//! another that has the same schema.
//!
//! The tables, their keys and their references are read from the database, so that a table of a later migration is
//! copied as well. Each table is compared by the number and a digest of its rows.

use sha2::{Digest, Sha256};

use crate::store::engine::driver::WriterSession;
use crate::store::engine::notify::Wakeups;
use crate::store::sql::{Bind, Row, SqlValue, TableShape, ToSql, Tx};
use crate::store::{Result, StoreError};

/// The session that fills a database.
pub(crate) type TargetSession = dyn WriterSession;

/// Tables that belong to one location and are not copied: its numbers, its nodes, and the record of a transfer.
const OF_THE_PLACE: &[&str] = &["writer", "committed", "node", "duty", "moved"];

/// Maximum rows in one statement, and maximum octets of their values.
const ROWS_AT_ONCE: usize = 50;
const OCTETS_AT_ONCE: usize = 1 << 20;

/// Octets after which a transaction is committed.
const TRANSACTION: usize = 32 << 20;

/// A table with the number and a digest of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) table: String,
    pub(crate) rows: u64,
    digest: [u8; 32],
}

/// A value as it is copied. NUL in a text is replaced, because PostgreSQL cannot store it.
enum CopiedValue {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl CopiedValue {
    fn of(value: SqlValue<'_>) -> Self {
        match value {
            SqlValue::Null => Self::Null,
            SqlValue::Integer(number) => Self::Integer(number),
            SqlValue::Text(text) => Self::Text(text.replace('\0', "\u{fffd}")),
            SqlValue::Blob(octets) => Self::Blob(octets.to_vec()),
        }
    }

    fn as_value(&self) -> SqlValue<'_> {
        match self {
            Self::Null => SqlValue::Null,
            Self::Integer(number) => SqlValue::Integer(*number),
            Self::Text(text) => SqlValue::Text(text),
            Self::Blob(octets) => SqlValue::Blob(octets),
        }
    }

    fn octets(&self) -> usize {
        match self {
            Self::Null | Self::Integer(_) => 8,
            Self::Text(text) => text.len(),
            Self::Blob(octets) => octets.len(),
        }
    }

    fn digest(&self, digest: &mut Sha256) {
        let (kind, octets): (u8, &[u8]) = match self {
            Self::Null => (0, &[]),
            Self::Integer(number) => {
                digest.update([1]);
                digest.update(number.to_be_bytes());
                return;
            }
            Self::Text(text) => (2, text.as_bytes()),
            Self::Blob(octets) => (3, octets),
        };
        digest.update([kind]);
        digest.update((octets.len() as u64).to_be_bytes());
        digest.update(octets);
    }
}

impl ToSql for CopiedValue {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
        bind(self.as_value())
    }
}

/// The tables to copy, each after those that it refers to. Tables without references come last: triggers of the
/// others keep counters in some of them.
///
/// # Errors
/// The database cannot be read.
pub(crate) fn tables(tx: &Tx) -> Result<Vec<TableShape>> {
    let mut left = tx.tables()?;
    left.retain(|table| !OF_THE_PLACE.contains(&table.name.as_str()));
    let mut sorted: Vec<TableShape> = Vec::with_capacity(left.len());
    let is_alone = |table: &TableShape, all: &[TableShape]| {
        table.refers_to.is_empty()
            && !all
                .iter()
                .any(|other| other.refers_to.contains(&table.name))
    };
    let (alone, mut left): (Vec<_>, Vec<_>) = {
        let all = left.clone();
        left.into_iter().partition(|table| is_alone(table, &all))
    };
    while !left.is_empty() {
        let ready = |table: &TableShape| {
            let is_waiting =
                |name: &String| *name != table.name && left.iter().any(|other| other.name == *name);
            !table.refers_to.iter().any(is_waiting)
        };
        let Some(next) = left.iter().position(ready) else {
            return Err(StoreError::Other(
                "tables reference each other in a cycle".to_owned(),
            ));
        };
        sorted.push(left.remove(next));
    }
    sorted.extend(alone);
    Ok(sorted)
}

/// Number of rows of these tables.
///
/// # Errors
/// The database cannot be read.
pub(crate) fn count(tx: &Tx, tables: &[TableShape]) -> Result<u64> {
    let mut rows = 0;
    for table in tables {
        rows += tx.one::<u64>(&format!("SELECT count(*) FROM {}", table.name), &[])?;
    }
    Ok(rows)
}

/// Passes the values of each row to `take`, in the order of the key.
fn each_row(
    tx: &Tx,
    table: &TableShape,
    take: &mut dyn FnMut(Vec<CopiedValue>) -> Result<()>,
) -> Result<()> {
    let (name, columns, key) = (&table.name, table.columns.join(", "), table.key.join(", "));
    let values = |row: &Row| -> Result<Vec<CopiedValue>> {
        let values = (0..table.columns.len()).map(|column| Ok(CopiedValue::of(row.value(column)?)));
        values.collect()
    };
    if name == "content" {
        // One message at a time is in memory.
        let sql = format!("SELECT {columns} FROM {name} WHERE {key} = ?");
        return tx.each(
            &format!("SELECT {key} FROM {name} ORDER BY {key}"),
            &[],
            |row| take(tx.one_with(&sql, &[&row.get::<_, i64>(0)?], values)?),
        );
    }
    tx.each(
        &format!("SELECT {columns} FROM {name} ORDER BY {key}"),
        &[],
        |row| take(values(row)?),
    )
}

/// Summary of a table.
///
/// # Errors
/// The database cannot be read.
pub(crate) fn summarize(tx: &Tx, table: &TableShape) -> Result<Summary> {
    let (mut rows, mut digest) = (0, Sha256::new());
    each_row(tx, table, &mut |values| {
        rows += 1;
        for value in &values {
            value.digest(&mut digest);
        }
        Ok(())
    })?;
    Ok(Summary {
        table: table.name.clone(),
        rows,
        digest: digest.finalize().into(),
    })
}

/// The database that is being filled, in one transaction after another.
pub(crate) struct RowCopier<'a> {
    target: &'a TargetSession,
    /// Octets in the open transaction.
    octets: usize,
}

impl<'a> RowCopier<'a> {
    /// Begins the copy, and deletes all rows of the copied tables.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn begin(target: &'a TargetSession, tables: &[TableShape]) -> Result<Self> {
        target.begin()?;
        let copier = Self { target, octets: 0 };
        for table in tables.iter().rev() {
            copier.clear(&table.name)?;
        }
        Ok(copier)
    }

    fn clear(&self, table: &str) -> Result<()> {
        self.target.run(&format!("DELETE FROM {table}"), &[])?;
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.octets = 0;
        self.target.keep_numbers()?;
        self.target.commit(Wakeups::default())
    }

    /// Copies a table, and returns the summary of what was read. `progress` receives the number of rows of each
    /// batch.
    ///
    /// # Errors
    /// One of the databases fails.
    pub(crate) fn copy(
        &mut self,
        source: &Tx,
        table: &TableShape,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Summary> {
        // A trigger may have written counters to it.
        self.clear(&table.name)?;
        // An entry may refer to a later one, which is not there yet.
        let later = match table.name.as_str() {
            "ledger" => table.columns.iter().position(|column| column == "message"),
            _ => None,
        };
        let (mut rows, mut digest) = (0, Sha256::new());
        let mut waiting: Vec<Vec<CopiedValue>> = Vec::with_capacity(ROWS_AT_ONCE);
        let mut octets = 0;
        each_row(source, table, &mut |mut values| {
            rows += 1;
            for value in &values {
                value.digest(&mut digest);
            }
            octets += values.iter().map(CopiedValue::octets).sum::<usize>();
            if let Some(later) = later {
                values[later] = CopiedValue::Null;
            }
            waiting.push(values);
            if waiting.len() == ROWS_AT_ONCE || octets > OCTETS_AT_ONCE {
                progress(waiting.len() as u64);
                self.insert(table, &waiting, octets)?;
                waiting.clear();
                octets = 0;
            }
            Ok(())
        })?;
        progress(waiting.len() as u64);
        self.insert(table, &waiting, octets)?;
        if later.is_some() {
            self.refer_to_messages(source)?;
        }
        Ok(Summary {
            table: table.name.clone(),
            rows,
            digest: digest.finalize().into(),
        })
    }

    fn insert(
        &mut self,
        table: &TableShape,
        rows: &[Vec<CopiedValue>],
        octets: usize,
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let row = format!("({})", vec!["?"; table.columns.len()].join(", "));
        let sql = format!(
            "INSERT INTO {} ({}) VALUES {}",
            table.name,
            table.columns.join(", "),
            vec![row; rows.len()].join(", ")
        );
        let values: Vec<&dyn ToSql> = rows
            .iter()
            .flatten()
            .map(|value| value as &dyn ToSql)
            .collect();
        self.target.run(&sql, &values)?;
        self.octets += octets;
        if self.octets > TRANSACTION {
            self.commit()?;
            self.target.begin()?;
        }
        Ok(())
    }

    /// Restores the references of entries to the entry that holds their content.
    fn refer_to_messages(&mut self, source: &Tx) -> Result<()> {
        source.each(
            "SELECT n, message FROM ledger WHERE message IS NOT NULL",
            &[],
            |row| {
                let (n, message): (i64, i64) = (row.get(0)?, row.get(1)?);
                let sql = "UPDATE ledger SET message = ?2 WHERE n = ?1";
                self.target.run(sql, &[&n, &message])?;
                Ok(())
            },
        )
    }

    /// Sets the next number, and commits.
    ///
    /// # Errors
    /// The database cannot be written.
    pub(crate) fn end(mut self, next_number: i64) -> Result<()> {
        let sql = "UPDATE writer SET next_number = ?";
        self.target.run(sql, &[&next_number])?;
        self.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Location;

    #[test]
    fn a_table_is_copied_after_those_that_it_references_and_counters_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let driver = Location::from(&folder.path().join("vestibule.db")).driver();
        driver.create().expect("a file");
        driver.migrate().expect("a schema");
        let session = driver.open_reader().expect("a database");
        let tables = tables(&*session).expect("read");
        let place = |name: &str| tables.iter().position(|table| table.name == name);
        for (number, table) in tables.iter().enumerate() {
            assert!(!table.key.is_empty(), "{}", table.name);
            for other in table.refers_to.iter().filter(|other| **other != table.name) {
                assert!(place(other) < Some(number), "{} before {other}", table.name);
            }
        }
        // Triggers keep counters in the later tables.
        assert!(place("ledger") < place("day_count") && place("ledger") < place("shut_out"));
        assert!(place("dropped_content") < place("dropped_sender"));
        assert!(place("dropped_content") < place("dropped_total"));
        // All tables are copied except those of the location.
        let tx: &Tx = &*session;
        let all = tx.tables().expect("read").len();
        assert_eq!(tables.len() + OF_THE_PLACE.len(), all);
    }

    #[test]
    fn values_of_another_type_or_length_have_another_digest() {
        let digest = |values: &[SqlValue]| {
            let mut digest = Sha256::new();
            let values = values.iter().map(|value| CopiedValue::of(*value));
            values.for_each(|value| value.digest(&mut digest));
            <[u8; 32]>::from(digest.finalize())
        };
        let all = [
            digest(&[SqlValue::Null]),
            digest(&[SqlValue::Integer(0)]),
            digest(&[SqlValue::Text("")]),
            digest(&[SqlValue::Blob(b"")]),
            digest(&[SqlValue::Text("a"), SqlValue::Text("b")]),
            digest(&[SqlValue::Text("ab"), SqlValue::Text("")]),
            digest(&[SqlValue::Blob(b"ab"), SqlValue::Blob(b"")]),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        // A text is compared in the form of the engine that stores no NUL.
        assert_eq!(
            digest(&[SqlValue::Text("a\0b")]),
            digest(&[SqlValue::Text("a\u{fffd}b")])
        );
    }
}
