//! Sessions: a connection with its prepared statements and the numbers of its transaction.
//!
//! A transaction that writes begins by locking the one row of `writer`, so that transactions of all nodes follow
//! one after the other, and their numbers follow the order of commits. Rows are read from a portal, some at a
//! time, so that a question may be asked while those of another are read.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

use super::commit_outcome;
use super::connection::{self, Purpose};
use super::driver::Server;
use super::migrations::Version;
use super::rows::ResultRow;
use super::statements::Statements;
use super::wire::{ProtocolConnection, ServerAnswer, TransactionState};
use crate::store::StoreError;
use crate::store::engine::driver::{BLOCK, ReaderSession, WriterSession};
use crate::store::engine::notify::Wakeups;
use crate::store::sql::{EngineSession, Receive, Row, SqlValue, ToSql};

/// Rows asked for at once: at first, and then.
const FIRST_ROWS: i32 = 64;
const MORE_ROWS: i32 = 512;

/// A connection that broke while it was idle is noticed within this time.
const SOON: Duration = Duration::from_secs(1);

/// A session of the server.
#[derive(Debug)]
pub(crate) struct PostgresSession {
    pub(super) server: Arc<Server>,
    purpose: Purpose,
    pub(super) wire: RefCell<ProtocolConnection>,
    statements: RefCell<Statements>,
    /// Number of results that are being read.
    depth: Cell<usize>,
    changes: Cell<u64>,
    numbers: Cell<Numbers>,
    /// As they were when the part began.
    numbers_before_part: Cell<Numbers>,
}

/// Numbers of the transaction.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    first: i64,
    next: i64,
    /// The first one that is not reserved; 0 outside of a transaction that writes.
    end: i64,
}

impl PostgresSession {
    pub(super) fn open(server: &Arc<Server>, purpose: Purpose) -> Result<Self, StoreError> {
        let wire = server.connect(purpose, None)?;
        Ok(Self::of(server, purpose, wire))
    }

    pub(super) fn of(server: &Arc<Server>, purpose: Purpose, wire: ProtocolConnection) -> Self {
        Self {
            server: server.clone(),
            purpose,
            wire: RefCell::new(wire),
            statements: RefCell::default(),
            depth: Cell::new(0),
            changes: Cell::new(0),
            numbers: Cell::default(),
            numbers_before_part: Cell::default(),
        }
    }

    /// Runs statements without parameters.
    pub(super) fn simple(&self, sql: &str) -> Result<ServerAnswer, StoreError> {
        self.wire.borrow_mut().simple(sql)
    }

    pub(super) fn state(&self) -> TransactionState {
        self.wire.borrow().state()
    }

    fn is_broken(&self) -> bool {
        self.wire.borrow().is_broken()
    }

    /// Uses another connection from now on.
    pub(super) fn replace_wire(&self, wire: ProtocolConnection) {
        *self.wire.borrow_mut() = wire;
        self.statements.borrow_mut().clear();
    }

