//! Queues and leases: how workers take rows, the same for requests, calls of hooks and verification mail.
//!
//! A worker claims a row for a time, its lease. A claim has a number, which is given once, and a holder,
//! the set of workers that made it; whoever settles or gives back names both, and changes nothing where
//! somebody else holds the row by then. A lease that ran out is taken over under another number.
//!
//! The rows of one account for one place (a portal, a hook) are a queue of which only the head is ever
//! due: so none overtakes another, and a worker finds what is due without reading past what is not.

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::StoreError;
use super::holder::Holder;
use super::sql_types::Millis;

/// The number of a claim. Of two claims the later one has the higher number; the default is below all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimNumber(i64);

/// A row in the hands of a worker.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    /// The number of the row.
    pub(super) row: i64,
    pub(super) number: ClaimNumber,
    pub(super) holder: Holder,
}

#[cfg(test)]
impl Lease {
    /// One that nobody made.
    pub(super) fn sample() -> Self {
        Self {
            row: 1,
            number: ClaimNumber::default(),
            holder: Holder::of_opening(),
        }
    }
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Recorded,
    /// The row is gone, or its lease was over and it is another worker's or nobody's: nothing has
    /// changed.
    ClaimLost,
}

/// A table of which workers claim rows: its statements.
pub(super) struct Leases {
    take: &'static str,
    holds: &'static str,
    put_back: &'static str,
    held_after: &'static str,
    held_by_others: &'static str,
}

/// A table whose rows wait for each other, by account and place.
pub(super) struct Queue {
    pub(super) leases: Leases,
    due: &'static str,
    next_due: &'static str,
    waits: &'static str,
    promote: &'static str,
}

/// `free` and `taken` set what says whether somebody is at work; `leased` are the rows of the index
/// where somebody is. A row that comes back is due at `due`, where `?2` is the time that was asked for.
macro_rules! leases {
    (
        $table:literal, row: $row:literal, free: $free:literal, taken: $taken:literal,
        index: $index:literal, leased: $leased:literal, due: $due:literal $(,)?
    ) => {
        Leases {
            take: concat!(
                "UPDATE ",
                $table,
                " SET ",
                $taken,
                ", due_at = ?2, claim = next_number(),
                     holder = ?3, attempts = attempts + 1
                 WHERE ",
                $row,
                " = ?1 RETURNING claim"
            ),
            holds: concat!(
                "SELECT 1 FROM ",
                $table,
                " WHERE ",
                $row,
                " = ? AND claim = ? AND holder = ?"
            ),
            put_back: concat!(
                "UPDATE ",
                $table,
                " SET ",
                $free,
                ", due_at = ",
                $due,
                ", claim = NULL,
                     holder = NULL, last_error = coalesce(?3, last_error)
                 WHERE ",
                $row,
                " = ?1"
            ),
            held_after: concat!(
                "SELECT ",
                $row,
                " FROM ",
                $table,
                " INDEXED BY ",
                $index,
                "
                 WHERE ",
                $leased,
                " AND holder = ? AND claim > ?"
            ),
            held_by_others: concat!(
                "SELECT ",
                $row,
                " FROM ",
                $table,
                " INDEXED BY ",
                $index,
                " WHERE ",
                $leased,
                "
                     AND (holder IS NULL OR substr(holder, 1, length(?1)) <> ?1)"
            ),
        }
    };
}

/// `ready` are rows that can be due, `blocking` those that keep later ones waiting, in this `order`.
macro_rules! queue {
    (
        $table:literal, row: $row:literal, place: $place:literal, ready: $ready:literal,
        blocking: $blocking:literal, order: $order:literal, $($rest:tt)+
    ) => {
        Queue {
            leases: leases!($table, row: $row, $($rest)+),
            due: concat!(
                "SELECT due_at, ", $row, " FROM ", $table, " WHERE ", $place, " = ? AND ", $ready,
                " AND due_at <= ? ORDER BY due_at, ", $row, " LIMIT ?"
            ),
            next_due: concat!(
                "SELECT min(due_at) FROM ", $table, " WHERE ", $place, " = ? AND ", $ready,
                " AND due_at IS NOT NULL"
            ),
            waits: concat!(
                "SELECT 1 FROM ", $table, " WHERE account = ? AND ", $place, " = ? AND ",
                $blocking, " LIMIT 1"
            ),
            promote: concat!(
                "UPDATE ", $table, " SET due_at = ?3
                 WHERE ", $row, " = (
                     SELECT ", $row, " FROM ", $table, "
                     WHERE account = ?1 AND ", $place, " = ?2 AND ", $blocking, "
                     ORDER BY ", $order, " LIMIT 1
                 ) AND due_at IS NULL AND NOT EXISTS (
                     SELECT 1 FROM ", $table, "
                     WHERE account = ?1 AND ", $place, " = ?2 AND ", $blocking, "
                         AND due_at IS NOT NULL
                 )"
            ),
        }
    };
}

/// Released requests, for the workers of destinations.
pub(super) const REQUESTS: Queue = queue!(
    "request",
    row: "ledger",
    place: "portal",
    ready: "state = 'released' AND stopped = 0",
    blocking: "state = 'released' AND stopped = 0 AND passed = 0",
    order: "released_at, ledger",
    free: "in_work = 0",
    taken: "in_work = 1",
    index: "request_due",
    leased: "state = 'released' AND portal > '' AND in_work = 1",
    due: "CASE stopped WHEN 0 THEN ?2 END",
);

