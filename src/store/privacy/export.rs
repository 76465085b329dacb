//! Export of everything stored about one address, for an answer to the person or before it is forgotten.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{EmailAddress, LedgerId, PortalName, RequestState, Timestamp};
use crate::store::ledger::entries;
use crate::store::requests::request;
use crate::store::rows::expired_accounts::accounts_of;
use crate::store::sql::sql_types::from_row;
use crate::store::sql::{FromRow, Tx, list_of};
use crate::store::{LedgerEntry, Request, Result, Store};

/// Summary of the data stored about an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// True for an expired account, too, as long as its row exists.
    pub account: bool,
    /// Ledger entries, and the number of them that still have content.
    pub entries: u64,
    pub contents: u64,
    /// Requests that wait for verification.
    pub held: u64,
    /// Released requests that are not delivered, including failed ones.
    pub released: u64,
    pub verification_mails: u64,
    /// Requests delivered to destinations, by portal.
    pub delivered: Vec<(PortalName, u64)>,
}

impl Holdings {
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.account && self.entries == 0
    }
}

/// An event of the account or of one of its messages.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PersonEvent {
    pub at: Timestamp,
    /// Name in the log.
    pub event: String,
    /// `daemon`, `person` or `operator:NAME`.
    pub actor: String,
    pub ledger: Option<LedgerId>,
    pub detail: Option<String>,
}
from_row!(PersonEvent, row: at, event, actor, ledger, detail);

/// Entries of messages that the person wrote, and entries about mail to the person.
#[derive(Debug, Default)]
pub(crate) struct PersonEntries {
    pub(crate) own: BTreeSet<i64>,
    pub(crate) about: BTreeSet<i64>,
}

/// An entry of a message by or about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PersonEntry {
    pub(crate) n: i64,
    /// True if the person wrote the message.
    pub(crate) is_own: bool,
}

impl PersonEntries {
    pub(crate) fn into_list(self) -> Vec<PersonEntry> {
        let list = |entries: BTreeSet<i64>, is_own| {
            let entries = entries.into_iter();
            entries.map(move |n| PersonEntry { n, is_own })
        };
        list(self.own, true)
            .chain(list(self.about, false))
            .collect()
    }
}

const DROPPED_OF: &str =
    "SELECT n FROM ledger WHERE verdict = 'dropped' AND domain = ? AND sender = ?";

/// Numbers of the entries of dropped messages of an address.
pub(crate) fn dropped_of(tx: &Tx, address: &EmailAddress) -> Result<Vec<i64>> {
    tx.all(DROPPED_OF, &[&address.domain().as_str(), &address.key()])
}

/// True if there is a dropped message of an address.
pub(crate) fn has_dropped(tx: &Tx, address: &EmailAddress) -> Result<bool> {
    let sql = format!("{DROPPED_OF} LIMIT 1");
    tx.exists(&sql, &[&address.domain().as_str(), &address.key()])
}

/// Numbers that one statement looks up.
const LOOK_UP_AT_ONCE: usize = 1000;

/// Rows of a statement that looks up entries. It is `select`, which ends where a condition can follow, with a condition
/// that the number in `column` is that of one of them.
fn look_up<T: FromRow>(
    tx: &Tx,
    select: &str,
    column: &str,
    entries: &BTreeSet<i64>,
) -> Result<Vec<T>> {
    let sql = format!("{select} {}", tx.is_among(column, "?"));
    let entries: Vec<i64> = entries.iter().copied().collect();
    let mut rows = Vec::new();
    for some in entries.chunks(LOOK_UP_AT_ONCE) {
        rows.extend(tx.all::<T>(&sql, &[&list_of(some)])?);
    }
    Ok(rows)
}

/// Entries of these accounts of an address, and of its dropped messages with numbers below `next`.
pub(crate) fn entries_of(
    tx: &Tx,
    address: &EmailAddress,
    accounts: &[i64],
    next: i64,
) -> Result<PersonEntries> {
    let mut found = PersonEntries::default();
    for account in accounts {
        let sql = "SELECT ledger FROM request WHERE account = ?";
        found.own.extend(tx.all::<i64>(sql, &[account])?);
        let sql = "SELECT ledger FROM event WHERE account = ? AND ledger IS NOT NULL";
        found.about.extend(tx.all::<i64>(sql, &[account])?);
    }
    let dropped = dropped_of(tx, address)?;
    found.own.extend(dropped.into_iter().filter(|n| *n < next));
    for entries in [&mut found.own, &mut found.about] {
        let copies: Vec<i64> = look_up(tx, "SELECT n FROM ledger WHERE", "original", entries)?;
        entries.extend(copies);
    }
    found.about.retain(|n| !found.own.contains(n));
    Ok(found)
}

