//! The session of an engine, and the methods that all operations call on it.
//!
//! Statements have numbered parameters, `?` or `?1`. Prepared statements are cached by their text, so texts are
//! constant where they can be.

use std::ops::ControlFlow;

use super::sql_types::Millis;
use super::{FromRow, Maintenance, Row, ToSql};
use crate::domain::{PortalName, Reason, Verdict};
use crate::store::{Result, StoreError};

/// Tables of [deferred inserts](EngineSession::insert_deferred), in the order of the inserts, which is that of `Ord`:
/// each table comes after those that it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DeferredTable {
    Ledger,
    Content,
    Request,
    Event,
}

/// A statement that inserts one row, `INSERT INTO … VALUES (…)`. The engine may rewrite it to insert several rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeferredInsert<'a> {
    pub(crate) table: DeferredTable,
    pub(crate) sql: &'a str,
    /// Queue of the row, if the row is due only as the head of its queue.
    pub(crate) queue: Option<InsertQueue>,
}

/// Parameters, by index from 0, of a row whose statement makes it due only if its queue has no earlier row. A
/// statement does not see the rows that it inserts itself, so the engine compares these parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InsertQueue {
    /// Parameters that name the queue.
    pub(crate) key: &'static [usize],
    /// Parameter of the due time, which becomes NULL if an earlier row of the queue is in the same statement.
    pub(crate) due: usize,
}

/// The columns of a ledger entry by which entries are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CountedEntry<'a> {
    pub(crate) received_at: Millis,
    pub(crate) portal: Option<&'a PortalName>,
    pub(crate) verdict: Verdict,
    pub(crate) reason: Reason,
    /// Domain of the sender.
    pub(crate) domain: Option<&'a str>,
}

/// Receives the rows of a result one by one, until it breaks.
pub(crate) type Receive<'a> = dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>> + 'a;

