//! Active accounts that the access settings would not let in today: they were created while the settings were less
//! strict, and keep their access until an operator blocks them.

use std::ops::ControlFlow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{AccessSettings, Effective};
use crate::domain::{AccountId, EmailAddress, PatternList, canary};
use crate::store::engine::settings_cache::newest;
use crate::store::sql::Tx;
use crate::store::{Result, Store};

/// Active accounts that are on none of the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnlistedAccounts {
    pub accounts: u64,
    /// The first of these accounts, ordered by address.
    pub addresses: Vec<EmailAddress>,
}

impl Store {
    /// Finds the active accounts that neither the site nor a portal would let in as newcomers. Lists at most `most`
    /// addresses. Empty if `before` let none of them in either: the change affects nobody. Reads all active
    /// accounts.
    pub async fn unlisted_accounts(
        &self,
        before: &AccessSettings,
        after: &AccessSettings,
        most: usize,
    ) -> Result<UnlistedAccounts> {
        let (before, after) = (scopes(before), scopes(after));
        if before == after || after.iter().any(lets_everybody_in) {
            return Ok(UnlistedAccounts::default());
        }
        self.read_long(move |tx| {
            let mut found = UnlistedAccounts::default();
            let mut has_changed = false;
            each_active(tx, |_, address| {
                if is_let_in(&after, &address) {
                    return;
                }
                has_changed |= is_let_in(&before, &address);
                found.accounts += 1;
                if found.addresses.len() < most {
                    found.addresses.push(address);
                }
            })?;
            Ok(if has_changed {
                found
            } else {
                UnlistedAccounts::default()
            })
        })
        .await
    }

    /// The ids of all active accounts that the current settings would not let in.
    pub async fn unlisted_account_ids(&self) -> Result<Vec<AccountId>> {
        self.read_long(|tx| {
            let scopes = scopes(&newest(tx)?.settings);
            let mut ids = Vec::new();
            each_active(tx, |id, address| {
                if !is_let_in(&scopes, &address) {
                    ids.push(id);
                }
            })?;
            Ok(ids)
        })
        .await
    }
}

/// The effective settings of the site and of each portal with values of its own.
fn scopes(settings: &AccessSettings) -> Vec<Effective> {
    std::iter::once(None)
        .chain(settings.portals.keys().map(Some))
        .map(|portal| settings.effective(portal))
        .collect()
}

fn lets_everybody_in(scope: &Effective) -> bool {
    scope.external.allow_portal_only_accounts && !scope.external.restrict_domains
}

/// True if a newcomer with this address would get an account somewhere, verified or not.
fn is_let_in(scopes: &[Effective], address: &EmailAddress) -> bool {
    let is_on = |list: &PatternList| list.find_match(address).is_some();
    scopes.iter().any(|scope| {
        let is_listed = || is_on(&scope.external.allowed_domains);
        (scope.internal.enabled && is_on(&scope.internal.approved_domains))
            || lets_everybody_in(scope)
            || (scope.external.allow_portal_only_accounts && is_listed())
    })
}

fn each_active(tx: &Tx, mut visit: impl FnMut(AccountId, EmailAddress)) -> Result<()> {
    let sql = "SELECT id, address FROM account INDEXED BY account_status
         WHERE status = 'active' AND forgotten_at IS NULL ORDER BY key";
    tx.query(sql, &[], &mut |row| {
        let address: String = row.get(1)?;
        if let Ok(address) = EmailAddress::parse(&address)
            && !canary::is_sender(&address)
        {
            visit(row.get(0)?, address);
        }
        Ok(ControlFlow::Continue(()))
    })
}
