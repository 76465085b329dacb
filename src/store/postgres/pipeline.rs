//! The pipeline of a session: deferred statements and prefetched queries, which share round trips.
//!
//! A deferred statement is sent with the next one whose outcome is awaited. The queries of many operations are
//! prefetched together, before the operations run, which then find the answers here. Any change discards all
//! answers, except that of a deferred statement: its caller discards them if the statement changes one.

use std::collections::HashMap;
use std::sync::Arc;

use postgres_protocol::message::frontend;

use super::insert_batches::InsertBatches;
use super::parameters::Parameters;
use super::statements::Statements;
use super::wire::{ProtocolConnection, ServerAnswer};
use crate::store::Result;
use crate::store::sql::{DeferredInsert, ToSql};

/// The portal of deferred statements and prefetched queries: each use replaces the one before.
pub(super) const UNNAMED_PORTAL: &str = "";

/// Maximum number of unsettled statements: the server's answers must fit into the socket buffers.
const MAX_STATEMENTS: usize = 192;

/// Octets after which deferred statements are sent, so that the server runs them while more are written. They always
/// end with a Sync message: only after one does the server's timeout for idle transactions run, which ends the
/// transaction of a node that hangs.
const SENT_AT: usize = 32 * 1024;

/// Maximum number of prefetched queries, and of their octets. They must fit into the socket buffers: the server
/// answers while it reads, and the session reads once all are written.
const MAX_QUERIES: usize = 128;
const MAX_QUERY_OCTETS: usize = 48 * 1024;

/// Result of looking up a query among the prefetched ones.
pub(super) enum Prefetched {
    Answered(Arc<ServerAnswer>),
    /// Not collected yet: it can be prefetched.
    New(PrefetchedQuery),
    /// Collected, without an answer yet.
    Pending,
    /// Not prefetched: it needs a round trip of its own.
    Missing,
}

/// Statements without an outcome yet, and prefetched answers.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    /// Rows whose statements are not written yet.
    rows: InsertBatches,
    /// Keys of the statements whose outcome is unknown.
    unsettled: Vec<Box<str>>,
    /// True while queries are collected to be prefetched.
    is_collecting: bool,
    /// Length of the output before the first collected query, in octets.
    before_queries: usize,
    /// Collected queries.
    queries: Vec<PrefetchedQuery>,
    /// None until the answer arrives, and for an answer that did not end with its first rows.
    answers: HashMap<PrefetchedQuery, Option<Arc<ServerAnswer>>>,
    needs_prefetch: bool,
    /// True if rows were lost because their statement could not be written.
    has_lost: bool,
}

/// Key of a prefetched query: the text of its statement, and its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PrefetchedQuery {
    pub(super) sql: Box<str>,
    pub(super) parameters: Parameters,
}

impl Pipeline {
    /// Adds a row that is inserted together with others.
    pub(super) fn push_row(
        &mut self,
        insert: DeferredInsert<'_>,
        parameters: &[&dyn ToSql],
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        let row = Parameters::of(parameters)?;
        if !self.rows.have_room_for(insert.sql) {
            self.write_rows(wire, statements)?;
        }
        self.rows.push(insert, row);
        Ok(())
    }

    /// Writes the statements that insert the waiting rows. Must come before any other statement is written.
    pub(super) fn write_rows(
        &mut self,
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        for batch in self.rows.take() {
            let mut from = 0;
            for rows in batch.statement_sizes() {
                let written = statements.write_rows(&batch, from, rows, wire);
                let key = written.inspect_err(|_| self.has_lost = true)?;
                self.push(&key, wire, statements)?;
                from += rows;
            }
        }
        Ok(())
    }

    /// Adds a deferred statement that was written into the output of the connection.
    pub(super) fn push(
        &mut self,
        sql: &str,
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        self.unsettled.push(sql.into());
        if self.unsettled.len() >= MAX_STATEMENTS {
            return self.settle(wire, statements);
        }
        if wire.output().len() >= SENT_AT {
            return wire.send_early();
        }
        Ok(())
    }

    /// Waits for the outcome of all statements.
    ///
    /// # Errors
    /// The error of the first statement that failed.
    pub(super) fn settle(
        &mut self,
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        self.write_rows(wire, statements)?;
        if self.unsettled.is_empty() {
            return Ok(());
        }
        frontend::sync(wire.output());
        let settled = wire.exchange().map(drop);
        self.take_outcome(settled, statements)
    }

    fn take_outcome(&mut self, outcome: Result<()>, statements: &mut Statements) -> Result<()> {
        if outcome.is_err() {
            self.mark_unprepared(statements);
        }
        self.mark_settled();
        outcome
    }

    /// Records that all unsettled statements succeeded.
    pub(super) fn mark_settled(&mut self) {
        self.unsettled.clear();
    }

    /// Marks the unsettled statements as not prepared: the server may have failed before it prepared them.
    pub(super) fn mark_unprepared(&mut self, statements: &mut Statements) {
        let collected = self.queries.drain(..).map(|query| query.sql);
        for sql in self.unsettled.drain(..).chain(collected) {
            statements.remove(&sql);
        }
        self.mark_settled();
    }

