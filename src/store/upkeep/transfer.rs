//! Moves a store to another location, between any two engines: copies all rows and compares them with the source.
//!
//! The source is closed before anything is read: its row of `writer` is deleted, without which no process can begin
//! a transaction that writes. So every message that was answered 250 is moved. An interrupted transfer is repeated,
//! or undone.

use crate::domain::Timestamp;
use crate::store::engine::driver::Driver;
use crate::store::engine::notify::Wakeups;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{TableShape, Tx};
use crate::store::upkeep::copy_rows::{RowCopier, TargetSession, count, summarize, tables};
use crate::store::upkeep::examine::read_in_transaction;
use crate::store::upkeep::invariants;
use crate::store::{Location, Result, StoreError};

/// Outcome of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    pub tables: usize,
    pub rows: u64,
}

/// The role of a database in a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Source,
    Target,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

/// Record of a transfer in a database.
struct TransferRecord {
    role: Role,
    /// Location of the other database.
    place: String,
    next_number: Option<i64>,
}

fn find_transfer_record(driver: &dyn Driver) -> Result<Option<TransferRecord>> {
    read_in_transaction(driver, |tx| {
        tx.maybe_with("SELECT role, place, next_number FROM moved", &[], |row| {
            let role: String = row.get(0)?;
            Ok(TransferRecord {
                role: match role.as_str() {
                    "source" => Role::Source,
                    _ => Role::Target,
                },
                place: row.get(1)?,
                next_number: row.get(2)?,
            })
        })
    })
}

/// Checks that a database is the current location of its store.
///
/// # Errors
/// The store was moved away, or has not arrived completely.
pub(crate) fn check(driver: &dyn Driver, place: &Location) -> Result<()> {
    let Some(record) = find_transfer_record(driver)? else {
        return Ok(());
    };
    let cause = match record.role {
        Role::Source => format!(
            "the store was moved to {}; set [store] to that location, or undo the transfer with \
             `vestibule transfer --undo`",
            record.place
        ),
        Role::Target => format!(
            "the store has not arrived completely; repeat `vestibule transfer` with the \
             configuration of {}",
            record.place
        ),
    };
    Err(StoreError::open(place, cause))
}

/// Moves a store. `progress` receives the number of rows done and the total; each row counts twice, written
/// and compared. Blocks.
///
/// # Errors
/// The target has a store already, or one of the databases fails; the source stays closed until the transfer is
/// repeated or undone.
pub fn transfer(
    from: &Location,
    to: &Location,
    now: Timestamp,
    mut progress: impl FnMut(u64, u64),
) -> Result<Transferred> {
    let (source, target) = (from.driver(), to.driver());
    source.check_schema()?;
    let name_target = |error| name_target_if_full(to, error);
    let writer = create_target(&*target, from, to, now).map_err(name_target)?;
    let next_number = close_source(&*source, from, to, now)?;

    let reader = source.open_copy_reader()?;
    reader.begin_reading()?;
    let tx: &Tx = &*reader;
    let tables = tables(tx)?;
    let mut count = Count {
        done: 0,
        all: 2 * count(tx, &tables)?,
        progress: &mut progress,
    };
    copy(tx, &*target, &*writer, &tables, next_number, &mut count).map_err(name_target)?;
    compare_invariants(tx, &*target).map_err(name_target)?;
    reader.end_reading()?;
    remove_mark(&*writer).map_err(name_target)?;
    Ok(Transferred {
        tables: tables.len(),
        rows: count.all / 2,
    })
}

/// Creates the target, unless an earlier transfer did, and marks it as one that is being filled.
fn create_target(
    target: &dyn Driver,
    from: &Location,
    to: &Location,
    now: Timestamp,
) -> Result<Box<TargetSession>> {
    // A store of an older version is not migrated.
    if to.exists() {
        let (found, known) = target.schema()?;
        if found > 0 && found < known {
            return Err(refuse_taken(to));
        }
    }
    target.create()?;
    target.migrate()?;
    let writer = target.open_copy_writer()?;
    prepare_target(target, &*writer, from, to, now)?;
    Ok(writer)
}

/// Names the target if its disk is full: the source may be a file, too.
fn name_target_if_full(to: &Location, error: StoreError) -> StoreError {
    match error {
        StoreError::Full(_) => {
            StoreError::open(to, "the disk is full; make room and repeat the transfer")
        }
        error => error,
    }
}

/// Progress of a transfer, in rows.
pub(super) struct Count<'a> {
    pub(super) done: u64,
    pub(super) all: u64,
    pub(super) progress: &'a mut dyn FnMut(u64, u64),
}

impl Count<'_> {
    fn add(&mut self, rows: u64) {
        self.done += rows;
        (self.progress)(self.done, self.all);
    }
}