    /// Runs a statement that begins a transaction. A connection that broke while it was idle is replaced.
    fn begin_with(&self, sql: &str) -> Result<ServerAnswer, StoreError> {
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
    fn local_settings(&self) -> String {
        if self.server.place.pooler {
            connection::settings(&self.server.place, self.purpose, true)
        } else {
            String::new()
        }
    }

    /// Takes the answer to [`lock_writer`]. Returns the first of the reserved numbers.
    ///
    /// # Errors
    /// The store was moved, or its schema is none that this program works with.
    fn reserve(&self, answer: &ServerAnswer) -> Result<i64, StoreError> {
        let (Some(next), Some(now)) = (answer.parse::<i64>(0), answer.parse(1)) else {
            return Err(StoreError::of_moved_store());
        };
        self.server.clock.compare(now);
        Version::of(answer, 2).check()?;
        Ok(next - BLOCK)
    }

    /// Sends a statement with its parameters, and asks for the first rows of its result.
    fn execute(
        &self,
        sql: &str,
        parameters: &[&dyn ToSql],
        portal: &str,
        rows: i32,
    ) -> Result<ServerAnswer, StoreError> {
        let mut wire = self.wire.borrow_mut();
        let mut statements = self.statements.borrow_mut();
        let mut is_full = false;
        let forgotten = statements.take_forgotten();
        let statement = statements.find(sql, !self.server.place.pooler, &mut is_full);
        if is_full && !self.server.place.pooler {
            wire.simple("DEALLOCATE ALL")?;
        }
        if statement.parameters != parameters.len() {
            return Err(StoreError::Other(format!(
                "{} parameters for a statement with {}",
                parameters.len(),
                statement.parameters
            )));
        }
        let is_new = !statement.is_prepared || statement.name.is_empty();
        let needs_columns = rows > 0 && (is_new || statement.columns.is_none());
        let output = wire.output();
        let written = (|| {
            for name in forgotten {
                frontend::close(b'S', &name, output)?;
            }
            if is_new {
                frontend::parse(&statement.name, &statement.text, [], output)?;
            }
            // One that was not read to its end is still there.
            frontend::close(b'P', portal, output)?;
            bind(portal, &statement.name, parameters, output)?;
            if needs_columns {
                frontend::describe(b'P', portal, output)?;
            }
            frontend::execute(portal, rows, output)?;
            frontend::sync(output);
            Ok::<_, std::io::Error>(())
        })();
        if let Err(cause) = written {
            wire.discard_output();
            return Err(StoreError::Other(cause.to_string()));
        }
        let answer = wire.exchange();
        let has_changed = match &answer {
            Ok(answer) if rows == 0 => u64::try_from(answer.count).unwrap_or(1),
            Ok(_) => u64::from(!statement.only_reads),
            // Whatever was changed must be rolled back.
            Err(_) => 1,
        };
        self.changes.set(self.changes.get() + has_changed);
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                // The server may have prepared it, or may have to prepare it anew after a migration.
                statements.forget(sql);
                return Err(error);
            }
        };
        statement.is_prepared = true;
        if needs_columns {
            statement.columns.clone_from(&answer.columns);
        } else {
            answer.columns.clone_from(&statement.columns);
        }
        Ok(answer)
    }

    /// Asks for more rows of a result.
    fn fetch(&self, portal: &str) -> Result<ServerAnswer, StoreError> {
        let mut wire = self.wire.borrow_mut();
        let output = wire.output();
        frontend::execute(portal, MORE_ROWS, output)
            .map_err(|cause| StoreError::Other(cause.to_string()))?;
        frontend::sync(output);
        wire.exchange()
    }
}

