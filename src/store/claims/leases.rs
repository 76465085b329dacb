//! Queues and leases: claiming of rows by workers, the same for requests, hook calls and verification mail.
//!
//! A worker claims a row for a time, its lease. A claim has a unique number and a holder, the set of workers
//! that made it. A worker that settles or gives back a row names both, and nothing changes if another claim
//! holds the row by then. An expired lease is taken over under another number.
//!
//! The length of a lease is set by the code that knows how long the work takes: `outbound/worker.rs` for requests and
//! hook calls (the timeout of the queue, the time of a run and a margin), `store/verification/mail_claims.rs` for
//! verification mail. Two other leases are not of queued rows: that of the daily digest is in
//! `verification/digest.rs`, that of a node's duties in `store/postgres/driver.rs`.
//!
//! The rows of one account for one place (a portal, a hook) are a queue, and only its head is ever due. So no
//! row overtakes another, and a worker finds due rows without reading past others.

use std::collections::BTreeSet;

use crate::store::Result;
use crate::store::claims::holder::Holder;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{FromSql, ToSql, Tx};

/// Number of a claim. A later claim has a higher number; the default is below all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimNumber(i64);

/// A row claimed by a worker.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    /// Number of the row.
    pub(crate) row: i64,
    pub(crate) number: ClaimNumber,
    pub(crate) holder: Holder,
}

#[cfg(test)]
impl Lease {
    /// A lease for tests, made by no worker.
    pub(crate) fn sample() -> Self {
        Self {
            row: 1,
            number: ClaimNumber::default(),
            holder: Holder::of_node(""),
        }
    }
}

/// Statements for a table whose rows workers claim.
pub(crate) struct Leases {
    take: &'static str,
    holds: &'static str,
    put_back: &'static str,
    held_after: &'static str,
    held_by_others: &'static str,
}

/// Statements for a table whose rows queue, by account and place.
pub(crate) struct LeaseQueue {
    pub(crate) leases: Leases,
    due: &'static str,
    next_due: &'static str,
    waits: &'static str,
    /// The table, the place, and the condition of the rows that block later ones.
    blocking: (&'static str, &'static str, &'static str),
    promote: &'static str,
    free: &'static str,
    queue_of: &'static str,
}

/// Builds [`Leases`]. `free` and `taken` set the columns that mark a row as free or claimed; `leased` selects the
/// claimed rows of the index. A row that is put back is due at `due`, where `?2` is the requested time.
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
                ", due_at = ?2, claim = ?4,
                     holder = ?3, attempts = attempts + 1
                 WHERE ",
                $row,
                " = ?1"
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
                     AND (holder IS NULL OR substr(holder, 1, length(?1)) <> ?1
                         AND substr(holder, 1, length(?2)) = ?2)"
            ),
        }
    };
}

