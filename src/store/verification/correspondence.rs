//! Verification mail to one account with its state, to answer whether a person was sent a link.
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{EmailAddress, PortalName, Timestamp};
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Row, Tx};
use crate::store::verification::verification_mail::MailKind;
use crate::store::{Store, StoreError};

/// One verification mail and its state.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SentMail {
    pub created_at: Timestamp,
    /// `verification`, `reminder` or `already_registered`.
    pub kind: &'static str,
    /// `waiting`, `claimed`, `sent`, `refused` or `cancelled`.
    pub state: String,
    pub portal: Option<PortalName>,
    /// Time from which it may be sent, while it waits.
    pub due_at: Option<Timestamp>,
    /// Time at which it was sent, refused or cancelled.
    pub settled_at: Option<Timestamp>,
    pub attempts: u32,
    pub last_error: Option<String>,
}

impl SentMail {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let instant = |column: &str| -> Result<Option<Timestamp>, StoreError> {
            Ok(row.get::<_, Option<Millis>>(column)?.map(Millis::timestamp))
        };
        Ok(Self {
            created_at: row.get::<_, Millis>("created_at")?.timestamp(),
            kind: row.get::<_, MailKind>("kind")?.as_str(),
            state: row.get("state")?,
            portal: row.get("portal")?,
            due_at: instant("due_at")?,
            settled_at: instant("settled_at")?,
            attempts: row.get("attempts")?,
            last_error: row.get("last_error")?,
        })
    }
}

fn mail_to(tx: &Tx, key: &str, limit: usize) -> Result<Vec<SentMail>, StoreError> {
    tx.all_with(
        "SELECT created_at, kind, state, portal, due_at, settled_at, attempts, last_error
         FROM letter WHERE account = (SELECT n FROM account WHERE key = ?) ORDER BY n DESC LIMIT ?",
        &[&key, &limit],
        SentMail::from_row,
    )
}

impl Store {
    /// Mail to an account, newest first.
    pub async fn mail_to(
        &self,
        address: &EmailAddress,
        limit: usize,
    ) -> Result<Vec<SentMail>, StoreError> {
        let key = address.key();
        self.read(move |tx| mail_to(tx, &key, limit)).await
    }
}
