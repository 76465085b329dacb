//! Accounts that a change of the deny list stops: compares two states of the settings and lists the
//! addresses.

use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::access::{AccessSettings, Effective};
use crate::domain::{AddressDelimiters, DomainPattern, EmailAddress, MailboxKey};
use crate::store::sql::Tx;
use crate::store::{Result, Store};

/// Accounts whose mail was accepted or held and will now be dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoppedAccounts {
    pub accounts: u64,
    /// The first of these accounts, ordered by domain and address.
    pub addresses: Vec<EmailAddress>,
}

impl Store {
    /// Finds the unblocked accounts that `after` denies for the site or a portal and `before` did not. Lists at
    /// most `most` addresses.
    pub async fn stopped_accounts(
        &self,
        before: &AccessSettings,
        after: &AccessSettings,
        most: usize,
    ) -> Result<StoppedAccounts> {
        let scopes = changed_scopes(before, after);
        if scopes.is_empty() {
            return Ok(StoppedAccounts::default());
        }
        self.read(move |tx| list_stopped(tx, &scopes, most)).await
    }
}

/// Pairs of settings before and after, of the site and of each portal where the deny list differs.
fn changed_scopes(before: &AccessSettings, after: &AccessSettings) -> Vec<(Effective, Effective)> {
    let portals = before.portals.keys().chain(after.portals.keys()).map(Some);
    std::iter::once(None)
        .chain(portals)
        .map(|portal| (before.effective(portal), after.effective(portal)))
        .filter(|(before, after)| before.denied != after.denied)
        .collect()
}

fn list_stopped(
    tx: &Tx,
    scopes: &[(Effective, Effective)],
    most: usize,
) -> Result<StoppedAccounts> {
    let mut found: BTreeMap<(String, String), EmailAddress> = BTreeMap::new();
    let new = scopes.iter().flat_map(|(before, after)| {
        let is_new = |pattern: &&DomainPattern| !before.denied.contains(pattern);
        after.denied.iter().filter(is_new)
    });
    for pattern in new {
        for address in accounts_of(tx, pattern)? {
            let is_stopped = scopes.iter().any(|(before, after)| {
                after.denies(&address).is_some() && before.denies(&address).is_none()
            });
            if is_stopped {
                let key = (address.domain().to_string(), address.key());
                found.insert(key, address);
            }
        }
    }
    Ok(StoppedAccounts {
        accounts: found.len() as u64,
        addresses: found.into_values().take(most).collect(),
    })
}

/// Accounts that a pattern denies, found by the index on their domains.
fn accounts_of(tx: &Tx, pattern: &DomainPattern) -> Result<Vec<EmailAddress>> {
    let (condition, domains) = match pattern {
        DomainPattern::Exactly(domain) => ("domain = ?", vec![domain.to_string()]),
        DomainPattern::Address(address) => {
            let domains = MailboxKey::domains_of(address, AddressDelimiters::PLUS);
            ("domain = ?", domains)
        }
        DomainPattern::Below(domain) => (
            "substr(domain, length(domain) - length(?1) + 1) = ?1",
            vec![format!(".{domain}")],
        ),
    };
    let sql = format!(
        "SELECT address FROM account INDEXED BY account_domain
         WHERE {condition} AND status <> 'blocked' AND forgotten_at IS NULL"
    );
    let mut addresses: Vec<String> = Vec::new();
    for domain in domains {
        addresses.extend(tx.all::<String>(&sql, &[&domain])?);
    }
    Ok(addresses
        .iter()
        .filter_map(|address| EmailAddress::parse(address).ok())
        .filter(|address| pattern.denies(address))
        .collect())
}
