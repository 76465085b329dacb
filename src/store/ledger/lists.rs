//! Filtered lists of the newest entries and requests.
//!
//! Each look reads a bounded stretch of an index, however large the tables are and however rare the matches.
//! If that does not fill a page, the page ends early with a cursor from which the search continues; lists for
//! callers that can wait continue by themselves.
//!
//! The matching rows of one page are read afterwards, one by one.

use crate::domain::{LedgerId, RequestState, Timestamp};
use crate::store::ledger::entries;
use crate::store::requests::actions;
use crate::store::rows::entry_ids::{id_of, n_of};
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Conditions, Tx};
use crate::store::{
    LedgerEntry, LedgerFilter, Listed, Page, Request, RequestFilter, Store, StoreError,
};

/// Index entries that a look reads first, and reads at most if those do not fill the page.
const STRETCHES: [i64; 2] = [4_000, 200_000];

/// Range of numbers in which a look searches for requests, whose rows are larger.
const REQUESTS: i64 = 100_000;

/// Entries are in the order of their commits, which is nearly that of their receipt. An entry can have been
/// overtaken only by entries within this many numbers. Each entry takes one number, and its consequences take
/// some more.
const OVERTAKING: i64 = 40_000;

impl Store {
    /// Entries, newest first by time of receipt. Searches until the page is full, in many short looks, so
    /// that no snapshot of the database is held for long.
    pub async fn ledger(&self, filter: LedgerFilter) -> Result<Listed<LedgerEntry>, StoreError> {
        let mut filling = Filling::begin(&filter.page);
        loop {
            let look = LedgerFilter {
                page: filling.page(),
                ..filter.clone()
            };
            if filling.add(self.recent_entries(look).await?) {
                return Ok(filling.end(|entry| entry.ledger));
            }
        }
    }

    /// Requests, newest first. Searches until the page is full, in many short looks.
    pub async fn requests(&self, filter: RequestFilter) -> Result<Listed<Request>, StoreError> {
        let mut filling = Filling::begin(&filter.page);
        loop {
            let look = RequestFilter {
                page: filling.page(),
                ..filter.clone()
            };
            if filling.add(self.recent_requests(look).await?) {
                return Ok(filling.end(|request| request.ledger));
            }
        }
    }

    /// Entries of one look, newest first by time of receipt; possibly fewer than there are.
    pub async fn recent_entries(
        &self,
        filter: LedgerFilter,
    ) -> Result<Listed<LedgerEntry>, StoreError> {
        self.read(move |tx| {
            if filter.sender.is_some() || filter.message_id.is_some() {
                return entries::list(tx, &filter);
            }
            entries(tx, &filter)
        })
        .await
    }

    /// Requests of one look, newest first; possibly fewer than there are.
    pub async fn recent_requests(
        &self,
        filter: RequestFilter,
    ) -> Result<Listed<Request>, StoreError> {
        self.read(move |tx| {
            if filter.account.is_some() {
                return actions::list(tx, &filter);
            }
            newest_requests(tx, &filter)
        })
        .await
    }
}

/// A page under construction, filled by several looks.
struct Filling<T> {
    limit: usize,
    rows: Vec<T>,
    /// Cursor after which the next look starts.
    after: Option<String>,
}

impl<T> Filling<T> {
    fn begin(page: &Page) -> Self {
        Self {
            limit: page.rows(),
            rows: Vec::new(),
            after: page.after.clone(),
        }
    }

    /// Parameters of the next look.
    fn page(&self) -> Page {
        Page {
            limit: self.limit - self.rows.len(),
            after: self.after.clone(),
        }
    }

    /// Adds the rows of a look. Returns true if it was the last: the page is full, or there are no more rows.
    fn add(&mut self, part: Listed<T>) -> bool {
        self.rows.extend(part.rows);
        self.after = part.next;
        self.rows.len() >= self.limit || self.after.is_none()
    }

    /// Ends the page. The next page continues after its last row, wherever the last look ended.
    fn end(self, id: impl Fn(&T) -> LedgerId) -> Listed<T> {
        let last = self.rows.last().map(|row| id(row).to_string());
        Listed {
            next: self.after.and(last),
            rows: self.rows,
        }
    }
}

fn unknown(cursor: &str) -> StoreError {
    StoreError::NotFound {
        what: "cursor",
        name: cursor.to_owned(),
    }
}

/// A place in the order of time: everything before it is older.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: Millis,
    n: i64,
}

impl Place {
    const NEWEST: Self = Self {
        at: Millis(i64::MAX),
        n: i64::MAX,
    };

