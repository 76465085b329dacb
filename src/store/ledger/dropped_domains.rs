//! Counts of dropped messages by domain.

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::SimilarDomains;
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
    /// Number of messages; only of the newest days if there are hundreds of thousands of domains.
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

/// Maximum number of daily counters that a ranking reads, the newest first. Each is of one domain and day, and a flood
/// of forged senders has as many domains as messages.
const MAX_COUNTERS: usize = 200_000;

/// Domains with their numbers of messages in at most `most` daily counters since a midnight, largest first.
fn counted_domains(
    tx: &Tx,
    midnight: Millis,
    after: &RankCursor,
    limit: usize,
    most: usize,
) -> Result<Vec<(String, u64)>> {
    tx.all(
        "SELECT domain, total FROM (
             SELECT domain, CAST(sum(messages) AS bigint) AS total FROM (
                 SELECT domain, messages FROM shut_out WHERE day >= ?1
                 ORDER BY day DESC, domain DESC LIMIT ?5
             ) AS newest
             GROUP BY domain
         ) AS counted
         WHERE total < ?2 OR (total = ?2 AND domain > ?3)
         ORDER BY total DESC, domain LIMIT ?4",
        &[&midnight, &after.messages, &after.domain, &limit, &most],
    )
}

/// Lists a page of domains. Messages are counted from the daily counters; different senders through an index, for
/// the listed domains only.
pub(crate) fn domains(tx: &Tx, since: Millis, page: &Page) -> Result<Listed<DroppedDomain>> {
    let after = RankCursor::before(page)?;
    let settings = settings_cache::newest(tx)?.settings;
    let similar = SimilarDomains::of(&settings);
    let midnight = since.midnight_before();
    let limit = page.rows();
    let rows = limit.saturating_add(1);
    let mut domains = counted_domains(tx, midnight, &after, rows, MAX_COUNTERS)?;
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
                nearest: similar.nearest(&domain).cloned(),
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
    let similar = SimilarDomains::of(&settings);
    let midnight = since.midnight_before();
    let top = RankCursor::top();
    let candidates = counted_domains(tx, midnight, &top, MAX_CANDIDATES, MAX_COUNTERS)?;
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
                nearest: similar.nearest(&domain).cloned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ranking_reads_the_newest_counters_up_to_a_maximum() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
        let counters: [(i64, &str, i64); 4] = [
            (1, "a.example", 9),
            (2, "a.example", 1),
            (2, "b.example", 2),
            (3, "c.example", 1),
        ];
        let written = store.write(move |work| {
            for (day, domain, messages) in counters {
                let sql = "INSERT INTO shut_out (day, domain, messages) VALUES (?1, ?2, ?3)";
                work.tx.run(sql, &[&day, &domain, &messages])?;
            }
            Ok(())
        });
        written.await.expect("written");
        for (most, expected) in [
            (
                4,
                &[("a.example", 10), ("b.example", 2), ("c.example", 1)][..],
            ),
            (3, &[("b.example", 2), ("a.example", 1), ("c.example", 1)]),
            (2, &[("b.example", 2), ("c.example", 1)]),
        ] {
            let ranking = store.read(move |tx| {
                let top = RankCursor::top();
                counted_domains(tx, Millis(0), &top, 10, most)
            });
            let ranking = ranking.await.expect("read");
            let found: Vec<(&str, u64)> = ranking
                .iter()
                .map(|(domain, messages)| (domain.as_str(), *messages))
                .collect();
            assert_eq!(found, expected);
        }
    }
}
