//! Accounts that a change of the deny list stops: compares two states of the settings and lists the
//! addresses.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;
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
    /// most `most` addresses. Reads all accounts of the domains that the new patterns name.
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
        self.read_long(move |tx| list_stopped(tx, &scopes, most))
            .await
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
    for domain in find_domains(tx, scopes)? {
        each_of_domain(tx, &domain, |address| {
            let is_stopped = scopes.iter().any(|(before, after)| {
                after.denies(&address).is_some() && before.denies(&address).is_none()
            });
            if is_stopped {
                let key = (address.domain().to_string(), address.key());
                found.insert(key, address);
            }
        })?;
    }
    Ok(StoppedAccounts {
        accounts: found.len() as u64,
        addresses: found.into_values().take(most).collect(),
    })
}

/// The domains of all accounts that the new patterns may deny. Each is found once, however many patterns name it, so
/// that each account is read once.
fn find_domains(tx: &Tx, scopes: &[(Effective, Effective)]) -> Result<BTreeSet<String>> {
    let mut domains = BTreeSet::new();
    let mut parents: HashSet<&str> = HashSet::new();
    for (before, after) in scopes {
        let old: HashSet<_> = before.denied.iter().collect();
        for pattern in after.denied.iter().filter(|pattern| !old.contains(pattern)) {
            match pattern {
                DomainPattern::Exactly(domain) => {
                    domains.insert(domain.to_string());
                }
                DomainPattern::Address(address) => {
                    domains.extend(MailboxKey::domains_of(address, AddressDelimiters::PLUS));
                }
                DomainPattern::Below(parent) => {
                    parents.insert(parent.as_str());
                }
            }
        }
    }
    if parents.is_empty() {
        return Ok(domains);
    }
    let sql = "SELECT DISTINCT domain FROM account INDEXED BY account_domain";
    tx.each(sql, &[], |row| {
        let domain: String = row.get(0)?;
        let mut dots = domain.match_indices('.');
        if dots.any(|(dot, _)| parents.contains(&domain[dot + 1..])) {
            domains.insert(domain);
        }
        Ok(())
    })?;
    Ok(domains)
}

/// Visits the unblocked accounts of a domain.
fn each_of_domain(tx: &Tx, domain: &str, mut visit: impl FnMut(EmailAddress)) -> Result<()> {
    let sql = "SELECT address FROM account INDEXED BY account_domain
         WHERE domain = ? AND status <> 'blocked' AND forgotten_at IS NULL";
    tx.each(sql, &[&domain], |row| {
        let address: String = row.get(0)?;
        if let Ok(address) = EmailAddress::parse(&address) {
            visit(address);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Key;

    /// Otherwise the time grows with the product of the patterns and the accounts.
    #[tokio::test]
    async fn a_domain_is_searched_once_however_many_patterns_name_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
        let patterns = |domain: &str| -> Vec<_> {
            (0..1000)
                .map(|n| DomainPattern::parse(&format!("a{n}@{domain}")).expect("a pattern"))
                .collect()
        };
        let nothing = AccessSettings::default();
        let before = nothing.with_domains(None, Key::Denied, &patterns("old.example"));
        let after = before.with_domains(None, Key::Denied, &patterns("new.example"));
        let scopes = changed_scopes(&before, &after);
        let domains = store.read(move |tx| find_domains(tx, &scopes)).await;
        let domains: Vec<_> = domains.expect("read").into_iter().collect();
        assert_eq!(domains, ["new.example"]);
    }
}
