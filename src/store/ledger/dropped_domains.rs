//! Counts of dropped messages by domain.

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::nearest_pattern;
use crate::domain::{DomainPattern, Timestamp};
use crate::store::engine::settings_cache;
use crate::store::rows::reason_codes::with_codes;
use crate::store::sql::Tx;
use crate::store::sql::page_builder::unknown_cursor;
use crate::store::sql::sql_types::Millis;
use crate::store::{Listed, Page, Result, Store};

/// A domain whose mail the access settings dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DroppedDomain {
    pub domain: String,
    pub messages: u64,
    /// Number of distinct senders; a lower bound if there are tens of thousands of messages.
    pub people: u64,
    /// The current pattern that is most similar to the domain: possibly a typo.
    pub nearest: Option<DomainPattern>,
}

impl Store {
    /// Lists the domains whose mail the access settings dropped since the (UTC) day of `since`, by number of
    /// messages.
    pub async fn dropped_domains(
        &self,
        since: Timestamp,
        page: Page,
    ) -> Result<Listed<DroppedDomain>> {
        self.read_long(move |tx| domains(tx, since.into(), &page))
            .await
    }
}

/// Maximum messages of a domain that are read to count its senders.
const MAX_LOOKED_THROUGH: u32 = 20_000;

/// A position in the ranking. A domain whose count changes between two pages may be missing or appear twice.
struct RankCursor {
    messages: u64,
    domain: String,
}

impl RankCursor {
    /// The position before the first domain.
    fn top() -> Self {
        Self {
            messages: u64::MAX,
            domain: String::new(),
        }
    }

    /// The position of the last domain of the previous page.
    fn before(page: &Page) -> Result<Self> {
        let Some(cursor) = &page.after else {
            return Ok(Self::top());
        };
        let place = cursor.split_once('-').and_then(|(messages, domain)| {
            Some(Self {
                messages: messages.parse().ok()?,
                domain: domain.to_owned(),
            })
        });
        place.ok_or_else(|| unknown_cursor(cursor))
    }
}

/// Domains with their numbers of messages in the daily counters since a midnight, largest first.
fn counted_domains(
    tx: &Tx,
    midnight: Millis,
    after: &RankCursor,
    limit: usize,
) -> Result<Vec<(String, u64)>> {
    tx.all(
        "SELECT domain, total FROM (
             SELECT domain, CAST(sum(messages) AS bigint) AS total FROM shut_out WHERE day >= ?1
             GROUP BY domain
         ) AS counted
         WHERE total < ?2 OR (total = ?2 AND domain > ?3)
         ORDER BY total DESC, domain LIMIT ?4",
        &[&midnight, &after.messages, &after.domain, &limit],
    )
}

/// Lists a page of domains. Messages are counted from the daily counters; different senders through an index, for
/// the listed domains only.
pub(crate) fn domains(tx: &Tx, since: Millis, page: &Page) -> Result<Listed<DroppedDomain>> {
    let after = RankCursor::before(page)?;
    let settings = settings_cache::newest(tx)?.settings;
    let midnight = since.midnight_before();
    let limit = page.rows();
    let mut domains = counted_domains(tx, midnight, &after, limit.saturating_add(1))?;
    let is_more = domains.len() > limit;
    domains.truncate(limit);
    let last = domains.last();
    let next = last.map(|(domain, messages)| format!("{messages}-{domain}"));
    let people = with_codes(
        "SELECT count(DISTINCT sender) FROM (
             SELECT sender FROM ledger INDEXED BY ledger_dropped
             WHERE verdict = 'dropped' AND domain = ?1 AND received_at >= ?2
                 AND rule IN ({refuses})
             LIMIT ?3
         ) AS newest",
    );
    let rows: Result<Vec<_>> = domains
        .into_iter()
        .map(|(domain, messages)| {
            Ok(DroppedDomain {
                messages,
                people: tx.one(&people, &[&domain, &midnight, &MAX_LOOKED_THROUGH])?,
                nearest: nearest_pattern(&domain, &settings).cloned(),
                domain,
            })
        })
        .collect();
    Ok(Listed {
        rows: rows?,
        next: next.filter(|_| is_more),
    })
}

/// Maximum candidate domains that are taken from the daily counters.
const MAX_CANDIDATES: usize = 200;

/// Lists the domains whose mail the access settings dropped in a period, those with the most messages first.
/// Messages and senders are counted through an index, up to a bound for each domain.
pub(crate) fn domains_between(
    tx: &Tx,
    since: Millis,
    until: Millis,
    limit: usize,
) -> Result<Vec<DroppedDomain>> {
    let settings = settings_cache::newest(tx)?.settings;
    let midnight = since.midnight_before();
    let candidates = counted_domains(tx, midnight, &RankCursor::top(), MAX_CANDIDATES)?;
    let counted = with_codes(
        "SELECT count(*), count(DISTINCT sender) FROM (
             SELECT sender FROM ledger INDEXED BY ledger_dropped
             WHERE verdict = 'dropped' AND domain = ?1 AND received_at >= ?2 AND received_at < ?3
                 AND rule IN ({refuses})
             LIMIT ?4
         ) AS entries",
    );
    let mut domains = Vec::new();
    for (domain, _) in candidates {
        let (messages, people): (u64, u64) =
            tx.one(&counted, &[&domain, &since, &until, &MAX_LOOKED_THROUGH])?;
        if messages > 0 {
            domains.push(DroppedDomain {
                messages,
                people,
                nearest: nearest_pattern(&domain, &settings).cloned(),
                domain,
            });
        }
    }
    domains.sort_by(|a, b| {
        b.messages
            .cmp(&a.messages)
            .then_with(|| a.domain.cmp(&b.domain))
    });
    domains.truncate(limit);
    Ok(domains)
}