    /// Place of an entry, or of the end of a stretch.
    fn read(tx: &Tx, cursor: &str) -> Result<Self, StoreError> {
        if let Some(millis) = cursor.strip_prefix("before-") {
            let at = millis.parse().map_err(|_| unknown(cursor))?;
            return Ok(Self {
                at: Millis(at),
                n: i64::MIN,
            });
        }
        let id: LedgerId = cursor.parse().map_err(|_| unknown(cursor))?;
        tx.maybe_with(
            "SELECT received_at, n FROM ledger WHERE id = ?",
            &[&id],
            |row| {
                Ok(Self {
                    at: row.get(0)?,
                    n: row.get(1)?,
                })
            },
        )?
        .ok_or_else(|| unknown(cursor))
    }
}

pub(crate) fn entries(tx: &Tx, filter: &LedgerFilter) -> Result<Listed<LedgerEntry>, StoreError> {
    let limit = filter.page.rows();
    let mut start = match &filter.page.after {
        Some(cursor) => Place::read(tx, cursor)?,
        None => Place::NEWEST,
    };
    if let Some(before) = filter.received_before.map(Millis::from)
        && before <= start.at
    {
        start = Place {
            at: before,
            n: i64::MIN,
        };
    }
    let since = filter.received_after.map(Millis::from);
    let (mut end, mut is_last) = (None, false);
    let mut found = Vec::new();
    for stretch in STRETCHES {
        end = end_of(tx, start, stretch)?;
        is_last = end.is_none_or(|end| since.is_some_and(|since| since >= end));
        if is_last {
            end = since;
        }
        found = select(tx, filter, start, end, limit + 1)?;
        if found.len() > limit || is_last {
            break;
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let mut rows = Vec::with_capacity(found.len());
    for n in &found {
        match entries::by_n(tx, *n) {
            // It is not shown; `doctor` names it.
            Err(cause) if cause.is_of_row() => {}
            entry => rows.push(entry?),
        }
    }
    let next = if more {
        let last = found.last().map(|n| id_of(tx, *n));
        last.transpose()?.map(|id| id.to_string())
    } else {
        let end = end.filter(|_| !is_last);
        end.map(|Millis(at)| format!("before-{at}"))
    };
    Ok(Listed { rows, next })
}

/// Time of the row N entries before a place; None if there are fewer.
fn end_of(tx: &Tx, start: Place, stretch: i64) -> Result<Option<Millis>, StoreError> {
    tx.maybe(
        "SELECT received_at FROM ledger INDEXED BY ledger_time
             WHERE received_at <= ?1 ORDER BY received_at DESC LIMIT 1 OFFSET ?2",
        &[&start.at, &stretch],
    )
}

/// Reads the index only.
fn select(
    tx: &Tx,
    filter: &LedgerFilter,
    start: Place,
    end: Option<Millis>,
    rows_wanted: usize,
) -> Result<Vec<i64>, StoreError> {
    let mut wanted = Conditions::new();
    wanted.ask("(received_at, n) < (:at, :n)", ":at", Some(&start.at));
    wanted.bind(":n", &start.n);
    wanted.ask("received_at >= :end", ":end", end.as_ref());
    wanted.ask("verdict = :verdict", ":verdict", filter.verdict.as_ref());
    wanted.ask("rule = :rule", ":rule", filter.reason.as_ref());
    wanted.ask("portal = :portal", ":portal", filter.portal.as_ref());
    wanted.bind(":limit", &rows_wanted);
    wanted.all_with(
        tx,
        &format!(
            "SELECT n FROM ledger INDEXED BY ledger_time WHERE {}
             ORDER BY received_at DESC, n DESC LIMIT :limit",
            wanted.sql()
        ),
        |row| row.get(0),
    )
}

pub(crate) fn newest_requests(
    tx: &Tx,
    filter: &RequestFilter,
) -> Result<Listed<Request>, StoreError> {
    let limit = filter.page.rows();
    let mut start = match &filter.page.after {
        Some(cursor) => match cursor.strip_prefix("before-") {
            Some(n) => n.parse().map_err(|_| unknown(cursor))?,
            None => n_of(tx, cursor)?,
        },
        None => i64::MAX,
    };
    let newest: Option<i64> = tx.one("SELECT max(ledger) FROM request", &[])?;
    start = start.min(newest.unwrap_or(0) + 1);
    if let Some(before) = filter.received_before {
        let last = near(tx, before)?.unwrap_or(0);
        start = start.min(last + OVERTAKING);
    }
    let mut end = 0;
    if let Some(since) = filter.received_after {
        end = near(tx, since)?.unwrap_or(0) - OVERTAKING;
    }
    let open = filter
        .state
        .filter(|state| matches!(state, RequestState::Held | RequestState::Failed));
    // Waiting states have an index of their own; other requests are searched for in a stretch.
    let narrowed = filter.state.is_some() || filter.portal.is_some();
    let oldest = end.max(0);
    if open.is_none() && narrowed {
        end = oldest.max(start - REQUESTS);
    }
    let before = filter.received_before.map(Millis::from);
    let since = filter.received_after.map(Millis::from);
    let rows_wanted = limit + 1;
    let mut wanted = Conditions::new();
    wanted.ask("ledger < :start", ":start", Some(&start));
    wanted.ask("ledger >= :end", ":end", Some(&end));
    wanted.ask("portal = :portal", ":portal", filter.portal.as_ref());
    wanted.ask("received_at < :before", ":before", before.as_ref());
    wanted.ask("received_at >= :since", ":since", since.as_ref());
    wanted.bind(":limit", &rows_wanted);
    let table = match (open, filter.state) {
        // The state is part of the statement: as a parameter it would keep SQLite from using the index.
        (Some(state), _) => format!("request INDEXED BY request_open WHERE state = '{state}'"),
        (None, Some(state)) => format!("request NOT INDEXED WHERE state = '{state}'"),
        (None, None) => "request NOT INDEXED WHERE true".to_owned(),
    };
    let mut found = wanted.all_with(
        tx,
        &format!(
            "SELECT ledger FROM {table} AND {} ORDER BY ledger DESC LIMIT :limit",
            wanted.sql()
        ),
        |row| row.get(0),
    )?;
    let more = found.len() > limit;
    found.truncate(limit);
    let rows = found
        .iter()
        .map(|n| actions::by_n(tx, *n))
        .collect::<Result<Vec<_>, _>>()?;
    let next = if more {
        rows.last().map(|request| request.ledger.to_string())
    } else {
        (end > oldest && older(tx, end)?).then(|| format!("before-{end}"))
    };
    Ok(Listed { rows, next })
}

/// A number that every entry received before then is below.
pub(crate) fn after_all_before(tx: &Tx, at: Timestamp) -> Result<i64, StoreError> {
    Ok(near(tx, at)?.unwrap_or(0).saturating_add(OVERTAKING))
}

/// A number that no entry received since then is below.
pub(crate) fn before_all_since(tx: &Tx, at: Timestamp) -> Result<i64, StoreError> {
    Ok(near(tx, at)?.unwrap_or(0).saturating_sub(OVERTAKING))
}

/// An entry received just before then.
fn near(tx: &Tx, at: Timestamp) -> Result<Option<i64>, StoreError> {
    tx.maybe(
        "SELECT n FROM ledger INDEXED BY ledger_time
             WHERE received_at < ? ORDER BY received_at DESC LIMIT 1",
        &[&Millis::from(at)],
    )
}

fn older(tx: &Tx, n: i64) -> Result<bool, StoreError> {
    tx.one(
        "SELECT EXISTS (SELECT 1 FROM request WHERE ledger < ?)",
        &[&n],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_continues_until_the_page_is_full_or_at_the_end() {
        // Limit, matches of each look; then the expected number of rows and of looks, and whether there are
        // more.
        for (limit, looks, rows, taken, more) in [
            (5, &[5, 1][..], 5, 1, true),
            (5, &[0, 0, 3, 2, 7], 5, 4, true),
            (5, &[0, 0, 3, 2], 5, 4, false),
            (5, &[1, 0, 0], 1, 3, false),
            (5, &[0], 0, 1, false),
        ] {
            let mut filling = Filling::begin(&Page {
                limit,
                after: Some("before-0".to_owned()),
            });
            let mut asked = 0;
            loop {
                let page = filling.page();
                assert_eq!(page.after, Some(format!("before-{asked}")));
                let rows = looks[asked].min(page.limit);
                asked += 1;
                let part = Listed {
                    rows: (0..rows).map(|_| LedgerId::new()).collect(),
                    next: (asked < looks.len()).then(|| format!("before-{asked}")),
                };
                if filling.add(part) {
                    break;
                }
            }
            let listed = filling.end(|id| *id);
            assert_eq!((listed.rows.len(), asked), (rows, taken), "{looks:?}");
            let last = listed.rows.last().map(ToString::to_string);
            assert_eq!(listed.next, last.filter(|_| more), "{looks:?}");
        }
    }
}
