//! Filtered lists of entries by time. Lists of requests are in [`request_lists`](super::request_lists).
//!
//! Each scan reads a bounded range of an index, however large the tables are and however rare the matches. If that
//! does not fill a page, the page ends early with a cursor from which the search continues; lists for callers that
//! can wait continue by themselves.
//!
//! The matching rows of one page are read afterwards.

use crate::domain::{LedgerId, Timestamp};
use crate::store::ledger::{entries, find};
use crate::store::rows::entry_ids::id_of;
use crate::store::sql::page_builder::{PageBuilder, SCAN_END, unknown_cursor};
use crate::store::sql::sql_types::Millis;
use crate::store::sql::time_cursor::TimeCursor;
use crate::store::sql::{Conditions, Row, Tx};
use crate::store::{LedgerEntry, LedgerFilter, ListOrder, Listed, Result, Store};

/// Index entries that a scan reads first, and the maximum that it reads if those do not fill the page.
const SCAN_LIMITS: [i64; 2] = [4_000, 200_000];

/// Number of entries nearest to a time from which a bound of a period is computed. Entries are numbered in the
/// order of their commits, which is nearly that of their receipt; but some are overtaken, and some are recorded
/// while the clock is slow.
const OVERTAKING: i64 = 40_000;

impl Store {
    /// Entries by time of receipt. Searches until the page is full, in many short scans, so that no snapshot of the
    /// database is held for long.
    pub async fn ledger(&self, filter: LedgerFilter) -> Result<Listed<LedgerEntry>> {
        let mut builder = PageBuilder::begin(&filter.page);
        loop {
            let look = LedgerFilter {
                page: builder.page(),
                ..filter.clone()
            };
            if builder.add(self.recent_entries(look).await?) {
                return Ok(builder.end(|entry| entry.ledger.to_string()));
            }
        }
    }

    /// Entries found by one scan, by time of receipt; the page may be short although more entries match.
    pub async fn recent_entries(&self, filter: LedgerFilter) -> Result<Listed<LedgerEntry>> {
        self.read(move |tx| {
            if filter.sender.is_some() || filter.message_id.is_some() {
                return entries::list(tx, &filter);
            }
            if filter.sender_part.is_some() {
                return find::find(tx, &filter.into());
            }
            entries(tx, &filter)
        })
        .await
    }
}

const NEWEST: TimeCursor = TimeCursor {
    at: Millis(i64::MAX),
    n: i64::MAX,
};

/// Position before all entries of that time.
fn start_of(at: Millis) -> TimeCursor {
    TimeCursor { at, n: i64::MIN }
}

/// Position of an entry, or of the end of a scanned range.
fn place_of(tx: &Tx, cursor: &str) -> Result<TimeCursor> {
    if let Some(millis) = cursor.strip_prefix(SCAN_END) {
        let at = millis.parse().map_err(|_| unknown_cursor(cursor))?;
        return Ok(start_of(Millis(at)));
    }
    let id: LedgerId = cursor.parse().map_err(|_| unknown_cursor(cursor))?;
    let sql = "SELECT received_at, n FROM ledger WHERE id = ?";
    let read = |row: &Row| TimeCursor::of_row(row, "received_at");
    tx.maybe_with(sql, &[&id], read)?
        .ok_or_else(|| unknown_cursor(cursor))
}

