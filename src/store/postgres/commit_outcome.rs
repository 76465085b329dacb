//! The outcome of a COMMIT. Takes a filled transaction, and reports that it is durable, that it was not committed,
//! or that its outcome is unknown.
//!
//! Each batch writes its unique number into the row of its opening in `committed`. If the answer to a COMMIT is
//! lost, another transaction looks the number up there. It writes, too: so it waits for the lock that the lost
//! transaction may still hold, and its own COMMIT is answered only after everything before it in the server's
//! write-ahead log is as durable as the server promises. A notice during COMMIT means that the server gave up
//! waiting for its standby (PostgreSQL's documentation, "Synchronous Replication"). It reports success all the
//! same, so this answer counts as lost, too.

use std::time::{Duration, Instant};

use super::connection::{self, Purpose};
use super::session::PostgresSession;
use super::wire::{ProtocolConnection, TransactionState};
use crate::store::engine::notify::Wakeups;
use crate::store::{Result, StoreError};

/// Time for finding the outcome, from the moment when the answer is lost.
const LOOKING: Duration = Duration::from_secs(20);

/// Pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(250);

/// Outcome of a COMMIT, as far as it is known.
enum Outcome {
    Committed,
    /// Nothing of it is in the database.
    Failed(StoreError),
    Unknown(StoreError),
}

/// Commits the transaction of a session, as the batch with this number.
///
/// # Errors
/// The transaction was not committed, or the outcome is unknown for now.
pub(super) fn commit(session: &PostgresSession, batch: i64, wakeups: Wakeups) -> Result<()> {
    let server = &session.server;
    let sql = format!(
        "{}INSERT INTO committed (opening, batch, written_at)
         VALUES ('{opening}', {batch}, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)
         ON CONFLICT (opening) DO UPDATE SET batch = excluded.batch, written_at = excluded.written_at; COMMIT",
        server.announce(wakeups),
        opening = server.opening,
    );
    let outcome = send(&mut session.wire.borrow_mut(), &sql);
    match outcome {
        Outcome::Committed => Ok(()),
        Outcome::Failed(error) => Err(error),
        Outcome::Unknown(error) => look_up(session, batch, error),
    }
}

/// Runs statements that end with COMMIT.
fn send(wire: &mut ProtocolConnection, sql: &str) -> Outcome {
    if let Err(error) = wire.begin_simple(sql) {
        wire.discard_output();
        return Outcome::Failed(error);
    }
    let notices = wire.notices();
    match wire.exchange_or_message() {
        Err(error) => Outcome::Unknown(error),
        // The server ended the session, and may have committed before.
        Ok(Err(message)) if message.is_fatal => Outcome::Unknown(message.into_error()),
        // The server rolls back what it reports as an error.
        Ok(Err(message)) => Outcome::Failed(message.into_error()),
        Ok(Ok(_)) if wire.notices() != notices => Outcome::Unknown(StoreError::Away(format!(
            "PostgreSQL: {}",
            wire.last_notice()
        ))),
        Ok(Ok(answer)) if answer.command == "COMMIT" && wire.state() == TransactionState::None => {
            Outcome::Committed
        }
        // COMMIT of a failed transaction is answered by `ROLLBACK`.
        Ok(Ok(answer)) => Outcome::Failed(StoreError::Other(format!(
            "the server answered COMMIT with {}",
            answer.command
        ))),
    }
}

/// Looks up the batch over another connection, which the session uses from then on.
fn look_up(session: &PostgresSession, batch: i64, lost: StoreError) -> Result<()> {
    let deadline = Instant::now() + LOOKING;
    let place = &session.server.place;
    let settings = if place.pooler {
        connection::settings(place, Purpose::Write, true)
    } else {
        String::new()
    };
    // Waits for the lock of the writer first, which the lost transaction holds until it has ended.
    let sql = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {settings}
         UPDATE writer SET next_number = next_number + 1 WHERE n = 1;
         SELECT count(*) FROM committed WHERE opening = '{}' AND batch = {batch}",
        session.server.opening
    );
    let mut cause = lost;
    while Instant::now() < deadline {
        match ask(session, &sql, deadline) {
            Ok(Some(true)) => return Ok(()),
            Ok(Some(false)) => return Err(cause),
            // The commit of the look-up itself is uncertain.
            Ok(None) => {}
            Err(error) => cause = error,
        }
        std::thread::sleep(PAUSE);
    }
    Err(StoreError::Away(format!(
        "the outcome of a commit is unknown: {cause}"
    )))
}

/// True if the batch is in the database; None if that is not certain.
fn ask(session: &PostgresSession, sql: &str, deadline: Instant) -> Result<Option<bool>> {
    let mut wire = session.server.connect(Purpose::Write, Some(deadline))?;
    let answer = wire.simple(sql)?;
    let stands = answer.text(0).as_deref() == Some("1");
    match send(&mut wire, "COMMIT") {
        Outcome::Committed => {
            session.replace_wire(wire);
            Ok(Some(stands))
        }
        Outcome::Failed(error) => Err(error),
        Outcome::Unknown(_) => Ok(None),
    }
}
