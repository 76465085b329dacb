//! What time does to rows: holds expire, people are reminded, contents and old entries are forgotten.
//!
//! Each operation takes at most `limit` rows and says how many it took, so that mail never waits long
//! behind one; whoever calls comes back as long as there is more.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::accounts::known_by_n;
use super::columns::Millis;
use super::events::{Actors, Happening};
use super::letters::{Occasion, owe};
use super::writer::Work;
use super::{LetterCause, LetterKind, Store, StoreError, queue};
use crate::domain::{LedgerId, PortalName, RequestId, RequestState, Timestamp};

impl Store {
    /// Ends the holds whose time is over.
    pub async fn expire_holds(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<RequestId>, StoreError> {
        self.write(move |work| expire(work.connection, now.into(), limit))
            .await
    }

    /// Owes each account one reminder whose held requests expire within `remind_before`. Says how
    /// many accounts that were; one that may not get mail counts as reminded.
    pub async fn owe_reminders(
        &self,
        now: Timestamp,
        remind_before: Duration,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.write(move |work| work.remind(now.into(), remind_before, limit))
            .await
    }

    /// Forgets the contents of dropped messages whose time is over, and of requests that were
    /// settled longer ago than `keep_settled`. A content stays as long as one entry wants it.
    pub async fn forget_content(
        &self,
        now: Timestamp,
        keep_settled: Duration,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.write(move |work| forget_content(work.connection, now.into(), keep_settled, limit))
            .await
    }

    /// Forgets entries older than `keep`, oldest first, with all that belongs to them; those whose
    /// request still waits stay. Expired tokens go, too, and accounts' old letters.
    pub async fn forget_ledger(
        &self,
        now: Timestamp,
        keep: Duration,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.write(move |work| {
            let now = Millis::from(now);
            let entries = forget_entries(work.connection, now.minus(keep), limit)?;
            let tokens = forget_tokens(work.connection, now.minus(keep), limit)?;
            let letters = forget_letters(work.connection, now.minus(keep), limit)?;
            give_pages_back(work.connection)?;
            Ok(entries.max(tokens).max(letters))
        })
        .await
    }
}

fn expire(
    connection: &Connection,
    now: Millis,
    limit: usize,
) -> Result<Vec<RequestId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT r.ledger, l.id FROM request AS r JOIN ledger AS l ON l.n = r.ledger
         WHERE r.state = 'held' AND r.reminded IN (0, 1) AND r.due_at <= ? LIMIT ?",
    )?;
    let due: Vec<(i64, LedgerId)> = statement
        .query_map(params![now, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut expired = Vec::with_capacity(due.len());
    for (n, ledger) in due {
        queue::settle(connection, n, RequestState::Expired, None, now)?;
        Happening::named("request.expired")
            .entry(n)
            .record(connection, Actors::DAEMON, now)?;
        expired.push(RequestId::from_bytes(ledger.to_bytes()));
    }
    Ok(expired)
}

impl Work<'_> {
    fn remind(
        &mut self,
        now: Millis,
        remind_before: Duration,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let connection = self.connection;
        let mut statement = connection.prepare_cached(
            "SELECT account, portal FROM request
             WHERE state = 'held' AND reminded = 0 AND due_at <= ? ORDER BY due_at LIMIT ?",
        )?;
        let soon: Vec<(i64, PortalName)> = statement
            .query_map(params![now.plus(remind_before), limit], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        let mut reminded = 0;
        for (n, portal) in soon {
            // All that an account holds goes into one reminder, so a later row may be done.
            let holds = connection
                .prepare_cached(
                    "UPDATE request SET reminded = 1
                     WHERE account = ? AND state = 'held' AND reminded = 0",
                )?
                .execute([n])?;
            if holds == 0 {
                continue;
            }
            let occasion = Occasion {
                kind: LetterKind::Reminder,
                cause: LetterCause::Mail,
                portal: Some(&portal),
                in_reply_to: None,
            };
            self.rings |= owe(connection, &known_by_n(connection, n)?, &occasion, now)?;
            reminded += 1;
        }
        Ok(reminded)
    }
}

fn forget_content(
    connection: &Connection,
    now: Millis,
    keep_settled: Duration,
    limit: usize,
) -> Result<usize, StoreError> {
    let mut entries: Vec<i64> = connection
        .prepare_cached("SELECT n FROM ledger WHERE forget_at <= ? ORDER BY forget_at LIMIT ?")?
        .query_map(params![now, limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for n in &entries {
        connection
            .prepare_cached("UPDATE ledger SET forget_at = NULL WHERE n = ?")?
            .execute([n])?;
    }
    for state in [
        RequestState::Delivered,
        RequestState::Failed,
        RequestState::Discarded,
        RequestState::Expired,
    ] {
        let settled: Vec<i64> = connection
            .prepare_cached(
                "SELECT ledger FROM request
                 WHERE state = ? AND kept = 1 AND settled_at <= ? ORDER BY settled_at LIMIT ?",
            )?
            .query_map(
                params![state, now.minus(keep_settled), limit - entries.len()],
                |row| row.get(0),
            )?
            .collect::<Result<_, _>>()?;
        for n in settled {
            connection
                .prepare_cached("UPDATE request SET kept = 0 WHERE ledger = ?")?
                .execute([n])?;
            entries.push(n);
        }
    }
    for n in &entries {
        // Wanted by this entry or another of the same message: a dropped one whose time is not over,
        // or a request that is kept.
        connection
            .prepare_cached(
                "DELETE FROM content
                 WHERE ledger = (SELECT coalesce(message, n) FROM ledger WHERE n = ?1)
                     AND NOT EXISTS (
                         SELECT 1 FROM ledger AS other
                         LEFT JOIN request AS r ON r.ledger = other.n
                         WHERE (other.n = content.ledger OR other.message = content.ledger)
                             AND (other.forget_at IS NOT NULL OR r.kept = 1)
                     )",
            )?
            .execute([n])?;
    }
    Ok(entries.len())
}

fn forget_entries(
    connection: &Connection,
    before: Millis,
    limit: usize,
) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT l.n, l.received_at, EXISTS (
             SELECT 1 FROM request AS r WHERE r.ledger = l.n AND r.settled_at IS NULL
         ) OR EXISTS (
             SELECT 1 FROM ledger AS other JOIN request AS r ON r.ledger = other.n
             WHERE other.message = l.n AND r.settled_at IS NULL
         )
         FROM ledger AS l ORDER BY l.n",
    )?;
    let mut rows = statement.query([])?;
    let mut old: Vec<i64> = Vec::new();
    while let Some(row) = rows.next()? {
        // Entries come in the order of time, so the first that is young enough ends the search.
        if old.len() >= limit || row.get::<_, Millis>(1)? >= before {
            break;
        }
        let waits: bool = row.get(2)?;
        if !waits {
            old.push(row.get(0)?);
        }
    }
    drop(rows);
    let mut forgotten = 0;
    for n in old {
        forgotten += connection
            .prepare_cached("DELETE FROM ledger WHERE n = ?")?
            .execute([n])?;
    }
    Ok(forgotten)
}

/// A link that old is unknown rather than expired; nobody presses it any more.
fn forget_tokens(
    connection: &Connection,
    before: Millis,
    limit: usize,
) -> Result<usize, StoreError> {
    Ok(connection
        .prepare_cached(
            "DELETE FROM token WHERE hash IN (
                 SELECT hash FROM token WHERE expires_at < ? ORDER BY expires_at LIMIT ?
             )",
        )?
        .execute(params![before, limit])?)
}

fn forget_letters(
    connection: &Connection,
    before: Millis,
    limit: usize,
) -> Result<usize, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT n, created_at, due_at IS NOT NULL FROM letter ORDER BY n")?;
    let mut rows = statement.query([])?;
    let mut old: Vec<i64> = Vec::new();
    while let Some(row) = rows.next()? {
        if old.len() >= limit || row.get::<_, Millis>(1)? >= before {
            break;
        }
        if !row.get::<_, bool>(2)? {
            old.push(row.get(0)?);
        }
    }
    drop(rows);
    for n in &old {
        connection
            .prepare_cached("DELETE FROM letter WHERE n = ?")?
            .execute([n])?;
    }
    Ok(old.len())
}

/// Shortens the file by some of the pages that were freed, a few at a time.
fn give_pages_back(connection: &Connection) -> Result<(), StoreError> {
    let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    // Some stay: the next messages need them at once.
    if free > 10_000 {
        connection.pragma(None, "incremental_vacuum", 500, |_| Ok(()))?;
    }
    Ok(())
}
