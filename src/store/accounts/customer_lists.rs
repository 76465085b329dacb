//! Filtered lists of accounts, by address or by the time at which they were created.
//!
//! One index returns the rows of a list in order. If the index does not cover the whole filter, or has rows of expired
//! accounts in between, a scan reads a bounded range of it, and a page that is not full has a cursor from which the
//! search continues. Conditions that another index covers are written so that the planner cannot use that index: its
//! rows would have to be sorted.

use super::customers::SHOWN;
use crate::domain::{Account, AccountKind, AccountStatus, Domain, Timestamp};
use crate::store::rows::expired_accounts::not_before_addresses;
use crate::store::sql::page_builder::PageBuilder;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::time_cursor::TimeCursor;
use crate::store::sql::{Conditions, FromRow, Row, Tx};
use crate::store::{ListOrder, Listed, Page, Result, Store};

/// Index entries that one scan reads if the index does not cover the whole filter.
const SCAN_LIMIT: i64 = 20_000;

/// Accounts to list.
#[derive(Debug, Clone, Default)]
pub struct CustomerFilter {
    pub kind: Option<AccountKind>,
    pub status: Option<AccountStatus>,
    pub domain: Option<String>,
    /// Part of the address.
    pub search: Option<String>,
    /// Only accounts that our mail cannot reach.
    pub undeliverable: bool,
    /// Only accounts created since then.
    pub created_after: Option<Timestamp>,
    /// Only accounts created before then.
    pub created_before: Option<Timestamp>,
    /// None for the order of the addresses. A list of a period is always in the order of time.
    pub order: Option<ListOrder>,
    pub page: Page,
}

impl CustomerFilter {
    /// Order of the list, if it is by time.
    fn time_order(&self) -> Option<ListOrder> {
        let has_period = self.created_after.is_some() || self.created_before.is_some();
        self.order.or(has_period.then_some(ListOrder::NewestFirst))
    }
}

impl Store {
    /// Accounts that match the filter. Searches until the page is full, in many short scans.
    pub async fn customers(&self, filter: CustomerFilter) -> Result<Listed<Account>> {
        let mut builder = PageBuilder::begin(&filter.page);
        loop {
            let look = CustomerFilter {
                page: builder.page(),
                ..filter.clone()
            };
            if builder.add(self.recent_customers(look).await?) {
                return Ok(builder.finish_at_scan_end());
            }
        }
    }

    /// Accounts found by one scan; the page may be short although more accounts match.
    pub async fn recent_customers(&self, filter: CustomerFilter) -> Result<Listed<Account>> {
        self.read(move |tx| list(tx, &filter)).await
    }
}

pub(crate) fn list(tx: &Tx, filter: &CustomerFilter) -> Result<Listed<Account>> {
    match filter.time_order() {
        Some(order) => by_time(tx, filter, order),
        None => by_address(tx, filter),
    }
}

/// Values of the conditions, in the form that the columns store.
struct Values {
    domain: Option<String>,
    search: Option<String>,
}

impl Values {
    fn of(filter: &CustomerFilter) -> Self {
        // Normalized like the domains of accounts; an invalid domain matches no account.
        let domain = filter.domain.as_ref();
        let domain = domain.map(|text| match Domain::parse(text) {
            Ok(domain) => domain.to_string(),
            Err(_) => text.clone(),
        });
        let search = filter.search.as_ref().map(|part| part.to_ascii_lowercase());
        Self {
            domain,
            search: search.filter(|part| !part.is_empty()),
        }
    }
}

/// Column, besides the address, of the index that serves a list by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    Undeliverable,
    Domain,
    Status,
    Kind,
    Nothing,
}

impl Served {
    fn of(filter: &CustomerFilter) -> Self {
        if filter.undeliverable {
            Self::Undeliverable
        } else if filter.domain.is_some() {
            Self::Domain
        } else if filter.status.is_some() {
            Self::Status
        } else if filter.kind.is_some() {
            Self::Kind
        } else {
            Self::Nothing
        }
    }
}

/// Adds the conditions that the index serves.
fn ask_served<'a>(
    wanted: &mut Conditions<'a>,
    served: Served,
    filter: &'a CustomerFilter,
    values: &'a Values,
) {
    match served {
        Served::Undeliverable => wanted.always("a.undeliverable = 1"),
        Served::Domain => wanted.ask("a.domain = ?", values.domain.as_ref()),
        Served::Status => wanted.ask("a.status = ?", filter.status.as_ref()),
        Served::Kind => wanted.ask("a.kind = ?", filter.kind.as_ref()),
        Served::Nothing => {}
    }
}

