//! How many letters may be sent: per address within an hour and a day, per domain and in total
//! within an hour. Counted from rows, so that a restart forgets nothing.
//!
//! A mailbox has a row for each claim, and all its subaddresses (RFC 5233) share them: they are one
//! person's, and anyone can invent any number of them. A domain and the total have a count for each minute, because
//! a forger can make many; a minute counts until all of it is more than an hour ago, so the limit is
//! never exceeded and at most a minute late.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use super::columns::Millis;
use crate::config::LetterLimits;
use crate::domain::EmailAddress;

/// The name under which all letters are counted.
const TOTAL: &str = "";

/// A minute counts for the 60 minutes after it.
const MINUTES: i64 = 60;

/// The counts of one domain, or of all letters, over the last hour.
struct Window {
    /// By minute, oldest first.
    minutes: Vec<(i64, u32)>,
    used: u32,
    changed: bool,
}

impl Window {
    /// When one more is allowed; None for now.
    fn free_at(&self, limit: u32, now: Millis) -> Option<Millis> {
        if self.used < limit {
            return None;
        }
        let mut left = self.used;
        for (minute, count) in &self.minutes {
            left -= count;
            if left < limit {
                return Some(Millis((minute + MINUTES + 1) * Millis::MINUTE));
            }
        }
        // A limit of 0 lets nothing out, ever; the next look is in an hour.
        Some(Millis(now.0.saturating_add(Millis::HOUR)))
    }

    fn take(&mut self, minute: i64) {
        self.used += 1;
        self.changed = true;
        match self.minutes.last_mut() {
            Some((last, count)) if *last == minute => *count += 1,
            _ => self.minutes.push((minute, 1)),
        }
    }
}

/// The limits at one moment, while a batch of letters is claimed. [`Self::keep`] writes them down.
pub(super) struct Shares<'c> {
    connection: &'c Connection,
    limits: LetterLimits,
    now: Millis,
    windows: HashMap<String, Window>,
}

impl<'c> Shares<'c> {
    pub(super) fn at(connection: &'c Connection, limits: LetterLimits, now: Millis) -> Self {
        Self {
            connection,
            limits,
            now,
            windows: HashMap::new(),
        }
    }

    /// Takes a letter's share of all limits, or says from when on it may be asked for.
    pub(super) fn take(
        &mut self,
        address: &EmailAddress,
        letter: i64,
    ) -> Result<Option<Millis>, StoreError> {
        let mailbox = mailbox(address);
        let domain = address.domain().as_str();
        let limits = self.limits;
        let now = self.now;
        let by_address = [
            (limits.per_address_hour, Millis::HOUR),
            (limits.per_address_day, Millis::DAY),
        ];
        let mut free_at = None;
        for (limit, span) in by_address {
            free_at = free_at.max(self.mailbox_free_at(&mailbox, limit, span)?);
        }
        for (name, limit) in [(domain, limits.per_domain_hour), (TOTAL, limits.total_hour)] {
            free_at = free_at.max(self.window(name)?.free_at(limit, now));
        }
        if free_at.is_some() {
            return Ok(free_at);
        }
        self.connection
            .prepare_cached("DELETE FROM letter_claim WHERE mailbox = ? AND at < ?")?
            .execute(params![mailbox, now.0.saturating_sub(Millis::DAY)])?;
        self.connection
            .prepare_cached("INSERT INTO letter_claim (mailbox, at, letter) VALUES (?, ?, ?)")?
            .execute(params![mailbox, now, letter])?;
        for name in [domain, TOTAL] {
            self.window(name)?.take(minute_of(now));
        }
        Ok(None)
    }

    /// When the oldest of the claims that use up the limit is `span` ago.
    fn mailbox_free_at(
        &self,
        mailbox: &str,
        limit: u32,
        span: i64,
    ) -> Result<Option<Millis>, StoreError> {
        let Some(others) = limit.checked_sub(1) else {
            return Ok(Some(Millis(self.now.0.saturating_add(span))));
        };
        let oldest: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT at FROM letter_claim WHERE mailbox = ? AND at > ?
                 ORDER BY at DESC LIMIT 1 OFFSET ?",
            )?
            .query_row(
                params![mailbox, self.now.0.saturating_sub(span), others],
                |row| row.get(0),
            )
            .optional()?;
        Ok(oldest.map(|at| Millis(at.saturating_add(span))))
    }

    fn window(&mut self, name: &str) -> Result<&mut Window, StoreError> {
        if !self.windows.contains_key(name) {
            let mut statement = self.connection.prepare_cached(
                "SELECT minute, letters FROM letter_minute
                 WHERE domain = ? AND minute >= ? ORDER BY minute",
            )?;
            let minutes: Vec<(i64, u32)> = statement
                .query_map(params![name, minute_of(self.now) - MINUTES], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<Result<_, _>>()?;
            let window = Window {
                used: minutes.iter().map(|(_, count)| count).sum(),
                minutes,
                changed: false,
            };
            self.windows.insert(name.to_owned(), window);
        }
        self.windows
            .get_mut(name)
            .ok_or_else(|| StoreError::Other("a count is gone".to_owned()))
    }

    /// Writes the counts down; the claims are rows already.
    pub(super) fn keep(self) -> Result<(), StoreError> {
        let minute = minute_of(self.now);
        for (name, window) in self.windows.iter().filter(|(_, window)| window.changed) {
            self.connection
                .prepare_cached("DELETE FROM letter_minute WHERE domain = ? AND minute < ?")?
                .execute(params![name, minute - MINUTES])?;
            let count = window.minutes.last().map_or(0, |(_, count)| *count);
            self.connection
                .prepare_cached(
                    "INSERT INTO letter_minute (domain, minute, letters) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET letters = ?3",
                )?
                .execute(params![name, minute, count])?;
        }
        Ok(())
    }
}

/// Gives back the share of a letter that was surely not sent.
pub(super) fn give_back(
    connection: &Connection,
    address: &EmailAddress,
    letter: i64,
    claimed_at: Millis,
) -> Result<(), StoreError> {
    let there = connection
        .prepare_cached("DELETE FROM letter_claim WHERE mailbox = ? AND at = ? AND letter = ?")?
        .execute(params![mailbox(address), claimed_at, letter])?;
    if there == 1 {
        connection
            .prepare_cached(
                "UPDATE letter_minute SET letters = letters - 1
                 WHERE (domain = ?1 OR domain = '') AND minute = ?2 AND letters > 0",
            )?
            .execute(params![address.domain().as_str(), minute_of(claimed_at)])?;
    }
    Ok(())
}

/// Forgets the claims of a mailbox.
pub(super) fn forget_mailbox(
    connection: &Connection,
    address: &EmailAddress,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM letter_claim WHERE mailbox = ?")?
        .execute([mailbox(address)])?;
    Ok(())
}

/// What the claims of one mailbox are found by.
fn mailbox(address: &EmailAddress) -> String {
    address.without_detail().key()
}

fn minute_of(at: Millis) -> i64 {
    at.0.div_euclid(Millis::MINUTE)
}