    /// Discards whatever is not settled, before a rollback.
    pub(super) fn discard(&mut self, wire: &mut ProtocolConnection, statements: &mut Statements) {
        self.rows.take();
        self.has_lost = false;
        wire.discard_output();
        wire.pass_over_early();
        self.mark_unprepared(statements);
        self.is_collecting = false;
        self.discard_prefetched();
    }

    /// True if the transaction lacks rows, although the server reported no error.
    pub(super) fn has_lost_rows(&self) -> bool {
        self.has_lost
    }

    /// Discards the prefetched answers, which a change may have made stale.
    pub(super) fn discard_prefetched(&mut self) {
        self.answers.clear();
        self.needs_prefetch = true;
    }

    /// True if prefetched answers were discarded since the last prefetch.
    pub(super) fn needs_prefetch(&self) -> bool {
        self.needs_prefetch
    }

    /// Begins to collect queries instead of running them.
    pub(super) fn begin_prefetch(
        &mut self,
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        self.write_rows(wire, statements)?;
        self.discard_prefetched();
        self.is_collecting = true;
        self.needs_prefetch = false;
        self.before_queries = wire.output().len();
        Ok(())
    }

    /// True while another query can be collected.
    pub(super) fn can_prefetch(&self, wire: &mut ProtocolConnection) -> bool {
        let octets = wire.output().len() - self.before_queries;
        self.queries.len() < MAX_QUERIES && octets < MAX_QUERY_OCTETS
    }

    /// Looks up a query among the prefetched ones.
    pub(super) fn find(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<Prefetched> {
        if !self.is_collecting && self.answers.is_empty() {
            return Ok(Prefetched::Missing);
        }
        let query = PrefetchedQuery {
            sql: sql.into(),
            parameters: Parameters::of(parameters)?,
        };
        Ok(match self.answers.get(&query) {
            Some(Some(answer)) => Prefetched::Answered(answer.clone()),
            Some(None) if self.is_collecting => Prefetched::Pending,
            None if self.is_collecting => Prefetched::New(query),
            _ => Prefetched::Missing,
        })
    }

    /// Collects a query that was written into the output of the connection.
    pub(super) fn push_query(&mut self, query: PrefetchedQuery) {
        self.answers.insert(query.clone(), None);
        self.queries.push(query);
    }

    pub(super) fn is_collecting(&self) -> bool {
        self.is_collecting
    }

    /// Sends the collected queries and keeps their answers.
    ///
    /// # Errors
    /// The error of a query, or of a deferred statement before them.
    pub(super) fn end_prefetch(
        &mut self,
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        self.is_collecting = false;
        if self.queries.is_empty() {
            return Ok(());
        }
        frontend::sync(wire.output());
        let answers = match wire.exchange_all() {
            Ok(answers) => answers,
            Err(error) => {
                self.answers.clear();
                return self.take_outcome(Err(error), statements);
            }
        };
        if answers.len() != self.unsettled.len() + self.queries.len() {
            let error = wire.fail(&"the number of answers differs from the number of queries");
            self.answers.clear();
            return self.take_outcome(Err(error), statements);
        }
        let answers = answers.into_iter().skip(self.unsettled.len());
        self.mark_settled();
        for (query, mut answer) in self.queries.drain(..).zip(answers) {
            if let Some(statement) = statements.get(&query.sql) {
                statement.learn_columns(&mut answer);
            }
            // A longer answer is not kept: the operation that needs it runs the query again.
            if !answer.has_more {
                self.answers.insert(query, Some(Arc::new(answer)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::store::postgres::stream::Stream;
    use crate::store::sql::DeferredTable;

    /// The server cannot notice that they are missing.
    #[test]
    fn rows_whose_statement_cannot_be_written_fail_the_transaction() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let mut wire = ProtocolConnection::of(Stream::Socket(ours), Duration::from_secs(1));
        let (mut statements, mut pipeline) = (Statements::new(true), Pipeline::default());
        let insert = DeferredInsert {
            table: DeferredTable::Event,
            sql: "INSERT INTO a (b, c) VALUES (?, ?)",
            queue: None,
        };
        let one_of_two: &[&dyn ToSql] = &[&1_i64];
        let pushed = pipeline.push_row(insert, one_of_two, &mut wire, &mut statements);
        pushed.expect("it waits");
        assert!(!pipeline.has_lost_rows());
        let settled = pipeline.settle(&mut wire, &mut statements);
        assert!(settled.is_err() && pipeline.has_lost_rows());
        pipeline.discard(&mut wire, &mut statements);
        assert!(!pipeline.has_lost_rows());
    }

    #[test]
    fn queries_with_other_parameters_have_other_keys() {
        let key = |sql: &str, parameters: &[&dyn ToSql]| PrefetchedQuery {
            sql: sql.into(),
            parameters: Parameters::of(parameters).expect("values"),
        };
        let one = key("a", &[&"b", &"c"]);
        assert_eq!(one, key("a", &[&"b".to_owned(), &"c"]));
        for other in [
            key("a", &[&"bc", &""]),
            key("a", &[&"b"]),
            key("ab", &[&"c"]),
            key("a", &[&"b", &None::<String>]),
            key("a", &[&"b", &b"c".to_vec()]),
            key("a", &[&"b", &99_i64]),
        ] {
            assert_ne!(one, other);
        }
    }
}
