//! Lists of verification mail: that to one account, to answer whether a person was sent a link, and that which waits
//! to be sent or was given up.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{AccountId, EmailAddress, MailKind, PortalName, QueuedMailState, Timestamp};
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::sql::time_cursor::TimeCursor;
use crate::store::sql::{Conditions, FromRow, Tx};
use crate::store::{Listed, Page, Result, Store};

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

from_row!(
    SentMail, row: created_at, kind = row.get::<_, MailKind>("kind")?.as_str(), state, portal, due_at,
    settled_at, attempts, last_error,
);

fn mail_to(tx: &Tx, key: &str, limit: usize) -> Result<Vec<SentMail>> {
    tx.all(
        "SELECT created_at, kind, state, portal, due_at, settled_at, attempts, last_error
         FROM letter WHERE account = (SELECT n FROM account WHERE key = ?) ORDER BY n DESC LIMIT ?",
        &[&key, &limit],
    )
}

impl Store {
    /// Mail to an account, newest first.
    pub async fn mail_to(&self, address: &EmailAddress, limit: usize) -> Result<Vec<SentMail>> {
        let key = address.key();
        self.read(move |tx| mail_to(tx, &key, limit)).await
    }
}

/// Verification mail that waits to be sent, or was given up.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct QueuedMail {
    pub account: AccountId,
    pub address: EmailAddress,
    #[serde(flatten)]
    pub mail: SentMail,
}
from_row!(QueuedMail, row: account, address, mail = SentMail::from_row(row)?);

/// Mail to list.
#[derive(Debug, Clone, Default)]
pub struct QueuedMailFilter {
    /// The recipient.
    pub account: Option<EmailAddress>,
    /// None for all mail that waits or is being sent.
    pub state: Option<QueuedMailState>,
    /// Only mail that was requested since then.
    pub since: Option<Timestamp>,
    /// Only mail that was requested before then.
    pub until: Option<Timestamp>,
    pub page: Page,
}

impl QueuedMailFilter {
    /// Index that yields the mail in the order of the list, and the column of that order. At most one mail to an
    /// account waits, and few are being sent: those lists are short.
    fn order(&self) -> (&'static str, &'static str) {
        match self {
            Self {
                state: Some(QueuedMailState::Refused),
                ..
            } => ("letter_refused", "created_at"),
            Self {
                account: Some(_), ..
            } => ("letter_outstanding", "due_at"),
            Self {
                state: Some(QueuedMailState::Claimed),
                ..
            } => ("letter_claimed", "due_at"),
            Self {
                since: None,
                until: None,
                ..
            } => ("letter_due", "due_at"),
            _ => ("letter_asked", "created_at"),
        }
    }
}

/// Condition for a mail `l` that was given up while its account `a` still waits for one. That our mail does not
/// reach an account is listed elsewhere. A person who said "This was not me" afterwards waits for none, and one whose
/// mail to undo that was given up can request another.
const GIVEN_UP: &str = "l.state = 'refused' AND l.cause <> 'take_back' AND a.undeliverable = 0
     AND (a.refused_at IS NULL OR l.created_at > a.refused_at)
     AND (a.status = 'pending' OR (a.status = 'active' AND a.verified_at IS NULL))
     AND NOT EXISTS (
         SELECT 1 FROM letter AS newer WHERE newer.account = l.account AND newer.n > l.n
     )";

/// Number of accounts whose last mail was given up since then, and which still wait for one.
pub(crate) fn count_given_up(tx: &Tx, since: Millis) -> Result<u64> {
    let sql = format!(
        "SELECT count(*) FROM letter AS l INDEXED BY letter_refused
             JOIN account AS a ON a.n = l.account
         WHERE {GIVEN_UP} AND l.settled_at >= ?"
    );
    tx.one(&sql, &[&since])
}

pub(crate) fn queued_mail(tx: &Tx, filter: &QueuedMailFilter) -> Result<Listed<QueuedMail>> {
    let key = filter.account.as_ref().map(EmailAddress::key);
    let after = TimeCursor::before(&filter.page)?;
    let (index, column) = filter.order();
    let mut wanted = Conditions::default();
    wanted.ask(
        "l.account = (SELECT n FROM account WHERE key = ?)",
        key.as_ref(),
    );
    wanted.always(match filter.state {
        Some(QueuedMailState::Claimed) => "l.due_at IS NOT NULL AND l.state = 'claimed'",
        Some(QueuedMailState::Waiting) => "l.due_at IS NOT NULL AND l.state = 'waiting'",
        Some(QueuedMailState::Refused) => GIVEN_UP,
        None => "l.due_at IS NOT NULL",
    });
    wanted.ask("l.created_at >= ?", filter.since.as_ref());
    wanted.ask("l.created_at < ?", filter.until.as_ref());
    wanted.ask_place(&format!("(l.{column}, l.n) >"), after.as_ref());
    let sql = format!(
        "SELECT l.n, a.id AS account, a.address, l.created_at, l.kind, l.state, l.portal, l.due_at, l.settled_at,
             l.attempts, l.last_error
         FROM letter AS l INDEXED BY {index} JOIN account AS a ON a.n = l.account
         WHERE {} ORDER BY l.{column}, l.n",
        wanted.sql()
    );
    wanted.page(tx, &sql, &filter.page, |row| {
        let cursor = TimeCursor::of_row(row, column)?.cursor();
        Ok((QueuedMail::from_row(row)?, cursor))
    })
}

impl Store {
    /// Mail that waits to be sent, in the order of its due times or, for a period, of its requests; mail that was
    /// given up, in the order of its requests.
    pub async fn queued_mail(&self, filter: QueuedMailFilter) -> Result<Listed<QueuedMail>> {
        self.read(move |tx| queued_mail(tx, &filter)).await
    }
}
