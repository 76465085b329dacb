//! All data about a person, for a request of theirs (GDPR, article 15).

use serde::Serialize;
use utoipa::ToSchema;

use super::lists::read_all;
use crate::domain::{Account, EmailAddress};
use crate::store::{
    LedgerEntry, LedgerFilter, PersonEvent, Request, RequestFilter, Result, SentMail, Store,
};

/// The data, without the messages themselves.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonData {
    /// Null for an expired account: the requests and events are what remains of it.
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
    let of_person = |page| RequestFilter {
        account: Some(address.clone()),
        page,
        ..RequestFilter::default()
    };
    read_all(usize::MAX, |page| store.requests(of_person(page))).await
}

async fn all_entries(store: &Store, address: &EmailAddress) -> Result<Vec<LedgerEntry>> {
    let of_person = |page| LedgerFilter {
        sender: Some(address.clone()),
        page,
        ..LedgerFilter::default()
    };
    read_all(usize::MAX, |page| store.ledger(of_person(page))).await
}
