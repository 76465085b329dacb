//! Sessions: a connection with its prepared statements and the numbers of its transaction.
//!
//! A transaction that writes begins by locking the one row of `writer`, so that the transactions of all nodes run
//! one after the other, and their numbers follow the order of commits. Rows are fetched from a portal in batches, so
//! that another query can run while the rows of one are read.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postgres_protocol::message::frontend;

use super::connection::{self, Purpose};
use super::driver::Server;
use super::parameters::Parameters;
use super::pipeline::{Pipeline, Prefetched, UNNAMED_PORTAL};
use super::rows::{ResultColumns, ResultRow};
use super::statements::Statements;
use super::transactions::lock_writer;
use super::wire::{ProtocolConnection, ServerAnswer, TransactionState};
use crate::store::engine::driver::BLOCK;
use crate::store::sql::{DeferredInsert, EngineSession, Receive, Row, SqlValue, ToSql};
use crate::store::{Result, StoreError};

/// Rows of the first fetch from a portal, and of each later one.
const FIRST_ROWS: i32 = 64;
const MORE_ROWS: i32 = 512;

/// A connection that broke while it was idle is noticed within this time.
const SOON: Duration = Duration::from_secs(1);

/// A session of the server.
#[derive(Debug)]
pub(crate) struct PostgresSession {
    pub(super) server: Arc<Server>,
    pub(super) purpose: Purpose,
    pub(super) wire: RefCell<ProtocolConnection>,
    pub(super) statements: RefCell<Statements>,
    pub(super) pipeline: RefCell<Pipeline>,
    /// Number of results that are being read.
    depth: Cell<usize>,
    pub(super) changes: Cell<u64>,
    pub(super) numbers: Cell<NumberBlock>,
    /// Numbers at the savepoint.
    pub(super) numbers_at_savepoint: Cell<NumberBlock>,
}

/// Numbers of the transaction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NumberBlock {
    pub(super) first: i64,
    pub(super) next: i64,
    /// The first one that is not reserved; 0 outside of a transaction that writes.
    pub(super) end: i64,
}

impl PostgresSession {
    pub(super) fn open(server: &Arc<Server>, purpose: Purpose) -> Result<Self> {
        let wire = server.connect(purpose, None)?;
        Ok(Self::of(server, purpose, wire))
    }

    pub(super) fn of(server: &Arc<Server>, purpose: Purpose, wire: ProtocolConnection) -> Self {
        Self {
            server: server.clone(),
            purpose,
            wire: RefCell::new(wire),
            statements: RefCell::new(Statements::new(!server.place.pooler)),
            pipeline: RefCell::default(),
            depth: Cell::new(0),
            changes: Cell::new(0),
            numbers: Cell::default(),
            numbers_at_savepoint: Cell::default(),
        }
    }

    /// Runs statements without parameters.
    pub(super) fn simple(&self, sql: &str) -> Result<ServerAnswer> {
        self.settle_deferred()?;
        self.wire.borrow_mut().simple(sql)
    }

    /// Waits for the outcome of the deferred statements.
    pub(super) fn settle_deferred(&self) -> Result<()> {
        let mut pipeline = self.pipeline.borrow_mut();
        pipeline.settle(
            &mut self.wire.borrow_mut(),
            &mut self.statements.borrow_mut(),
        )
    }

    /// Discards the deferred statements, before a rollback.
    pub(super) fn discard_deferred(&self) {
        let mut pipeline = self.pipeline.borrow_mut();
        pipeline.discard(
            &mut self.wire.borrow_mut(),
            &mut self.statements.borrow_mut(),
        );
    }

    pub(super) fn state(&self) -> TransactionState {
        self.wire.borrow().state()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.wire.borrow().is_broken()
    }

    /// Uses another connection from now on.
    pub(super) fn replace_wire(&self, wire: ProtocolConnection) {
        *self.wire.borrow_mut() = wire;
        self.statements.borrow_mut().clear();
        self.pipeline.take();
    }

    /// Runs a statement that begins a transaction. A connection that broke while it was idle is replaced.
    pub(super) fn begin_with(&self, sql: &str) -> Result<ServerAnswer> {
        if !self.is_broken() {
            let start = Instant::now();
            let began = self.simple(sql);
            // A server that does not answer in time is not asked again.
            if !self.is_broken() || start.elapsed() > SOON {
                return began;
            }
        }
        self.replace_wire(self.server.connect(self.purpose, None)?);
        self.simple(sql)
    }

