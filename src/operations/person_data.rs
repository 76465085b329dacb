//! All data about a person, for a request of theirs (GDPR, article 15).

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Account, EmailAddress, Timestamp};
use crate::store::{
    DirectoryUser, LedgerEntry, PersonEvent, Request, Result, SentMail, Store, UserFilter,
};

/// The data, without the messages themselves.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonData {
    /// Null for an expired account: the requests and events are what remains of it.
    pub account: Option<Account>,
    /// Null if the directory has no user with the address.
    pub directory: Option<DirectoryData>,
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

/// The user that the directory created for the address.
#[derive(Debug, Serialize, ToSchema)]
pub struct DirectoryData {
    pub user_name: String,
    /// The directory's own id.
    pub external_id: Option<String>,
    pub emails: Vec<String>,
    pub roles: Vec<String>,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
}

impl From<DirectoryUser> for DirectoryData {
    fn from(user: DirectoryUser) -> Self {
        let emails = user.emails.into_iter().map(|email| email.value);
        let roles = user.roles.iter().map(|role| role.value.to_string());
        Self {
            user_name: user.user_name,
            external_id: user.external_id,
            emails: emails.collect(),
            roles: roles.collect(),
            created_at: user.created_at,
            changed_at: user.changed_at,
        }
    }
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
        directory: find_directory_user(store, address).await?,
        requests: store.requests_of(address.clone()).await?,
        ledger: store.entries_by(address.clone()).await?,
        verification_mails: store.mail_to(address, VERIFICATION_MAILS).await?,
        events: store.events_about(address.clone()).await?,
        search_words: store.search_words_of(address.clone()).await?,
    }))
}

async fn find_directory_user(
    store: &Store,
    address: &EmailAddress,
) -> Result<Option<DirectoryData>> {
    let of_person = UserFilter {
        address: Some(address.clone()),
        ..UserFilter::default()
    };
    let found = store.directory_users(of_person, 0, 1).await?;
    Ok(found.rows.into_iter().next().map(DirectoryData::from))
}