/// A connection of an engine, within a transaction. [`Tx`] has the methods that operations use.
pub(crate) trait EngineSession: Maintenance {
    /// Runs a query.
    ///
    /// # Errors
    /// The statement cannot be run, or those of `receive`.
    fn query(&self, sql: &str, parameters: &[&dyn ToSql], receive: &mut Receive<'_>) -> Result<()>;

    /// Runs a statement and returns the number of rows that it changed.
    ///
    /// # Errors
    /// The statement cannot be run.
    fn run(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<usize>;

    /// Runs a deferred statement, whose outcome the caller does not need. Its error may be returned by a later
    /// statement or at the end of the operation. Prefetched results stay valid: a caller whose statement changes
    /// one [discards](Self::discard_prefetched) all.
    ///
    /// # Errors
    /// This statement or an earlier one cannot be run.
    fn run_deferred(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<()> {
        self.run(sql, parameters).map(drop)
    }

    /// Defers the insert of a row, like [`run_deferred`](Self::run_deferred). The engine may insert it together
    /// with later rows of its table, and after later rows of other tables. Every query sees it.
    ///
    /// # Errors
    /// This statement or an earlier one cannot be run.
    fn insert_deferred(&self, insert: DeferredInsert<'_>, parameters: &[&dyn ToSql]) -> Result<()> {
        self.run_deferred(insert.sql, parameters)
    }

    /// Counts an entry that the caller has just inserted into the ledger, unless a trigger of the engine counts it.
    /// Changed and deleted entries are counted by triggers.
    ///
    /// # Errors
    /// The statement cannot be run.
    fn count_entry(&self, _entry: &CountedEntry<'_>) -> Result<()> {
        Ok(())
    }

    /// Discards the results of prefetched queries.
    fn discard_prefetched(&self) {}

    /// The condition that a number is in a list, a text parameter such as `1,2,3`. It can use an index of the
    /// number.
    fn is_among(&self, number: &str, list: &str) -> String;

    /// Returns a number for a new row, higher than all before in any table. The same number is not returned again,
    /// unless its transaction is rolled back.
    ///
    /// # Errors
    /// The transaction only reads.
    fn next_number(&self) -> Result<i64>;

    /// Fills a buffer with the content stored under an entry, from an offset.
    ///
    /// # Errors
    /// There is no such content, or it ends before the buffer is full.
    fn read_content(&self, entry: i64, offset: usize, buffer: &mut [u8]) -> Result<()>;
}

/// A transaction, as operations see it.
pub(crate) type Tx = dyn EngineSession;

impl dyn EngineSession {
    /// The first row of a result.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn one<T: FromRow>(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<T> {
        self.one_with(sql, parameters, T::from_row)
    }

    /// Like [`one`](Self::one), read by `read`.
    ///
    /// # Errors
    /// There is no row.
    pub(crate) fn one_with<T>(
        &self,
        sql: &str,
        parameters: &[&dyn ToSql],
        read: impl FnOnce(&Row) -> Result<T>,
    ) -> Result<T> {
        self.maybe_with(sql, parameters, read)?
            .ok_or_else(|| StoreError::Other(format!("no row for: {sql}")))
    }

    /// The first row of a result; None if there is none.
    ///
    /// # Errors
    /// The statement cannot be run, or the row is damaged.
    pub(crate) fn maybe<T: FromRow>(
        &self,
        sql: &str,
        parameters: &[&dyn ToSql],
    ) -> Result<Option<T>> {
        self.maybe_with(sql, parameters, T::from_row)
    }

    /// Like [`maybe`](Self::maybe), read by `read`.
    ///
    /// # Errors
    /// The statement cannot be run, or those of `read`.
    pub(crate) fn maybe_with<T>(
        &self,
        sql: &str,
        parameters: &[&dyn ToSql],
        read: impl FnOnce(&Row) -> Result<T>,
    ) -> Result<Option<T>> {
        let (mut read, mut found) = (Some(read), None);
        self.query(sql, parameters, &mut |row| {
            found = read.take().map(|read| read(row)).transpose()?;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// True if there is a row.
    ///
    /// # Errors
    /// The statement cannot be run.
    pub(crate) fn exists(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<bool> {
        Ok(self.maybe_with(sql, parameters, |_| Ok(()))?.is_some())
    }

    /// All rows of a result.
    ///
    /// # Errors
    /// The statement cannot be run, or a row is damaged.
    pub(crate) fn all<T: FromRow>(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<Vec<T>> {
        self.all_with(sql, parameters, T::from_row)
    }

    /// Like [`all`](Self::all), read by `read`.
    ///
    /// # Errors
    /// The statement cannot be run, or those of `read`.
    pub(crate) fn all_with<T>(
        &self,
        sql: &str,
        parameters: &[&dyn ToSql],
        mut read: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        self.each(sql, parameters, |row| {
            rows.push(read(row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Passes each row of a result to `take`.
    ///
    /// # Errors
    /// The statement cannot be run, or those of `take`.
    pub(crate) fn each(
        &self,
        sql: &str,
        parameters: &[&dyn ToSql],
        mut take: impl FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        self.query(sql, parameters, &mut |row| {
            take(row).map(ControlFlow::Continue)
        })
    }
}

/// Inserts a row like [`insert!`], but [deferred](EngineSession::insert_deferred). Requests are not supported, because
/// they have a queue.
macro_rules! insert_deferred {
    ($tx:expr, $table:ident { $($column:ident $(: $value:expr)?),+ $(,)? }) => {
        $tx.insert_deferred(
            $crate::store::sql::DeferredInsert {
                table: $crate::store::sql::insert_deferred!(@table $table),
                sql: $crate::store::sql::insert!(@text $table $($column)+),
                queue: None,
            },
            &[$($crate::store::sql::insert!(@value $column $($value)?)),+],
        )
    };
    (@table ledger) => { $crate::store::sql::DeferredTable::Ledger };
    (@table content) => { $crate::store::sql::DeferredTable::Content };
    (@table event) => { $crate::store::sql::DeferredTable::Event };
}
pub(crate) use insert_deferred;

/// Inserts a row with named columns: `insert!(tx, account { n, status: "pending" })`. A column without a value
/// takes that of the variable of its name. A literal after the row, such as a conflict clause, is appended to the
/// statement.
macro_rules! insert {
    ($tx:expr, $table:ident { $($column:ident $(: $value:expr)?),+ $(,)? } $(, $end:literal)?) => {
        $tx.run(
            concat!($crate::store::sql::insert!(@text $table $($column)+), $(" ", $end,)?),
            &[$($crate::store::sql::insert!(@value $column $($value)?)),+],
        )
    };
    (@text $table:ident $($column:ident)+) => {
        concat!(
            "INSERT INTO ",
            stringify!($table),
            $crate::store::sql::insert!(@names $($column)+),
        )
    };
    (@names $first:ident $($column:ident)*) => {
        concat!(
            " (", stringify!($first), $(", ", stringify!($column),)* ") VALUES (?",
            $($crate::store::sql::insert!(@mark $column),)* ")"
        )
    };
    (@mark $column:ident) => { ", ?" };
    (@value $column:ident) => { &$column };
    (@value $column:ident $value:expr) => { &$value };
}
pub(crate) use insert;