pub(super) const HOOK_CALLS: Queue = queue!(
    "hook_call",
    row: "n",
    place: "hook",
    ready: "due_at IS NOT NULL",
    blocking: "state = 'waiting'",
    order: "n",
    free: "in_work = 0",
    taken: "in_work = 1",
    index: "hook_call_due",
    leased: "due_at IS NOT NULL AND hook > '' AND in_work = 1",
    due: "?2",
);

/// Verification mail, of which there is one for an account at a time. [`super::lanes`] has its order.
pub(super) const LETTERS: Leases = leases!(
    "letter",
    row: "n",
    free: "state = 'waiting'",
    taken: "state = 'claimed'",
    index: "letter_due",
    leased: "due_at IS NOT NULL AND state = 'claimed'",
    due: "?2",
);

impl Leases {
    /// Has a holder at work on a row until then, whoever was before.
    pub(super) fn take(
        &self,
        connection: &Connection,
        row: i64,
        holder: &Holder,
        until: Millis,
    ) -> Result<Lease, StoreError> {
        let number = connection
            .prepare_cached(self.take)?
            .query_row(params![row, until, holder.name()], |row| row.get(0))?;
        Ok(Lease {
            row,
            number: ClaimNumber(number),
            holder: holder.clone(),
        })
    }

    /// True as long as nobody else took the row over and it was not given back.
    pub(super) fn holds(&self, connection: &Connection, lease: &Lease) -> Result<bool, StoreError> {
        Ok(connection.prepare_cached(self.holds)?.exists(params![
            lease.row,
            lease.number.0,
            lease.holder.name()
        ])?)
    }

    /// Ends the lease of a row, which is due at another time.
    pub(super) fn put_back(
        &self,
        connection: &Connection,
        row: i64,
        due: Millis,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        connection
            .prepare_cached(self.put_back)?
            .execute(params![row, due, error])?;
        Ok(())
    }

    /// The rows that a holder claimed after a claim of this number.
    pub(super) fn held_after(
        &self,
        connection: &Connection,
        holder: &Holder,
        number: ClaimNumber,
    ) -> Result<Vec<i64>, StoreError> {
        Ok(connection
            .prepare_cached(self.held_after)?
            .query_map(params![holder.name(), number.0], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// The rows that holders of other openings have. Looks at what waits, and not at all that there ever
    /// was.
    pub(super) fn held_by_others(
        &self,
        connection: &Connection,
        holder: &Holder,
    ) -> Result<Vec<i64>, StoreError> {
        Ok(connection
            .prepare_cached(self.held_by_others)?
            .query_map([holder.opening()], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// Puts back what a holder claimed after a claim of this number; says how much.
    pub(super) fn give_back(
        &self,
        connection: &Connection,
        holder: &Holder,
        number: ClaimNumber,
        now: Millis,
    ) -> Result<usize, StoreError> {
        self.put_all_back(
            connection,
            &self.held_after(connection, holder, number)?,
            now,
        )
    }

    /// Puts back what holders of other openings have; says how much.
    pub(super) fn end_others(
        &self,
        connection: &Connection,
        holder: &Holder,
        now: Millis,
    ) -> Result<usize, StoreError> {
        self.put_all_back(connection, &self.held_by_others(connection, holder)?, now)
    }

    fn put_all_back(
        &self,
        connection: &Connection,
        rows: &[i64],
        now: Millis,
    ) -> Result<usize, StoreError> {
        for row in rows {
            self.put_back(connection, *row, now, None)?;
        }
        Ok(rows.len())
    }
}

impl Queue {
    /// What is due at a place, oldest first: since when, and the row.
    pub(super) fn due(
        &self,
        connection: &Connection,
        place: &impl ToSql,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<(Millis, i64)>, StoreError> {
        Ok(connection
            .prepare_cached(self.due)?
            .query_map(params![place, now, limit], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?)
    }

    /// When the next row of a place is due; None when none waits.
    pub(super) fn next_due(
        &self,
        connection: &Connection,
        place: &impl ToSql,
    ) -> Result<Option<Millis>, StoreError> {
        Ok(connection
            .prepare_cached(self.next_due)?
            .query_row([place], |row| row.get(0))
            .optional()?
            .flatten())
    }

    /// When a row at the end of its queue is due: now, or after those that wait already.
    pub(super) fn due_at_the_end(
        &self,
        connection: &Connection,
        account: i64,
        place: &impl ToSql,
        now: Millis,
    ) -> Result<Option<Millis>, StoreError> {
        let others = connection
            .prepare_cached(self.waits)?
            .exists(params![account, place])?;
        Ok((!others).then_some(now))
    }

    /// The head of a queue left it: the next one is due.
    pub(super) fn promote(
        &self,
        connection: &Connection,
        account: i64,
        place: &impl ToSql,
        now: Millis,
    ) -> Result<(), StoreError> {
        connection
            .prepare_cached(self.promote)?
            .execute(params![account, place, now])?;
        Ok(())
    }
}
