//! Letting a sender in, and keeping one out, from one of their messages.

use super::access::{ChangeTerms, change_settings};
use super::customers::{CustomerAction, act_on_customer};
use super::dropped::{is_recoverable, recover};
use crate::access::{AccessSettings, Key, Source};
use crate::config::Config;
use crate::domain::{
    Account, AccountStatus, Actor, DomainPattern, EmailAddress, PortalName, Reason, Role, Verdict,
};
use crate::store::{LedgerEntry, Result, Store, StoreError};

/// Actions that let the sender of a message in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantAction<'a> {
    /// Verify the account by hand; its held requests are released.
    Verify(&'a Account),
    /// Unblock the account.
    Unblock(&'a Account),
    /// Add the address to the allow list.
    Allow(&'a EmailAddress),
}

impl<'a> GrantAction<'a> {
    /// The action that lets the sender of this entry in; None if none is needed, or if one action is not enough.
    #[must_use]
    pub fn of(entry: &'a LedgerEntry, account: Option<&'a Account>) -> Option<Self> {
        let is_refused =
            entry.verdict == Verdict::Dropped && entry.reason == Reason::DomainNotAllowed;
        match account {
            Some(account) if account.status == AccountStatus::Blocked => {
                Some(Self::Unblock(account))
            }
            Some(account) if account.status == AccountStatus::Active => None,
            Some(account) if !account.placeholder => Some(Self::Verify(account)),
            _ if is_refused => entry.sender.as_ref().map(Self::Allow),
            _ => None,
        }
    }

    /// The least role that may do it: settings are for admins.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Verify(_) | Self::Unblock(_) => Role::Agent,
            Self::Allow(_) => Role::Admin,
        }
    }
}

/// Lets the sender of a dropped or held message in, and decides the message again if it was dropped.
///
/// # Errors
/// `NotAllowed` if no single action gives access.
pub async fn grant_access(
    store: &Store,
    config: &Config,
    entry: &LedgerEntry,
    account: Option<&Account>,
    by: Actor,
) -> Result<()> {
    match GrantAction::of(entry, account) {
        Some(GrantAction::Verify(account)) => {
            act_on_customer(store, CustomerAction::Verify, account, by.clone()).await?;
        }
        Some(GrantAction::Unblock(account)) => {
            act_on_customer(store, CustomerAction::Unblock, account, by.clone()).await?;
        }
        Some(GrantAction::Allow(address)) => {
            let key = Key::ExternalAllowedDomains;
            let patterns = [DomainPattern::Address(address.clone())];
            change(store, by.clone(), |settings| {
                let portal = own_list(settings, entry, key);
                settings.with_domains(portal, key, &patterns)
            })
            .await?;
        }
        None => {
            return Err(StoreError::NotAllowed(
                "the sender already has access, or the access settings must be changed first"
                    .to_owned(),
            ));
        }
    }
    // A verification may have recovered it already.
    let entry = store.ledger_entry(entry.ledger).await?;
    if let Some(entry) = entry.filter(|entry| is_recoverable(entry, config)) {
        recover(store, config, entry.ledger, None, by).await?;
    }
    Ok(())
}

/// Actions that keep the sender of a message out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenyAction {
    /// Block the account.
    Block,
    /// Put the address on the deny list.
    Deny,
}

impl DenyAction {
    /// The action that keeps the sender of this entry out; None if there is no sender, or they are already kept out.
    #[must_use]
    pub fn of(
        entry: &LedgerEntry,
        account: Option<&Account>,
        settings: &AccessSettings,
    ) -> Option<Self> {
        let sender = entry.sender.as_ref()?;
        if settings
            .effective(entry.portal.as_ref())
            .denies(sender)
            .is_some()
        {
            return None;
        }
        match account {
            Some(account) if account.status == AccountStatus::Blocked => None,
            Some(_) => Some(Self::Block),
            None => Some(Self::Deny),
        }
    }

    /// The least role that may do it.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Block => Role::Agent,
            Self::Deny => Role::Admin,
        }
    }
}

/// Blocks the account of the sender or, if there is no account, puts their address on the deny list.
///
/// # Errors
/// `NotAllowed` if the message has no usable sender.
pub async fn deny_access(
    store: &Store,
    entry: &LedgerEntry,
    account: Option<&Account>,
    by: Actor,
) -> Result<()> {
    if let Some(account) = account {
        act_on_customer(store, CustomerAction::Block, account, by).await?;
        return Ok(());
    }
    let Some(sender) = entry.sender.clone() else {
        let text = "the message has no usable sender".to_owned();
        return Err(StoreError::NotAllowed(text));
    };
    let patterns = [DomainPattern::Address(sender)];
    change(store, by, |settings| {
        let portal = own_list(settings, entry, Key::Denied);
        settings.with_domains(portal, Key::Denied, &patterns)
    })
    .await
}

/// The portal of the message if it has a list of its own, which makes the site's ineffective there.
fn own_list<'a>(
    settings: &AccessSettings,
    entry: &'a LedgerEntry,
    key: Key,
) -> Option<&'a PortalName> {
    let portal = entry.portal.as_ref();
    portal.filter(|portal| settings.source(key, Some(portal)) == Source::Portal)
}

async fn change(
    store: &Store,
    by: Actor,
    how: impl Fn(&AccessSettings) -> AccessSettings,
) -> Result<()> {
    let terms = ChangeTerms {
        by,
        dry_run: false,
        base: None,
    };
    change_settings(store, &terms, |settings| Ok::<_, StoreError>(how(settings))).await?;
    Ok(())
}
