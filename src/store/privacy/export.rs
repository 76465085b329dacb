//! Export of everything stored about one address, for an answer to the person or before it is forgotten.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{EmailAddress, LedgerId, PortalName, RequestState, Timestamp};
use crate::store::rows::expired_accounts::accounts_of;
use crate::store::sql::sql_types::from_row;
use crate::store::sql::{Tx, list_of};
use crate::store::{Result, Store};

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
        let copies: Vec<Vec<i64>> = entries
            .iter()
            .map(|n| tx.all("SELECT n FROM ledger WHERE original = ?", &[n]))
            .collect::<Result<_, _>>()?;
        entries.extend(copies.into_iter().flatten());
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
    for n in &found.own {
        holdings.contents += tx.one_with(
            "SELECT EXISTS (SELECT 1 FROM content
                     WHERE ledger = (SELECT coalesce(message, n) FROM ledger WHERE n = ?))",
            &[&n],
            |row| row.get::<_, u64>(0),
        )?;
    }
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
    let mut words = BTreeSet::new();
    for n in found.own {
        words.extend(tx.all::<String>(
            "SELECT w.word FROM search_entry AS e INDEXED BY search_entry_ledger
                 CROSS JOIN search_word AS w
             WHERE w.number = e.word AND e.ledger = ?",
            &[&n],
        )?);
    }
    Ok(words.into_iter().collect())
}

/// Events of the account and of each entry; oldest first.
fn events(tx: &Tx, address: &EmailAddress) -> Result<Vec<PersonEvent>> {
    let accounts = accounts_of(tx, &address.key())?;
    let found = entries_of(tx, address, &accounts, i64::MAX)?;
    let mut events = Vec::new();
    let mut take = |sql: &str, n: i64| -> Result<()> {
        events.extend(tx.all::<PersonEvent>(sql, &[&n])?);
        Ok(())
    };
    for account in accounts {
        take(
            "SELECT e.at, e.name AS event, e.actor, l.id AS ledger, e.detail
             FROM event AS e LEFT JOIN ledger AS l ON l.n = e.ledger WHERE e.account = ?",
            account,
        )?;
    }
    for n in found.own {
        take(
            "SELECT e.at, e.name AS event, e.actor, l.id AS ledger, e.detail
             FROM event AS e JOIN ledger AS l ON l.n = e.ledger
             WHERE e.ledger = ? AND e.account IS NULL",
            n,
        )?;
    }
    events.sort_by_key(|event| event.at);
    Ok(events)
}

impl Store {
    /// Summarises the data stored about an address, so that an operator knows what forgetting it removes.
    pub async fn holdings(&self, address: EmailAddress) -> Result<Holdings> {
        self.read_long(move |tx| holdings(tx, &address)).await
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
