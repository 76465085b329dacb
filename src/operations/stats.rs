//! Counts of messages, of their outcomes, and of queues.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{PortalName, Timestamp};
use crate::store::{EntryCount, HeldDomain, RequestCount, Result, Store};

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Stats {
    /// Start of the period in which messages are counted.
    pub since: Timestamp,
    pub messages: u64,
    pub entries: Vec<EntryCount>,
    /// Current counts.
    pub requests: Vec<RequestCount>,
    /// The first few domains with held mail, by number of messages. Empty for one portal.
    pub held_domains: Vec<HeldDomain>,
    /// Accounts of the whole site that our mail cannot reach: it bounced, or our relay does not know the address.
    pub undeliverable: u64,
    /// Accounts of the whole site whose last verification mail was given up, and which still wait for one.
    pub refused_mails: u64,
}

/// Counts since that time, for every portal or for one.
pub async fn count_messages(
    store: &Store,
    since: Timestamp,
    portal: Option<&PortalName>,
) -> Result<Stats> {
    let mut counts = store.counts(since).await?;
    if portal.is_some() {
        // These are counted over all portals.
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
        refused_mails: counts.refused_mails,
    })
}
