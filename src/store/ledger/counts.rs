//! Counts of messages by verdict and reason, and of requests by state.

use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

use crate::domain::{PortalName, Reason, RequestState, Timestamp, Verdict};
use crate::store::rows::reason_codes::with_codes;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::verification::sent_and_queued_mail::count_given_up;
use crate::store::{Result, Store};

/// Number of ledger entries with the same portal, verdict and reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EntryCount {
    /// Null for bounces to the return address.
    pub portal: Option<PortalName>,
    pub verdict: Verdict,
    pub reason: Reason,
    pub messages: u64,
}
from_row!(EntryCount, row: portal, verdict, reason, messages);

/// Number of requests for one portal in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RequestCount {
    pub portal: PortalName,
    pub state: RequestState,
    pub requests: u64,
}
from_row!(RequestCount, row: portal, state, requests);

/// A domain with held mail. Many senders of one domain at the same time are rarely real people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HeldDomain {
    pub domain: String,
    pub messages: u64,
    pub people: u64,
}
from_row!(HeldDomain, row: domain, messages, people);

/// All counts, ordered by portal, then as in the documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    pub entries: Vec<EntryCount>,
    /// Current requests.
    pub requests: Vec<RequestCount>,
    /// The domains with the most messages, in that order.
    pub held_domains: Vec<HeldDomain>,
    /// Accounts that our mail cannot reach.
    pub undeliverable: u64,
    /// Accounts whose last verification mail was given up, and which still wait for one.
    pub refused_mails: u64,
}

/// Queue lengths and the size of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueLengths {
    /// Held, released and failed requests.
    pub requests: Vec<RequestCount>,
    /// Verification mails not sent yet.
    pub verification_mails: u64,
    pub octets: u64,
}

/// Number of messages of one UTC day with the same verdict and reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayCount {
    /// Midnight UTC.
    pub day: Timestamp,
    pub verdict: Verdict,
    pub reason: Reason,
    pub messages: u64,
}
from_row!(DayCount, row: day, verdict, reason, messages);

/// A count that stops at a bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounded {
    pub number: u64,
    /// True if there are more.
    pub more: bool,
}

impl Bounded {
    /// Bound of each count.
    pub(in crate::store) const MAX: u64 = 10_000;

    /// Creates a count of rows from a query that selects at most one row more than the bound.
    pub(in crate::store) fn of(found: u64) -> Self {
        Self {
            number: found.min(Self::MAX),
            more: found > Self::MAX,
        }
    }
}

impl std::fmt::Display for Bounded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.number, if self.more { "+" } else { "" })
    }
}

/// Requests in one of the waiting states, counted up to a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    pub state: RequestState,
    pub requests: Bounded,
    /// The same by portal, of the counted requests only.
    pub by_portal: Vec<(PortalName, u64)>,
}

impl Store {
    /// Messages since the day of `since`, by day. Read from counters that every entry updates.
    pub async fn by_day(&self, since: Timestamp) -> Result<Vec<DayCount>> {
        self.read(move |tx| by_day(tx, since.into())).await
    }

    /// Held, released and failed requests. The time it takes does not grow with the backlog.
    pub async fn backlog(&self) -> Result<Vec<Backlog>> {
        self.read(|tx| {
            [
                RequestState::Held,
                RequestState::Released,
                RequestState::Failed,
            ]
            .into_iter()
            .map(|state| backlog(tx, state))
            .collect()
        })
        .await
    }

    /// The released requests of [`backlog`](Self::backlog) that their blocked accounts stop.
    pub async fn stopped_backlog(&self) -> Result<Backlog> {
        self.read(stopped_backlog).await
    }

    /// Times from the creation of an account to its verification by the person, for verifications since `since`;
    /// those by an operator are excluded. Only the newest, up to a bound.
    pub async fn verification_times(&self, since: Timestamp) -> Result<Vec<Duration>> {
        self.read_long(move |tx| verification_times(tx, since.into()))
            .await
    }

    /// Current queue lengths. Cheap enough to poll: it reads nothing that is settled.
    pub async fn queue_lengths(&self) -> Result<QueueLengths> {
        self.read(|tx| {
            Ok(QueueLengths {
                requests: waiting(tx)?,
                verification_mails: tx
                    .one("SELECT count(*) FROM letter WHERE due_at IS NOT NULL", &[])?,
                octets: tx.size()?,
            })
        })
        .await
    }

    /// True if the ledger has an entry for this portal. Read from the counters by day.
    pub async fn has_entries_for(&self, portal: PortalName) -> Result<bool> {
        self.read(move |tx| {
            let sql = "SELECT 1 FROM day_count WHERE portal = ? AND messages > 0 LIMIT 1";
            tx.exists(sql, &[&portal])
        })
        .await
    }

    /// Requests by portal and state. Reads the waiting requests, and counters of the settled ones.
    pub async fn request_counts(&self) -> Result<Vec<RequestCount>> {
        self.read(requests).await
    }

    /// Counts messages since `since`, and everything current.
    pub async fn counts(&self, since: Timestamp) -> Result<Counts> {
        self.read_long(move |tx| {
            Ok(Counts {
                entries: entries(tx, since)?,
                requests: requests(tx)?,
                held_domains: held_domains(tx, since)?,
                undeliverable: tx.one(
                    "SELECT count(*) FROM account INDEXED BY account_undeliverable
                         WHERE undeliverable = 1 AND forgotten_at IS NULL",
                    &[],
                )?,
                refused_mails: count_given_up(tx, Millis(0))?,
            })
        })
        .await
    }
}

