//! Filtered lists of requests, in the order of their entries.
//!
//! As with [entries](super::lists), a scan reads a bounded range, and a page that is not full has a cursor from
//! which the search continues.

use crate::domain::RequestState;
use crate::store::ledger::lists::{after_all_before, before_all_since};
use crate::store::requests::request;
use crate::store::rows::entry_ids::n_of;
use crate::store::sql::page_builder::{PageBuilder, SCAN_END, unknown_cursor};
use crate::store::sql::{Conditions, Tx};
use crate::store::{ListOrder, Listed, Request, RequestFilter, Result, Store};

/// Size of the range of numbers that one scan searches. At most a third of the numbers are those of entries.
const RANGE: i64 = 100_000;

impl Store {
    /// Requests by time of receipt. Searches until the page is full, in many short scans.
    pub async fn requests(&self, filter: RequestFilter) -> Result<Listed<Request>> {
        let mut builder = PageBuilder::begin(&filter.page);
        loop {
            let look = RequestFilter {
                page: builder.page(),
                ..filter.clone()
            };
            if builder.add(self.recent_requests(look).await?) {
                return Ok(builder.end(|request| request.ledger.to_string()));
            }
        }
    }

    /// Requests found by one scan; the page may be short although more requests match.
    pub async fn recent_requests(&self, filter: RequestFilter) -> Result<Listed<Request>> {
        self.read(move |tx| {
            if filter.account.is_some() {
                return request::list(tx, &filter);
            }
            requests(tx, &filter)
        })
        .await
    }
}

/// Numbers of the requests of one scan: from `low` to below `high`.
#[derive(Debug, Clone, Copy)]
struct Range {
    low: i64,
    high: i64,
}

impl Range {
    /// The numbers of all requests of the period.
    fn of_period(tx: &Tx, filter: &RequestFilter) -> Result<Self> {
        let oldest: Option<i64> = tx.one("SELECT min(ledger) FROM request", &[])?;
        let newest: Option<i64> = tx.one("SELECT max(ledger) FROM request", &[])?;
        let mut range = Self {
            low: oldest.unwrap_or(0),
            high: newest.unwrap_or(0) + 1,
        };
        if let Some(before) = filter.received_before {
            range.high = range.high.min(after_all_before(tx, before)?);
        }
        if let Some(since) = filter.received_after {
            range.low = range.low.max(before_all_since(tx, since)?);
        }
        Ok(range)
    }

    /// Excludes the numbers that earlier pages covered.
    fn go_on(&mut self, tx: &Tx, cursor: &str, order: ListOrder) -> Result<()> {
        let end = cursor.strip_prefix(SCAN_END);
        let end: Option<i64> = end
            .map(|n| n.parse().map_err(|_| unknown_cursor(cursor)))
            .transpose()?;
        match (order, end) {
            (ListOrder::NewestFirst, Some(end)) => self.high = self.high.min(end),
            (ListOrder::NewestFirst, None) => self.high = self.high.min(n_of(tx, cursor)?),
            (ListOrder::OldestFirst, Some(end)) => self.low = self.low.max(end),
            (ListOrder::OldestFirst, None) => self.low = self.low.max(n_of(tx, cursor)? + 1),
        }
        Ok(())
    }

    /// Shortens the range to that of one scan. Returns the cursor of the remainder, if there is one.
    fn shorten(&mut self, order: ListOrder) -> Option<String> {
        if self.high.saturating_sub(self.low) <= RANGE {
            return None;
        }
        let end = match order {
            ListOrder::NewestFirst => {
                self.low = self.high - RANGE;
                self.low
            }
            ListOrder::OldestFirst => {
                self.high = self.low + RANGE;
                self.high
            }
        };
        Some(format!("{SCAN_END}{end}"))
    }
}

pub(crate) fn requests(tx: &Tx, filter: &RequestFilter) -> Result<Listed<Request>> {
    let limit = filter.page.rows();
    let order = filter.order;
    let mut range = Range::of_period(tx, filter)?;
    if let Some(cursor) = &filter.page.after {
        range.go_on(tx, cursor, order)?;
    }
    let open = filter
        .state
        .filter(|state| matches!(state, RequestState::Held | RequestState::Failed));
    // Waiting states have an index of their own; other requests are searched for in a range.
    let is_narrowed = filter.state.is_some() || filter.portal.is_some();
    let mut rest = None;
    if filter.reason.is_some() || (open.is_none() && is_narrowed) {
        rest = range.shorten(order);
    }
    let rows_wanted = limit + 1;
    let mut wanted = Conditions::default();
    wanted.ask("r.ledger < ?", Some(&range.high));
    wanted.ask("r.ledger >= ?", Some(&range.low));
    // Written so that no index by portal serves it: its rows would have to be sorted.
    wanted.ask("coalesce(r.portal, '') = ?", filter.portal.as_ref());
    wanted.ask("r.received_at < ?", filter.received_before.as_ref());
    wanted.ask("r.received_at >= ?", filter.received_after.as_ref());
    wanted.ask(
        "(SELECT l.rule FROM ledger AS l WHERE l.n = r.ledger) = ?",
        filter.reason.as_ref(),
    );
    let limit_wanted = wanted.bind(&rows_wanted);
    // The state is part of the statement: as a parameter it would keep a partial index from being used.
    let state = match filter.state {
        Some(state) => format!("r.state = '{state}'"),
        None => "true".to_owned(),
    };
    let sql = format!(
        "SELECT r.ledger FROM request AS r WHERE {state} AND {}
         ORDER BY r.ledger {} LIMIT {limit_wanted}",
        wanted.sql(),
        order.direction()
    );
    let mut found: Vec<i64> = tx.all(&sql, wanted.values())?;
    let more = found.len() > limit;
    found.truncate(limit);
    let rows = request::by_numbers(tx, &found)?;
    let next = if more {
        rows.last().map(|request| request.ledger.to_string())
    } else {
        rest
    };
    Ok(Listed { rows, next })
}