/// Parameters are texts, except for octets: the server takes the type of each from the statement.
fn bind(
    portal: &str,
    statement: &str,
    parameters: &[&dyn ToSql],
    output: &mut BytesMut,
) -> Result<(), std::io::Error> {
    let mut formats = Vec::with_capacity(parameters.len());
    for parameter in parameters {
        let found = parameter.bind(&mut |value| {
            formats.push(i16::from(matches!(value, SqlValue::Blob(_))));
            Ok(())
        });
        found.map_err(std::io::Error::other)?;
    }
    let bound = frontend::bind(
        portal,
        statement,
        formats,
        parameters,
        |parameter, output| {
            let mut is_null = IsNull::No;
            parameter.bind(&mut |value| {
                match value {
                    SqlValue::Null => is_null = IsNull::Yes,
                    SqlValue::Integer(number) => output.put_slice(number.to_string().as_bytes()),
                    SqlValue::Blob(octets) => output.put_slice(octets),
                    // The server has no NUL in a text.
                    SqlValue::Text(text) if text.contains('\0') => {
                        output.put_slice(text.replace('\0', "\u{fffd}").as_bytes());
                    }
                    SqlValue::Text(text) => output.put_slice(text.as_bytes()),
                }
                Ok(())
            })?;
            Ok::<_, Box<dyn Error + Send + Sync>>(is_null)
        },
        [1],
        output,
    );
    bound.map_err(|error| match error {
        frontend::BindError::Conversion(cause) => std::io::Error::other(cause),
        frontend::BindError::Serialization(cause) => cause,
    })
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
    fn query(
        &self,
        sql: &str,
        parameters: &[&dyn ToSql],
        receive: &mut Receive<'_>,
    ) -> Result<(), StoreError> {
        let (_depth, portal) = Depth::enter(&self.depth);
        let mut answer = self.execute(sql, parameters, &portal, FIRST_ROWS)?;
        let Some(columns) = answer.columns.take() else {
            return Ok(());
        };
        loop {
            for row in &answer.rows {
                let row = ResultRow::of(&columns, row)?;
                if let ControlFlow::Break(()) = receive(&Row::of(&row))? {
                    return Ok(());
                }
            }
            if !answer.has_more {
                return Ok(());
            }
            answer = self.fetch(&portal)?;
        }
    }

    fn run(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<usize, StoreError> {
        let (_depth, portal) = Depth::enter(&self.depth);
        Ok(self.execute(sql, parameters, &portal, 0)?.count)
    }

    fn next_number(&self) -> Result<i64, StoreError> {
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

    fn read_content(&self, entry: i64, offset: usize, buffer: &mut [u8]) -> Result<(), StoreError> {
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

/// Statements that lock the row of the writer until the transaction ends, and reserve numbers. The second one has
/// a snapshot of its own, so that it sees the schema of a migration that held the lock before.
fn lock_writer() -> String {
    format!(
        "UPDATE writer SET next_number = next_number + {BLOCK} WHERE n = 1;
         SELECT next_number, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, version, works_with
             FROM writer, schema_version WHERE n = 1"
    )
}

impl WriterSession for PostgresSession {
    fn begin(&self) -> Result<(), StoreError> {
        let local = self.local_settings();
        let lock = lock_writer();
        let sql = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {local} {lock}");
        let first = self.reserve(&self.begin_with(&sql)?)?;
        self.numbers.set(Numbers {
            first,
            next: first,
            end: first + BLOCK,
        });
        Ok(())
    }

    /// They are reserved already.
    fn keep_numbers(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&self, wakeups: Wakeups) -> Result<(), StoreError> {
        let batch = self.numbers.take().first;
        commit_outcome::commit(self, batch, wakeups)
    }

    fn roll_back(&self) -> bool {
        self.numbers.take();
        if self.is_broken() {
            return false;
        }
        self.state() == TransactionState::None || self.simple("ROLLBACK").is_ok()
    }

    fn is_in_transaction(&self) -> bool {
        !self.is_broken() && self.state() != TransactionState::None
    }

    fn has_failed(&self) -> bool {
        self.is_broken() || self.state() == TransactionState::Failed
    }

    fn begin_part(&self) -> Result<(), StoreError> {
        self.numbers_before_part.set(self.numbers.get());
        self.simple("SAVEPOINT part").map(drop)
    }

    fn roll_part_back(&self) -> Result<(), StoreError> {
        // Blocks that the part reserved are given back with it, and are reserved again.
        let (before, mut numbers) = (self.numbers_before_part.get(), self.numbers.get());
        if numbers.end != before.end {
            (numbers.next, numbers.end) = (before.end, before.end);
            self.numbers.set(numbers);
        }
        self.simple("ROLLBACK TO SAVEPOINT part").map(drop)
    }

    fn end_part(&self) -> Result<(), StoreError> {
        self.simple("RELEASE SAVEPOINT part").map(drop)
    }

    fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// The outcome of a commit says it all.
    fn confirm(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn after_commit(&self) {}

    fn free_memory(&self) {
        self.statements.borrow_mut().clear();
        if !self.server.place.pooler {
            // A failure shows at the next transaction.
            let _ = self.simple("DEALLOCATE ALL");
        }
    }
}

impl ReaderSession for PostgresSession {
    fn confirm(&self) -> Result<(), StoreError> {
        if self.is_broken() {
            return Err(StoreError::Away("the connection is broken".to_owned()));
        }
        Ok(())
    }

    fn begin_reading(&self) -> Result<(), StoreError> {
        let local = self.local_settings();
        let sql = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {local}");
        self.begin_with(&sql).map(drop)
    }

    fn end_reading(&self) -> Result<(), StoreError> {
        self.simple("COMMIT").map(drop)
    }

    /// The server has the caches.
    fn free_cache(&self) {}
}