    /// Settings that a session behind a pooler has in a transaction only.
    pub(super) fn local_settings(&self) -> String {
        if self.server.place.pooler {
            connection::settings(&self.server.place, self.purpose, true)
        } else {
            String::new()
        }
    }

    /// Sends a statement with its parameters, and asks for the first rows of its result.
    fn execute(
        &self,
        sql: &str,
        parameters: &[&dyn ToSql],
        portal: &str,
        rows: i32,
    ) -> Result<ServerAnswer> {
        let mut wire = self.wire.borrow_mut();
        let mut statements = self.statements.borrow_mut();
        let mut pipeline = self.pipeline.borrow_mut();
        if pipeline.is_collecting() {
            return Err(StoreError::Other(
                "only queries can be prefetched".to_owned(),
            ));
        }
        pipeline.write_rows(&mut wire, &mut statements)?;
        if !statements.have_room_for(sql) {
            pipeline.settle(&mut wire, &mut statements)?;
            statements.clear();
            if statements.have_names() {
                wire.simple("DEALLOCATE ALL")?;
            }
        }
        let parameters = Parameters::of(parameters)?;
        let statement = statements.write(sql, &parameters, portal, rows, &mut wire)?;
        frontend::sync(wire.output());
        let answer = wire.exchange();
        let has_changed = match &answer {
            Ok(answer) if rows == 0 => u64::try_from(answer.count).unwrap_or(1),
            Ok(_) => u64::from(!statement.only_reads),
            // Whatever was changed must be rolled back.
            Err(_) => 1,
        };
        self.changes.set(self.changes.get() + has_changed);
        if has_changed > 0 {
            pipeline.discard_prefetched();
        }
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                // The server may have prepared it, or may have to prepare it anew after a migration.
                statements.remove(sql);
                pipeline.mark_unprepared(&mut statements);
                return Err(error);
            }
        };
        pipeline.mark_settled();
        statement.learn_columns(&mut answer);
        Ok(answer)
    }

    /// Returns the answer to a prefetched query. While a prefetch is prepared, collects the query instead.
    fn find_or_collect(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<Prefetched> {
        let mut pipeline = self.pipeline.borrow_mut();
        let query = match pipeline.find(sql, parameters)? {
            Prefetched::New(query) => query,
            found => return Ok(found),
        };
        let mut statements = self.statements.borrow_mut();
        let mut wire = self.wire.borrow_mut();
        // Without room, the operation that needs the answer runs the query itself.
        if statements.have_room_for(sql) && pipeline.can_prefetch(&mut wire) {
            statements.write(
                sql,
                &query.parameters,
                UNNAMED_PORTAL,
                FIRST_ROWS,
                &mut wire,
            )?;
            pipeline.push_query(query);
        }
        Ok(Prefetched::Pending)
    }

    /// Asks for more rows of a result.
    fn fetch(&self, portal: &str) -> Result<ServerAnswer> {
        let mut wire = self.wire.borrow_mut();
        let mut statements = self.statements.borrow_mut();
        let mut pipeline = self.pipeline.borrow_mut();
        pipeline.settle(&mut wire, &mut statements)?;
        let output = wire.output();
        frontend::execute(portal, MORE_ROWS, output)
            .map_err(|cause| StoreError::Other(cause.to_string()))?;
        frontend::sync(output);
        wire.exchange()
    }
}