fn holdings(tx: &Tx, address: &EmailAddress) -> Result<Holdings> {
    let accounts = accounts_of(tx, &address.key())?;
    let found = entries_of(tx, address, &accounts, i64::MAX)?;
    let mut holdings = Holdings {
        entries: found.own.len() as u64,
        ..Holdings::default()
    };
    let with_content = "SELECT count(*) FROM ledger AS l
         WHERE EXISTS (SELECT 1 FROM content AS c WHERE c.ledger = coalesce(l.message, l.n)) AND";
    let counts: Vec<u64> = look_up(tx, with_content, "l.n", &found.own)?;
    holdings.contents = counts.iter().sum();
    holdings.account = !accounts.is_empty();
    let accounts = list_of(&accounts);
    let sql = format!(
        "SELECT portal, state, count(*) FROM request WHERE {} GROUP BY portal, state",
        tx.is_among("account", "?")
    );
    let counts: Vec<(PortalName, RequestState, u64)> = tx.all(&sql, &[&accounts])?;
    for (portal, state, count) in counts {
        match state {
            RequestState::Held => holdings.held += count,
            RequestState::Released | RequestState::Failed => holdings.released += count,
            RequestState::Delivered => holdings.delivered.push((portal, count)),
            RequestState::Discarded | RequestState::Expired => {}
        }
    }
    let sql = format!(
        "SELECT count(*) FROM letter WHERE {}",
        tx.is_among("account", "?")
    );
    holdings.verification_mails = tx.one(&sql, &[&accounts])?;
    Ok(holdings)
}

fn search_words(tx: &Tx, address: &EmailAddress) -> Result<Vec<String>> {
    let accounts = accounts_of(tx, &address.key())?;
    let found = entries_of(tx, address, &accounts, i64::MAX)?;
    let of_entries = "SELECT DISTINCT w.word FROM search_entry AS e INDEXED BY search_entry_ledger
             CROSS JOIN search_word AS w
         WHERE w.number = e.word AND";
    let words: Vec<String> = look_up(tx, of_entries, "e.ledger", &found.own)?;
    let words: BTreeSet<_> = words.into_iter().collect();
    Ok(words.into_iter().collect())
}

/// Events of the account and of each entry; oldest first.
fn events(tx: &Tx, address: &EmailAddress) -> Result<Vec<PersonEvent>> {
    let accounts = accounts_of(tx, &address.key())?;
    let found = entries_of(tx, address, &accounts, i64::MAX)?;
    let mut events: Vec<PersonEvent> = Vec::new();
    for account in accounts {
        events.extend(tx.all::<PersonEvent>(
            "SELECT e.at, e.name AS event, e.actor, l.id AS ledger, e.detail
             FROM event AS e LEFT JOIN ledger AS l ON l.n = e.ledger WHERE e.account = ?",
            &[&account],
        )?);
    }
    let of_entries = "SELECT e.at, e.name AS event, e.actor, l.id AS ledger, e.detail
         FROM event AS e JOIN ledger AS l ON l.n = e.ledger
         WHERE e.account IS NULL AND";
    events.extend(look_up::<PersonEvent>(
        tx, of_entries, "e.ledger", &found.own,
    )?);
    events.sort_by_key(|event| event.at);
    Ok(events)
}

impl Store {
    /// Summarises the data stored about an address, so that an operator knows what forgetting it removes.
    pub async fn holdings(&self, address: EmailAddress) -> Result<Holdings> {
        self.read_long(move |tx| holdings(tx, &address)).await
    }

    /// All requests of the person, newest first.
    pub async fn requests_of(&self, address: EmailAddress) -> Result<Vec<Request>> {
        self.read_long(move |tx| {
            let accounts = list_of(&accounts_of(tx, &address.key())?);
            let sql = format!(
                "SELECT ledger FROM request WHERE {} ORDER BY ledger DESC",
                tx.is_among("account", "?")
            );
            let numbers: Vec<i64> = tx.all(&sql, &[&accounts])?;
            request::by_numbers(tx, &numbers)
        })
        .await
    }

    /// All entries of messages that the person wrote, newest first.
    pub async fn entries_by(&self, address: EmailAddress) -> Result<Vec<LedgerEntry>> {
        self.read_long(move |tx| {
            let accounts = accounts_of(tx, &address.key())?;
            let found = entries_of(tx, &address, &accounts, i64::MAX)?;
            let newest_first: Vec<i64> = found.own.into_iter().rev().collect();
            let entries = entries::by_numbers(tx, &newest_first)?;
            Ok(entries.into_iter().map(|(_, entry)| entry).collect())
        })
        .await
    }

    /// All events of the account and of its messages.
    pub async fn events_about(&self, address: EmailAddress) -> Result<Vec<PersonEvent>> {
        self.read_long(move |tx| events(tx, &address)).await
    }

    /// The words by which the search finds the messages of an address, each once.
    pub async fn search_words_of(&self, address: EmailAddress) -> Result<Vec<String>> {
        self.read_long(move |tx| search_words(tx, &address)).await
    }
}

#[cfg(test)]
mod tests;
