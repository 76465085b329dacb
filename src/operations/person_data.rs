//! All data about a person, for a request of theirs (GDPR, article 15).

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Account, EmailAddress};
use crate::store::{
    LedgerEntry, LedgerFilter, Page, PersonEvent, Request, RequestFilter, Result, SentMail, Store,
};

/// The data, without the messages themselves.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonData {
    pub account: Option<Account>,
    /// Newest first, like the other lists.
    pub requests: Vec<Request>,
    /// Entries of the ledger, each with the inputs of its decision.
    #[schema(value_type = Vec<Object>)]
    pub ledger: Vec<LedgerEntry>,
    #[serde(rename = "letters")]
    pub verification_mails: Vec<SentMail>,
    pub events: Vec<PersonEvent>,
    /// Words of the search index for the person's messages; those of a display name are kept longer than the
    /// content.
    pub search_words: Vec<String>,
}

/// Maximum verification mails; nobody was ever sent as many.
const VERIFICATION_MAILS: usize = 1_000_000;

/// Collects the data; None if nothing is known of the address.
pub async fn collect_person_data(
    store: &Store,
    address: &EmailAddress,
) -> Result<Option<PersonData>> {
    if store.holdings(address.clone()).await?.is_nothing() {
        return Ok(None);
    }
    Ok(Some(PersonData {
        account: store.customer(address).await?,
        requests: all_requests(store, address).await?,
        ledger: all_entries(store, address).await?,
        verification_mails: store.mail_to(address, VERIFICATION_MAILS).await?,
        events: store.events_about(address.clone()).await?,
        search_words: store.search_words_of(address.clone()).await?,
    }))
}

async fn all_requests(store: &Store, address: &EmailAddress) -> Result<Vec<Request>> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let filter = RequestFilter {
            account: Some(address.clone()),
            page: Page { limit: 500, after },
            ..RequestFilter::default()
        };
        let listed = store.requests(filter).await?;
        rows.extend(listed.rows);
        after = listed.next;
        if after.is_none() {
            return Ok(rows);
        }
    }
}

async fn all_entries(store: &Store, address: &EmailAddress) -> Result<Vec<LedgerEntry>> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let filter = LedgerFilter {
            sender: Some(address.clone()),
            page: Page { limit: 500, after },
            ..LedgerFilter::default()
        };
        let listed = store.ledger(filter).await?;
        rows.extend(listed.rows);
        after = listed.next;
        if after.is_none() {
            return Ok(rows);
        }
    }
}