/// Builds a [`LeaseQueue`]. `ready` selects rows that can be due, `blocking` those that block later ones, in this
/// `order`, and `alone` those that are due regardless of the order.
macro_rules! queue {
    (
        $table:literal, row: $row:literal, place: $place:literal, ready: $ready:literal,
        blocking: $blocking:literal, order: $order:literal, alone: $alone:literal,
        free: $free:literal, $($rest:tt)+
    ) => {
        LeaseQueue {
            leases: leases!($table, row: $row, free: $free, $($rest)+),
            free: concat!(
                "UPDATE ", $table, " SET ", $free, ", due_at = CASE WHEN ", $alone, " THEN CAST(?2 AS bigint) END,
                     claim = NULL, holder = NULL, attempts = attempts - ?3
                 WHERE ", $row, " = ?1 RETURNING account, ", $place
            ),
            queue_of: concat!(
                "SELECT account, ", $place, " FROM ", $table, " WHERE ", $row,
                " = ? AND claim = ? AND holder = ?"
            ),
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
            blocking: ($table, $place, $blocking),
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
pub(crate) const REQUESTS: LeaseQueue = queue!(
    "request",
    row: "ledger",
    place: "portal",
    ready: "state = 'released' AND stopped = 0",
    blocking: "state = 'released' AND stopped = 0 AND passed = 0",
    order: "released_at, ledger",
    alone: "passed = 1 AND stopped = 0",
    free: "in_work = 0",
    taken: "in_work = 1",
    index: "request_due",
    leased: "state = 'released' AND portal > '' AND in_work = 1",
    due: "CASE stopped WHEN 0 THEN CAST(?2 AS bigint) END",
);

pub(crate) const HOOK_CALLS: LeaseQueue = queue!(
    "hook_call",
    row: "n",
    place: "hook",
    ready: "due_at IS NOT NULL",
    blocking: "state = 'waiting'",
    order: "n",
    alone: "account IS NULL",
    free: "in_work = 0",
    taken: "in_work = 1",
    index: "hook_call_due",
    leased: "due_at IS NOT NULL AND hook > '' AND in_work = 1",
    due: "?2",
);

/// Verification mail, one at a time for each account. [`crate::store::verification::mail_lanes`] has its order.
pub(crate) const VERIFICATION_MAILS: Leases = leases!(
    "letter",
    row: "n",
    free: "state = 'waiting'",
    taken: "state = 'claimed'",
    index: "letter_due",
    leased: "due_at IS NOT NULL AND state = 'claimed'",
    due: "?2",
);

impl Leases {
    /// Leases a row to a holder until `until`, whoever held it before.
    pub(crate) fn take(&self, tx: &Tx, row: i64, holder: &Holder, until: Millis) -> Result<Lease> {
        let number = tx.next_number()?;
        tx.run_deferred(self.take, &[&row, &until, &holder.name(), &number])?;
        // Another operation may have prefetched the holder of the row.
        tx.discard_prefetched();
        Ok(Lease {
            row,
            number: ClaimNumber(number),
            holder: holder.clone(),
        })
    }

    /// True unless another holder took the row over or it was given back.
    pub(crate) fn holds(&self, tx: &Tx, lease: &Lease) -> Result<bool> {
        tx.exists(
            self.holds,
            &[&lease.row, &lease.number.0, &lease.holder.name()],
        )
    }

    /// Ends the lease of a row and sets the time at which it is due.
    pub(crate) fn put_back(
        &self,
        tx: &Tx,
        row: i64,
        due: Millis,
        error: Option<&str>,
    ) -> Result<()> {
        tx.run(self.put_back, &[&row, &due, &error])?;
        Ok(())
    }

    /// Rows that a holder claimed after the claim of this number.
    pub(crate) fn held_after(
        &self,
        tx: &Tx,
        holder: &Holder,
        number: ClaimNumber,
    ) -> Result<Vec<i64>> {
        tx.all(self.held_after, &[&holder.name(), &number.0])
    }

    /// Rows held by earlier openings of this node, or claimed without a holder. Reads the waiting rows only, not
    /// the whole table.
    pub(crate) fn held_by_others(&self, tx: &Tx, holder: &Holder) -> Result<Vec<i64>> {
        tx.all(self.held_by_others, &[&holder.opening(), &holder.node()])
    }
}

impl LeaseQueue {
    /// Due rows at a place, oldest first, each with the time since which it is due.
    pub(crate) fn due(
        &self,
        tx: &Tx,
        place: &impl ToSql,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<(Millis, i64)>> {
        tx.all(self.due, &[&place, &now, &limit])
    }

    /// Time at which the next row of a place is due; None if none waits.
    pub(crate) fn next_due(&self, tx: &Tx, place: &impl ToSql) -> Result<Option<Millis>> {
        Ok(tx.maybe(self.next_due, &[&place])?.flatten())
    }

    /// Due time of a row at the end of its queue: now, or None if the row waits for earlier rows.
    pub(crate) fn due_at_the_end(
        &self,
        tx: &Tx,
        account: i64,
        place: &impl ToSql,
        now: Millis,
    ) -> Result<Option<Millis>> {
        let others = tx.exists(self.waits, &[&account, &place])?;
        Ok((!others).then_some(now))
    }

    /// Query for `columns` of the rows that a new row waits for. `account` and `place` are the numbers of its
    /// parameters.
    pub(crate) fn rows_before(&self, columns: &str, account: usize, place: usize) -> String {
        let (table, name, blocking) = self.blocking;
        format!(
            "SELECT {columns} FROM {table}
             WHERE account = ?{account} AND {name} = ?{place} AND {blocking}"
        )
    }

    /// Makes the next row of a queue due, after its head left. A row of no account is in no queue.
    pub(crate) fn promote(
        &self,
        tx: &Tx,
        account: Option<i64>,
        place: &impl ToSql,
        now: Millis,
    ) -> Result<()> {
        let Some(account) = account else {
            return Ok(());
        };
        tx.run_deferred(self.promote, &[&account, &place, &now])
    }

    /// Account and place of a claimed row; None if another holder took it over or it was given back.
    pub(crate) fn queue_of<A: FromSql, P: FromSql>(
        &self,
        tx: &Tx,
        lease: &Lease,
    ) -> Result<Option<(A, P)>> {
        let held = &[
            &lease.row as &dyn ToSql,
            &lease.number.0,
            &lease.holder.name(),
        ];
        tx.maybe(self.queue_of, held)
    }

    /// Ends the lease of a row without an outcome; `unmade` is the number of counted attempts that were not
    /// made. Returns its account and place, whose queue must be [promoted](Self::promote) then.
    pub(crate) fn free<P: FromSql>(
        &self,
        tx: &Tx,
        row: i64,
        unmade: u32,
        now: Millis,
    ) -> Result<(Option<i64>, P)> {
        tx.one(self.free, &[&row, &now, &unmade])
    }

    /// Frees the rows that a holder claimed after the claim of this number. Returns their number.
    pub(crate) fn give_back(
        &self,
        tx: &Tx,
        holder: &Holder,
        number: ClaimNumber,
        now: Millis,
    ) -> Result<usize> {
        let rows = self.leases.held_after(tx, holder, number)?;
        self.free_all(tx, &rows, now)
    }

    /// Frees the rows held by earlier openings of this node, and returns their number. Claims of other nodes end
    /// with their leases.
    pub(crate) fn end_others(&self, tx: &Tx, holder: &Holder, now: Millis) -> Result<usize> {
        let rows = self.leases.held_by_others(tx, holder)?;
        self.free_all(tx, &rows, now)
    }

    /// Frees rows. Only the heads of their queues become due, so that the order is kept.
    fn free_all(&self, tx: &Tx, rows: &[i64], now: Millis) -> Result<usize> {
        let mut queues = BTreeSet::new();
        for row in rows {
            queues.insert(self.free::<String>(tx, *row, 0, now)?);
        }
        for (account, place) in queues {
            self.promote(tx, account, &place, now)?;
        }
        Ok(rows.len())
    }
}