/// Adds the other conditions, in a form that no index serves. Returns true if there are any.
fn ask_rest<'a>(
    wanted: &mut Conditions<'a>,
    served: Served,
    filter: &'a CustomerFilter,
    values: &'a Values,
) -> bool {
    let before = wanted.len();
    if served != Served::Undeliverable && filter.undeliverable {
        wanted.always("a.undeliverable + 0 = 1");
    }
    if served != Served::Domain {
        wanted.ask("coalesce(a.domain, '') = ?", values.domain.as_ref());
    }
    if served != Served::Status {
        wanted.ask("coalesce(a.status, '') = ?", filter.status.as_ref());
    }
    if served != Served::Kind {
        wanted.ask("coalesce(a.kind, '') = ?", filter.kind.as_ref());
    }
    wanted.ask("replace(a.key, ?, '') <> a.key", values.search.as_ref());
    wanted.len() > before
}

fn by_address(tx: &Tx, filter: &CustomerFilter) -> Result<Listed<Account>> {
    let values = Values::of(filter);
    let served = Served::of(filter);
    let limit = filter.page.rows();
    let rows_wanted = limit + 1;
    let after = not_before_addresses(filter.page.after.as_deref());

    let mut range = Conditions::default();
    ask_served(&mut range, served, filter, &values);
    range.ask("a.key > ?", Some(&after));
    let offset = range.bind(&SCAN_LIMIT);
    let end_of_scan = format!(
        "SELECT a.key FROM account AS a WHERE {} ORDER BY a.key LIMIT 1 OFFSET {offset}",
        range.sql()
    );

    let mut wanted = Conditions::default();
    wanted.always("a.forgotten_at IS NULL");
    ask_served(&mut wanted, served, filter, &values);
    wanted.ask("a.key > ?", Some(&after));
    let mut end: Option<String> = None;
    if ask_rest(&mut wanted, served, filter, &values) {
        end = tx.maybe(&end_of_scan, range.values())?;
    }
    wanted.ask("a.key <= ?", end.as_ref());
    let most = wanted.bind(&rows_wanted);
    let sql = format!("{SHOWN} WHERE {} ORDER BY a.key LIMIT {most}", wanted.sql());
    let read = |row: &Row| Ok((Account::from_row(row)?, row.get("key")?));
    let rows = tx.all_with(&sql, wanted.values(), read)?;
    Ok(Listed::cut_at(rows, limit, end))
}

/// Adds the condition for one end of a scan: a position or, without one, an end of the period.
fn ask_bound<'a>(
    wanted: &mut Conditions<'a>,
    (of_place, of_period): (&str, &str),
    place: Option<&'a TimeCursor>,
    period: Option<&'a Millis>,
) {
    match place {
        Some(_) => wanted.ask_place(&format!("(a.created_at, a.n) {of_place}"), place),
        None => wanted.ask(&format!("a.created_at {of_period} ?"), period),
    }
}

fn by_time(tx: &Tx, filter: &CustomerFilter, order: ListOrder) -> Result<Listed<Account>> {
    let values = Values::of(filter);
    let limit = filter.page.rows();
    let rows_wanted = limit + 1;
    let since = filter.created_after.map(Millis::from);
    let before = filter.created_before.map(Millis::from);
    let (first, last) = match order {
        ListOrder::NewestFirst => (before.unwrap_or(Millis(i64::MAX)), since),
        ListOrder::OldestFirst => (since.unwrap_or(Millis(i64::MIN)), before),
    };
    let (begins, ends) = match order {
        ListOrder::NewestFirst => (("<", "<"), (">=", ">=")),
        ListOrder::OldestFirst => ((">", ">="), ("<=", "<")),
    };
    let after = TimeCursor::before(&filter.page)?;
    let direction = order.direction();

    let mut wanted = Conditions::default();
    wanted.always("a.forgotten_at IS NULL");
    ask_bound(&mut wanted, begins, after.as_ref(), Some(&first));
    ask_rest(&mut wanted, Served::Nothing, filter, &values);
    // Expired accounts can fill any part of the index, so a scan is bounded without a filter as well.
    let mut range = Conditions::default();
    ask_bound(&mut range, begins, after.as_ref(), Some(&first));
    ask_bound(&mut range, ends, None, last.as_ref());
    let offset = range.bind(&SCAN_LIMIT);
    let end_of_scan = format!(
        "SELECT a.created_at, a.n FROM account AS a WHERE {}
         ORDER BY a.created_at {direction}, a.n {direction} LIMIT 1 OFFSET {offset}",
        range.sql()
    );
    let read = |row: &Row| TimeCursor::of_row(row, "created_at");
    let end: Option<TimeCursor> = tx.maybe_with(&end_of_scan, range.values(), read)?;
    ask_bound(&mut wanted, ends, end.as_ref(), last.as_ref());
    let most = wanted.bind(&rows_wanted);
    let sql = format!(
        "{SHOWN} WHERE {} ORDER BY a.created_at {direction}, a.n {direction} LIMIT {most}",
        wanted.sql()
    );
    let rows = tx.all_with(&sql, wanted.values(), |row| {
        let place = TimeCursor::of_row(row, "created_at")?;
        Ok((Account::from_row(row)?, place.cursor()))
    })?;
    Ok(Listed::cut_at(rows, limit, end.map(TimeCursor::cursor)))
}