/// Domains of messages that were held or dropped by the hold quota, without duplicates. Reads only the newest
/// entries, up to a bound.
fn held_domains(tx: &Tx, since: Timestamp) -> Result<Vec<HeldDomain>> {
    const FIRST: u32 = 5;
    tx.all(
        &with_codes(
            "SELECT domain, count(*) AS messages, count(DISTINCT sender) AS people FROM (
             SELECT domain, sender FROM ledger
             WHERE received_at >= ?1 AND (verdict = 'held' OR rule = {hold_quota})
                 AND rule <> {duplicate} AND domain IS NOT NULL
             ORDER BY received_at DESC LIMIT ?2
         ) AS newest
         GROUP BY domain ORDER BY messages DESC, domain LIMIT ?3",
        ),
        &[&Millis::from(since), &Bounded::MAX, &FIRST],
    )
}

/// Counts entries: whole days from the counters, and the partial first day through the index on time.
pub(crate) fn entries(tx: &Tx, since: Timestamp) -> Result<Vec<EntryCount>> {
    let since = Millis::from(since);
    let midnight = Millis(since.0 + Millis::DAY - 1).midnight_before();
    tx.all(
        "SELECT portal, verdict, rule AS reason, CAST(sum(messages) AS bigint) AS messages FROM (
             SELECT portal, verdict, rule, count(*) AS messages FROM ledger
             WHERE received_at >= ?1 AND received_at < ?2 GROUP BY portal, verdict, rule
             UNION ALL
             SELECT nullif(portal, ''), verdict, rule, messages FROM day_count WHERE day >= ?2
         ) AS counted
         GROUP BY portal, verdict, rule",
        &[&since, &midnight],
    )
}

/// Counts requests: waiting ones through indexes of only these, settled ones from the counters.
pub(crate) fn requests(tx: &Tx) -> Result<Vec<RequestCount>> {
    let mut counts: Vec<RequestCount> = tx.all(
        "SELECT portal, 'held' AS state, count(*) AS requests FROM request INDEXED BY request_open
         WHERE state = 'held' GROUP BY portal
         UNION ALL
         SELECT portal, 'released', count(*) FROM request INDEXED BY request_due
         WHERE state = 'released' AND portal > '' GROUP BY portal
         UNION ALL
         SELECT portal, state, requests FROM request_count",
        &[],
    )?;
    counts.sort_by(|a, b| (&a.portal, a.state.as_str()).cmp(&(&b.portal, b.state.as_str())));
    Ok(counts)
}

pub(crate) fn by_day(tx: &Tx, since: Millis) -> Result<Vec<DayCount>> {
    tx.all(
        "SELECT day, verdict, rule AS reason, CAST(sum(messages) AS bigint) AS messages FROM day_count
         WHERE day >= ?1 GROUP BY day, verdict, rule",
        &[&since.midnight_before()],
    )
}

pub(crate) fn verification_times(tx: &Tx, since: Millis) -> Result<Vec<Duration>> {
    tx.all_with(
        "SELECT verified_at - created_at FROM account INDEXED BY account_verified
         WHERE verified_at >= ?1 AND substr(verified_by, 1, 9) <> 'operator:'
         ORDER BY verified_at DESC LIMIT ?2",
        &[&since, &Bounded::MAX],
        |row| {
            let millis: i64 = row.get(0)?;
            Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
        },
    )
}

pub(crate) fn backlog(tx: &Tx, state: RequestState) -> Result<Backlog> {
    let rows = match state {
        RequestState::Released => {
            "request INDEXED BY request_due WHERE state = 'released' AND portal > ''"
        }
        RequestState::Failed => {
            "request INDEXED BY request_open WHERE state = 'failed' ORDER BY ledger DESC"
        }
        _ => "request INDEXED BY request_open WHERE state = 'held' ORDER BY ledger DESC",
    };
    count_up_to_bound(tx, state, rows)
}

pub(crate) fn stopped_backlog(tx: &Tx) -> Result<Backlog> {
    let rows = "request INDEXED BY request_stopped WHERE stopped = 1 AND portal > ''";
    count_up_to_bound(tx, RequestState::Released, rows)
}

/// Counts the requests of `rows`: a table, with the index and the condition.
fn count_up_to_bound(tx: &Tx, state: RequestState, rows: &str) -> Result<Backlog> {
    let by_portal: Vec<(PortalName, u64)> = tx.all(
        &format!(
            "SELECT portal, count(*) FROM (SELECT portal FROM {rows} LIMIT ?) AS counted GROUP BY portal",
        ),
        &[&(Bounded::MAX + 1)],
    )?;
    let found: u64 = by_portal.iter().map(|(_, requests)| requests).sum();
    Ok(Backlog {
        state,
        requests: Bounded::of(found),
        by_portal,
    })
}

/// Counts each state with its own partial index.
fn waiting(tx: &Tx) -> Result<Vec<RequestCount>> {
    tx.all(
        "SELECT portal, 'held' AS state, count(*) AS requests
         FROM request WHERE state = 'held' GROUP BY portal
         UNION ALL
         SELECT portal, 'released', count(*) FROM request WHERE state = 'released' GROUP BY portal
         UNION ALL
         SELECT portal, 'failed', count(*) FROM request
         WHERE state = 'failed' AND settled_at IS NOT NULL AND kept = 1 GROUP BY portal",
        &[],
    )
}