pub(crate) fn entries(tx: &Tx, filter: &LedgerFilter) -> Result<Listed<LedgerEntry>> {
    let limit = filter.page.rows();
    let since = filter.received_after.map(Millis::from);
    let until = filter.received_before.map(Millis::from);
    let cursor = filter.page.after.as_deref();
    let cursor = cursor.map(|cursor| place_of(tx, cursor)).transpose()?;
    // The list goes from one end of the period to the other.
    let (start, last) = match filter.order {
        ListOrder::NewestFirst => {
            let newest = until.map_or(NEWEST, start_of);
            (cursor.map_or(newest, |place| place.min(newest)), since)
        }
        ListOrder::OldestFirst => {
            let oldest = since.map_or(start_of(Millis(i64::MIN)), start_of);
            (cursor.map_or(oldest, |place| place.max(oldest)), until)
        }
    };
    let (mut end, mut is_last) = (None, false);
    let mut found = Vec::new();
    for scan_limit in SCAN_LIMITS {
        end = end_of(tx, start, scan_limit, filter.order)?;
        is_last = end.is_none_or(|end| {
            last.is_some_and(|last| match filter.order {
                ListOrder::NewestFirst => last >= end,
                ListOrder::OldestFirst => last <= end,
            })
        });
        if is_last {
            end = last;
        }
        found = select(tx, filter, start, end, limit + 1)?;
        if found.len() > limit || is_last {
            break;
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let rows = entries::by_numbers(tx, &found)?;
    let rows = rows.into_iter().map(|(_, entry)| entry).collect();
    let next = if more {
        let last = found.last().map(|n| id_of(tx, *n));
        last.transpose()?.map(|id| id.to_string())
    } else {
        let end = end.filter(|_| !is_last);
        end.map(|Millis(at)| format!("{SCAN_END}{at}"))
    };
    Ok(Listed { rows, next })
}

/// Time at which a range of `scan_limit` rows ends; None if there are fewer. Newest first, the range has the rows
/// since that time; oldest first, the rows before it.
fn end_of(tx: &Tx, start: TimeCursor, scan_limit: i64, order: ListOrder) -> Result<Option<Millis>> {
    match order {
        ListOrder::NewestFirst => tx.maybe(
            "SELECT received_at FROM ledger
             WHERE received_at <= ?1 ORDER BY received_at DESC LIMIT 1 OFFSET ?2",
            &[&start.at, &scan_limit],
        ),
        ListOrder::OldestFirst => {
            let last: Option<Millis> = tx.maybe(
                "SELECT received_at FROM ledger
                 WHERE received_at >= ?1 ORDER BY received_at LIMIT 1 OFFSET ?2",
                &[&start.at, &scan_limit],
            )?;
            Ok(last.map(|Millis(at)| Millis(at + 1)))
        }
    }
}

/// Numbers of the matching entries. Reads only the index.
fn select(
    tx: &Tx,
    filter: &LedgerFilter,
    start: TimeCursor,
    end: Option<Millis>,
    rows_wanted: usize,
) -> Result<Vec<i64>> {
    let (goes_on, is_within) = match filter.order {
        ListOrder::NewestFirst => ("(received_at, n) <", "received_at >= ?"),
        ListOrder::OldestFirst => ("(received_at, n) >", "received_at < ?"),
    };
    let mut wanted = Conditions::default();
    wanted.ask_place(goes_on, Some(&start));
    wanted.ask(is_within, end.as_ref());
    wanted.ask("verdict = ?", filter.verdict.as_ref());
    wanted.ask("rule = ?", filter.reason.as_ref());
    wanted.ask("portal = ?", filter.portal.as_ref());
    let (limit, direction) = (wanted.bind(&rows_wanted), filter.order.direction());
    let sql = format!(
        "SELECT n FROM ledger WHERE {} ORDER BY received_at {direction}, n {direction} LIMIT {limit}",
        wanted.sql()
    );
    tx.all(&sql, wanted.values())
}

/// A number above those of all entries received before `at`, even if some were recorded while the clock was slow.
pub(crate) fn after_all_before(tx: &Tx, at: Timestamp) -> Result<i64> {
    let newest: Option<i64> = tx.one(
        "SELECT max(n) FROM (
             SELECT n FROM ledger WHERE received_at < ?1 ORDER BY received_at DESC LIMIT ?2
         ) AS latest",
        &[&Millis::from(at), &OVERTAKING],
    )?;
    Ok(newest.map_or(0, |n| n.saturating_add(1)))
}

/// A number that no entry received since `at` is below, provided that few were recorded while the clock was slow.
pub(crate) fn before_all_since(tx: &Tx, at: Timestamp) -> Result<i64> {
    let oldest: Option<i64> = tx.one(
        "SELECT min(n) FROM (
             SELECT n FROM ledger WHERE received_at >= ?1 ORDER BY received_at LIMIT ?2
         ) AS earliest",
        &[&Millis::from(at), &OVERTAKING],
    )?;
    Ok(oldest.unwrap_or(i64::MAX))
}
