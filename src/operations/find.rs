//! Finds customers and messages by whatever an operator knows of them: a part of an address or name, words of
//! the subject, a domain, an id or a Message-ID.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::{bare_message_id, find_entry};
use crate::domain::{
    Account, EmailAddress, LedgerId, PortalName, Reason, RequestId, RequestState, Timestamp,
    Verdict,
};
use crate::store::{
    CustomerFilter, FindFilter, LedgerEntry, LedgerFilter, MAX_NOT_INDEXED, Page, Result, Store,
};

/// Maximum customers that are listed before the messages.
const CUSTOMERS: usize = 5;

/// Maximum messages that come first because their Message-ID, which looks like an address, is the search text.
/// Senders choose Message-IDs.
const SAME_MESSAGE_ID: usize = 10;

/// A message that was found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FoundMessage {
    pub ledger: LedgerId,
    pub received_at: Timestamp,
    pub portal: Option<PortalName>,
    pub sender: Option<EmailAddress>,
    pub subject: Option<String>,
    pub verdict: Verdict,
    pub reason: Reason,
    pub request: Option<RequestId>,
    /// Of the request.
    pub state: Option<RequestState>,
}

/// Answer to a search.
#[derive(Debug, Clone)]
pub struct Found {
    /// The first customers whose address contains the search text, whatever the filters on messages. Only on the first
    /// page, and none if the text has white space.
    pub customers: Vec<Account>,
    pub entries: Vec<LedgerEntry>,
    pub messages: Vec<FoundMessage>,
    /// Cursor of the next page. A page may be short or empty and still have one: then only the newest messages were
    /// compared.
    pub next: Option<String>,
    /// Messages that are not in the index yet or changed since, counted up to a bound.
    pub not_indexed: u64,
}

impl Found {
    /// Says that messages cannot be found yet, if there are any.
    #[must_use]
    pub fn explain_gap(&self) -> Option<String> {
        explain_gap(self.not_indexed)
    }
}

fn explain_gap(not_indexed: u64) -> Option<String> {
    match not_indexed {
        0 => None,
        1 => Some("1 message cannot be found yet. Try again in a moment.".to_owned()),
        2..MAX_NOT_INDEXED => Some(format!(
            "{not_indexed} messages cannot be found yet. Try again in a moment."
        )),
        _ => Some(
            "The search index is being built, from the oldest message to the newest. The newest \
             messages cannot be found until it is complete, which can take hours."
                .to_owned(),
        ),
    }
}

/// Searches. An id, or a Message-ID in angle brackets, finds that message alone. Without the brackets, a Message-ID
/// may look like an address, and senders choose theirs: its messages come first, and everything else is searched
/// too.
pub async fn find(store: &Store, filter: FindFilter) -> Result<Found> {
    let search_text = filter.search_text.trim().to_owned();
    let is_first_page = filter.page.after.is_none();
    let is_exact = search_text.starts_with('<') || !search_text.contains('@');
    let mut found = Found {
        customers: Vec::new(),
        entries: Vec::new(),
        messages: Vec::new(),
        next: None,
        not_indexed: store.not_indexed().await?,
    };
    let mut exact = Vec::new();
    // Later pages omit the messages that came first.
    if is_first_page || !is_exact {
        let most = if is_exact {
            filter.page.limit
        } else {
            SAME_MESSAGE_ID
        };
        exact = find_exact(store, &search_text, &filter, most).await?;
    }
    if exact.is_empty() || !is_exact {
        if is_first_page {
            found.customers = find_customers(store, &search_text).await?;
        }
        let first: BTreeSet<LedgerId> = exact.iter().map(|entry| entry.ledger).collect();
        let mut listed = store.find_entries(filter).await?;
        listed.rows.retain(|entry| !first.contains(&entry.ledger));
        (found.entries, found.next) = (listed.rows, listed.next);
    }
    if is_first_page {
        found.entries.splice(..0, exact);
    }
    found.messages = found.entries.iter().map(describe_message).collect();
    Ok(found)
}

/// The entry with this id, or the entries with this Message-ID.
async fn find_exact(
    store: &Store,
    search_text: &str,
    filter: &FindFilter,
    most: usize,
) -> Result<Vec<LedgerEntry>> {
    if search_text.is_empty() || search_text.contains(char::is_whitespace) {
        return Ok(Vec::new());
    }
    if let Some(entry) = find_entry(store, search_text).await? {
        return Ok(vec![entry]);
    }
    let by_message_id = LedgerFilter {
        message_id: Some(bare_message_id(search_text).to_owned()),
        verdict: filter.verdict,
        reason: filter.reason,
        portal: filter.portal.clone(),
        received_after: filter.since,
        received_before: filter.until,
        page: Page::first(most),
        ..LedgerFilter::default()
    };
    Ok(store.recent_entries(by_message_id).await?.rows)
}

async fn find_customers(store: &Store, search_text: &str) -> Result<Vec<Account>> {
    // Addresses have no white space, so these are words of a subject.
    if search_text.is_empty() || search_text.contains(char::is_whitespace) {
        return Ok(Vec::new());
    }
    let by_address = CustomerFilter {
        search: Some(search_text.to_owned()),
        page: Page::first(CUSTOMERS),
        ..CustomerFilter::default()
    };
    Ok(store.customers(by_address).await?.rows)
}

fn describe_message(entry: &LedgerEntry) -> FoundMessage {
    FoundMessage {
        ledger: entry.ledger,
        received_at: entry.received_at,
        portal: entry.portal.clone(),
        sender: entry.sender.clone(),
        subject: entry.facts.subject.clone(),
        verdict: entry.verdict,
        reason: entry.reason,
        request: entry.request,
        state: entry.request_state,
    }
}

#[cfg(test)]
mod tests;
