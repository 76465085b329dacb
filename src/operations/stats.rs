//! What came and what became of it, and what waits.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{PortalName, Timestamp};
use crate::store::{EntryCount, HeldDomain, RequestCount, Store, StoreError};

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Stats {
    /// Messages are counted from then on.
    pub since: Timestamp,
    pub messages: u64,
    pub entries: Vec<EntryCount>,
    /// As they are now.
    pub requests: Vec<RequestCount>,
    /// Whose mail is held, the first few, most messages first. Empty for one portal.
    pub held_domains: Vec<HeldDomain>,
    /// Accounts of the whole site that our mail cannot reach: it came back.
    pub undeliverable: u64,
}

/// Counts what came since then, for every portal or for one.
pub async fn stats(
    store: &Store,
    since: Timestamp,
    portal: Option<&PortalName>,
) -> Result<Stats, StoreError> {
    let mut counts = store.counts(since).await?;
    if portal.is_some() {
        // Counted over all portals.
        counts.held_domains.clear();
        counts
            .entries
            .retain(|count| count.portal.as_ref() == portal);
        counts
            .requests
            .retain(|count| Some(&count.portal) == portal);
    }
    Ok(Stats {
        since,
        messages: counts.entries.iter().map(|count| count.messages).sum(),
        entries: counts.entries,
        requests: counts.requests,
        held_domains: counts.held_domains,
        undeliverable: counts.undeliverable,
    })
}
