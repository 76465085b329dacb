//! Verification mail to one account with its state, to answer whether a person was sent a link.
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{AccountId, EmailAddress, MailKind, PortalName, Timestamp};
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Row, Tx};
use crate::store::{Listed, Page, Store, StoreError};

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

/// Verification mail that waits to be sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct QueuedMail {
    pub account: AccountId,
    pub address: EmailAddress,
    #[serde(flatten)]
    pub mail: SentMail,
}

/// Mail that waits, in the order in which it is due.
pub(crate) fn queued_mail(tx: &Tx, page: &Page) -> Result<Listed<QueuedMail>, StoreError> {
    let (due, n) = match &page.after {
        None => (i64::MIN, i64::MIN),
        Some(cursor) => cursor
            .split_once('-')
            .and_then(|(due, n)| Some((due.parse().ok()?, n.parse().ok()?)))
            .ok_or_else(|| StoreError::NotFound {
                what: "cursor",
                name: cursor.clone(),
            })?,
    };
    let limit = page.rows();
    let rows = tx.all_with(
        "SELECT l.n, a.id, a.address, l.created_at, l.kind, l.state, l.portal, l.due_at, l.settled_at,
             l.attempts, l.last_error
         FROM letter AS l INDEXED BY letter_due JOIN account AS a ON a.n = l.account
         WHERE l.due_at IS NOT NULL AND (l.due_at, l.n) > (?1, ?2)
         ORDER BY l.due_at, l.n LIMIT ?3",
        &[&due, &n, &(limit + 1)],
        |row| {
            let (due, n): (i64, i64) = (row.get("due_at")?, row.get("n")?);
            let mail = QueuedMail {
                account: row.get("id")?,
                address: row.get("address")?,
                mail: SentMail::from_row(row)?,
            };
            Ok((mail, format!("{due}-{n}")))
        },
    )?;
    Ok(Listed::cut(rows, limit))
}

impl Store {
    /// Mail that waits to be sent, in the order in which it is due.
    pub async fn queued_mail(&self, page: Page) -> Result<Listed<QueuedMail>, StoreError> {
        self.read(move |tx| queued_mail(tx, &page)).await
    }
}