/// Copies all rows, and compares them.
///
/// # Errors
/// One of the databases fails, or the copy differs from the source.
pub(super) fn copy(
    source: &Tx,
    target: &dyn Driver,
    writer: &TargetSession,
    tables: &[TableShape],
    next_number: i64,
    count: &mut Count<'_>,
) -> Result<()> {
    let mut copier = RowCopier::begin(writer, tables)?;
    let mut summaries = Vec::with_capacity(tables.len());
    for table in tables {
        summaries.push(copier.copy(source, table, &mut |rows| count.add(rows))?);
    }
    copier.end(next_number)?;
    let reader = target.open_copy_reader()?;
    reader.begin_reading()?;
    for (table, read) in tables.iter().zip(&summaries) {
        let written = summarize(&*reader, table)?;
        if written != *read {
            return Err(StoreError::Other(format!(
                "{}: the {} rows read and the {} rows written differ",
                read.table, read.rows, written.rows
            )));
        }
        count.add(written.rows);
    }
    reader.end_reading()
}

fn refuse_taken(place: &Location) -> StoreError {
    StoreError::open(
        place,
        "it already contains a store; choose another location",
    )
}

/// Marks an empty database as one that is being filled.
fn prepare_target(
    target: &dyn Driver,
    writer: &TargetSession,
    from: &Location,
    to: &Location,
    now: Timestamp,
) -> Result<()> {
    match find_transfer_record(target)? {
        // An earlier transfer was interrupted.
        Some(record) if record.role == Role::Target => return Ok(()),
        Some(record) => {
            return Err(StoreError::open(
                to,
                format!(
                    "it contains the remains of a store that was moved to {}",
                    record.place
                ),
            ));
        }
        None => {}
    }
    within(writer, |tx| {
        for table in ["access_revision", "account", "event", "ledger", "operator"] {
            if tx.exists(&format!("SELECT 1 FROM {table} LIMIT 1"), &[])? {
                return Err(refuse_taken(to));
            }
        }
        record(tx, Role::Target, from, now)
    })
}

fn record(tx: &Tx, role: Role, other: &Location, now: Timestamp) -> Result<()> {
    tx.run(
        "INSERT INTO moved (n, role, place, at, next_number)
             SELECT 1, ?, ?, ?, next_number FROM writer",
        &[&role.as_str(), &other.to_string(), &Millis::from(now)],
    )?;
    Ok(())
}

/// Closes the source for all processes. Returns the next number.
fn close_source(
    source: &dyn Driver,
    from: &Location,
    to: &Location,
    now: Timestamp,
) -> Result<i64> {
    if let Some(found) = find_transfer_record(source)? {
        if found.role == Role::Source && found.place == to.to_string() {
            return next_number_of(&found);
        }
        return Err(check(source, from).err().unwrap_or(StoreError::Closed));
    }
    let writer = source.open_writer(false)?;
    within(&*writer, |tx| {
        record(tx, Role::Source, to, now)?;
        tx.run("DELETE FROM writer", &[])?;
        Ok(())
    })?;
    let record = find_transfer_record(source)?;
    next_number_of(
        &record
            .ok_or_else(|| StoreError::Other("the record of the transfer is missing".to_owned()))?,
    )
}

fn next_number_of(record: &TransferRecord) -> Result<i64> {
    record
        .next_number
        .ok_or_else(|| StoreError::DamagedRow("a moved store has no next number".to_owned()))
}

/// Runs a transaction.
fn within(writer: &TargetSession, run: impl FnOnce(&Tx) -> Result<()>) -> Result<()> {
    writer.begin()?;
    commit_or_roll_back(writer, run(writer).and_then(|()| writer.keep_numbers()))
}

fn commit_or_roll_back(writer: &TargetSession, done: Result<()>) -> Result<()> {
    if let Err(error) = done {
        writer.roll_back();
        return Err(error);
    }
    writer.commit(Wakeups::default())
}

fn delete_record(tx: &Tx) -> Result<()> {
    tx.run("DELETE FROM moved", &[]).map(drop)
}

fn remove_mark(writer: &TargetSession) -> Result<()> {
    within(writer, delete_record)
}

/// Checks that the copy violates no invariant that the source did not violate already.
fn compare_invariants(source: &Tx, target: &dyn Driver) -> Result<()> {
    let reader = target.open_copy_reader()?;
    reader.begin_reading()?;
    let found = invariants::check(&*reader)?;
    reader.end_reading()?;
    if found.is_empty() {
        return Ok(());
    }
    let known = invariants::check(source)?;
    match found.iter().find(|violation| !known.contains(violation)) {
        None => Ok(()),
        Some(new) => Err(StoreError::Other(format!(
            "the copy violates an invariant: {}: {}",
            new.invariant, new.place
        ))),
    }
}

/// Reopens a database whose store was moved away, or whose transfer has begun. It lacks everything that the other
/// database received since. Returns the location of the other database; None if the store was not moved.
///
/// # Errors
/// The database cannot be written.
pub fn undo_transfer(place: &Location) -> Result<Option<String>> {
    let driver = place.driver();
    driver.check_schema()?;
    let found = find_transfer_record(&*driver)?;
    let Some(record) = found.filter(|record| record.role == Role::Source) else {
        return Ok(None);
    };
    let next_number = next_number_of(&record)?;
    let writer = driver.open_writer(false)?;
    writer.begin_without_numbers()?;
    let tx: &Tx = &*writer;
    let sql = "INSERT INTO writer (n, next_number) VALUES (1, ?) ON CONFLICT (n) DO NOTHING";
    let reopened = tx.run(sql, &[&next_number]);
    commit_or_roll_back(&*writer, reopened.and_then(|_| delete_record(tx)))?;
    Ok(Some(record.place))
}