/// Passes rows on to the receiver, until it returns `Break`.
fn pass_on(
    columns: &ResultColumns,
    answer: &ServerAnswer,
    receive: &mut Receive<'_>,
) -> Result<ControlFlow<()>> {
    for row in &answer.rows {
        let row = ResultRow::of(columns, row)?;
        if receive(&Row::of(&row))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Counts the results that are being read, also where reading ends early.
struct Depth<'a>(&'a Cell<usize>);

impl<'a> Depth<'a> {
    fn enter(depth: &'a Cell<usize>) -> (Self, String) {
        let number = depth.get();
        depth.set(number + 1);
        // The portal without a name would end with any statement that runs between two fetches.
        (Self(depth), format!("p{number}"))
    }
}

impl Drop for Depth<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl EngineSession for PostgresSession {
    fn query(&self, sql: &str, parameters: &[&dyn ToSql], receive: &mut Receive<'_>) -> Result<()> {
        match self.find_or_collect(sql, parameters)? {
            Prefetched::Answered(answer) => {
                let columns = answer.columns.as_ref();
                return columns.map_or(Ok(()), |columns| {
                    pass_on(columns, &answer, receive).map(drop)
                });
            }
            Prefetched::New(_) | Prefetched::Pending => return Ok(()),
            Prefetched::Missing => {}
        }
        let (_depth, portal) = Depth::enter(&self.depth);
        let mut answer = self.execute(sql, parameters, &portal, FIRST_ROWS)?;
        let Some(columns) = answer.columns.take() else {
            return Ok(());
        };
        loop {
            let goes_on = pass_on(&columns, &answer, receive)?;
            if goes_on.is_break() || !answer.has_more {
                return Ok(());
            }
            answer = self.fetch(&portal)?;
        }
    }

    fn run(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<usize> {
        let (_depth, portal) = Depth::enter(&self.depth);
        Ok(self.execute(sql, parameters, &portal, 0)?.count)
    }

    fn run_deferred(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<()> {
        let has_room = self.statements.borrow().have_room_for(sql);
        if !has_room || self.pipeline.borrow().is_collecting() {
            return self.run(sql, parameters).map(drop);
        }
        let mut wire = self.wire.borrow_mut();
        let mut statements = self.statements.borrow_mut();
        let mut pipeline = self.pipeline.borrow_mut();
        pipeline.write_rows(&mut wire, &mut statements)?;
        statements.write(
            sql,
            &Parameters::of(parameters)?,
            UNNAMED_PORTAL,
            0,
            &mut wire,
        )?;
        self.changes.set(self.changes.get() + 1);
        pipeline.push(sql, &mut wire, &mut statements)
    }

    fn insert_deferred(&self, insert: DeferredInsert<'_>, parameters: &[&dyn ToSql]) -> Result<()> {
        if self.pipeline.borrow().is_collecting() {
            return self.run(insert.sql, parameters).map(drop);
        }
        let mut wire = self.wire.borrow_mut();
        let mut statements = self.statements.borrow_mut();
        let mut pipeline = self.pipeline.borrow_mut();
        self.changes.set(self.changes.get() + 1);
        pipeline.push_row(insert, parameters, &mut wire, &mut statements)
    }

    fn discard_prefetched(&self) {
        self.pipeline.borrow_mut().discard_prefetched();
    }

    fn is_among(&self, number: &str, list: &str) -> String {
        // The list is read once for the statement, and not for each number.
        format!("{number} = ANY ((SELECT string_to_array({list}, ',')::bigint[])::bigint[])")
    }

    fn next_number(&self) -> Result<i64> {
        let mut numbers = self.numbers.get();
        if numbers.end == 0 {
            return Err(StoreError::Other(
                "a number was requested outside of a transaction of the writer".to_owned(),
            ));
        }
        if numbers.next == numbers.end {
            // The row is locked, so the next block follows this one.
            numbers.next = self.reserve(&self.simple(&lock_writer())?)?;
            numbers.end = numbers.next + BLOCK;
        }
        let number = numbers.next;
        numbers.next += 1;
        self.numbers.set(numbers);
        Ok(number)
    }

    fn read_content(&self, entry: i64, offset: usize, buffer: &mut [u8]) -> Result<()> {
        let sql = "SELECT substring(raw FROM ?1 FOR ?2) FROM content WHERE ledger = ?3";
        let parameters: &[&dyn ToSql] = &[&(offset + 1), &buffer.len(), &entry];
        let mut found = false;
        self.query(sql, parameters, &mut |row| {
            if let SqlValue::Blob(octets) = row.value(0)?
                && octets.len() == buffer.len()
            {
                buffer.copy_from_slice(octets);
                found = true;
            }
            Ok(ControlFlow::Break(()))
        })?;
        if found {
            return Ok(());
        }
        Err(StoreError::Other(format!(
            "there are no {} octets of content at {offset} of entry {entry}",
            buffer.len()
        )))
    }
}
