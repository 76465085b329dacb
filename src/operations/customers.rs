//! Accounts: finding one, adding one, and operators' actions on one.

use crate::access::Denial;
use crate::config::Config;
use crate::domain::{
    Account, AccountId, AccountStatus, Actor, EmailAddress, PortalName, Timestamp,
    VerificationMethod, keywords,
};
use crate::mail::is_program;
use crate::store::{
    Added, Choice, Forgetting, Forgotten, Result, StillRefused, Store, StoreError,
    VerificationOutcome,
};

/// Reason why an address of this installation is refused.
pub const NOT_A_CUSTOMER: &str = "is an address of this installation (a portal's, or one that it \
     sends from or to) and cannot be a customer's";

/// Reason why an account that an earlier version created gets no mail.
const NO_MAIL: &str = "this address can no longer be used: mail servers may route it to \
     another domain or read it as another address; no mail is sent to it";

/// Warning for an operator about an account with the address of a program: its automatic mail is dropped.
#[must_use]
pub fn warning_about(account: &Account) -> Option<String> {
    let address = &account.address;
    let is_dropped = is_program(address.local()) && !account.takes_automatic;
    is_dropped.then(|| {
        format!(
            "{address} looks like the address of a program; automatic mail from it is dropped \
             unless the portal accepts it (automatic_mail) or the account does (vestibule customers \
             take-automatic {address})"
        )
    })
}

/// Finds the account with this id or address. None for a text that is neither.
pub async fn find_customer(store: &Store, text: &str) -> Result<Option<Account>> {
    if let Ok(id) = text.parse::<AccountId>() {
        return store.customer_by_id(id).await;
    }
    match EmailAddress::parse_stored(text) {
        Ok(address) => store.customer(&address).await,
        Err(_) => Ok(None),
    }
}

/// Facts about an account, besides its row, that an operator needs before acting on it.
#[derive(Debug, Clone)]
pub struct AccountNotes {
    /// Messages that only the person can release.
    pub refused: Option<StillRefused>,
    /// Deny lists that match the address.
    pub denials: Vec<Denial>,
}

/// Collects the facts about an account.
///
/// # Errors
/// `NotFound`.
pub async fn note_account(
    store: &Store,
    config: &Config,
    account: &Account,
) -> Result<AccountNotes> {
    let now = Timestamp::now();
    Ok(AccountNotes {
        refused: store.still_refused(account.id, now).await?,
        denials: list_denials(store, config, &account.address).await?,
    })
}

/// Finds the deny lists in force that match an address.
pub async fn list_denials(
    store: &Store,
    config: &Config,
    address: &EmailAddress,
) -> Result<Vec<Denial>> {
    let settings = store.access().await?.settings;
    let portals = config.portals.iter().map(|portal| &portal.name);
    Ok(settings.denials(address, portals))
}

/// Creates an account, as far as the access settings permit it, and queues the verification mail if one is
/// due. `None` for an address of this installation: the mail would bring the link to a help desk.
pub async fn add_customer(
    store: &Store,
    config: &Config,
    address: EmailAddress,
    portal: Option<PortalName>,
    by: Actor,
) -> Result<Option<Added>> {
    if config.is_ours(&address) {
        return Ok(None);
    }
    let added = store.add_customer(address, portal, by, Timestamp::now());
    Ok(Some(added.await?))
}

/// Actions on an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerAction {
    Verify,
    Block,
    Unblock,
    Resend,
    /// Accept automatic mail of the account.
    TakeAutomatic,
    /// Drop it again.
    DropAutomatic,
}

/// Result of an action on an account.
#[derive(Debug, Clone)]
pub struct CustomerOutcome {
    /// The account in its new state.
    pub account: Account,
    /// Number of requests that a verification released; None if the account was active already, and for
    /// other actions.
    pub released: Option<usize>,
}

keywords!(CustomerAction {
    Verify => "verify",
    Block => "block",
    Unblock => "unblock",
    Resend => "resend",
    TakeAutomatic => "take-automatic",
    DropAutomatic => "drop-automatic",
});

impl CustomerAction {
    /// The word for the result, such as `verified`.
    #[must_use]
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Verify => "verified",
            Self::Block => "blocked",
            Self::Unblock => "unblocked",
            Self::Resend => "resent",
            Self::TakeAutomatic => "takes_automatic",
            Self::DropAutomatic => "drops_automatic",
        }
    }
}

/// Applies the action and records `by` in the audit log.
///
/// # Errors
/// `NotAllowed`: verifying a blocked account; a mail to an account that is not pending, or whose address
/// an earlier version accepted and mail servers would route elsewhere.
pub async fn act_on_customer(
    store: &Store,
    action: CustomerAction,
    account: &Account,
    by: Actor,
) -> Result<CustomerOutcome> {
    let (id, now) = (account.id, Timestamp::now());
    let mut released = None;
    let account = match action {
        CustomerAction::Block => store.block_customer(id, by, now).await?,
        CustomerAction::Unblock => store.unblock_customer(id, by, now).await?,
        CustomerAction::TakeAutomatic => store.set_automatic_mail(id, true, by, now).await?,
        CustomerAction::DropAutomatic => store.set_automatic_mail(id, false, by, now).await?,
        CustomerAction::Verify => {
            let verification =
                store.verify_account(VerificationMethod::Operator(by), Some(id), Choice::All, now);
            match verification.await? {
                VerificationOutcome::Verified { released: ids, .. } => released = Some(ids.len()),
                VerificationOutcome::AlreadyVerified { .. } => {}
                VerificationOutcome::Expired | VerificationOutcome::Unknown => {
                    return Err(StoreError::NotAllowed(format!(
                        "{} is {}; it must be unblocked first",
                        account.address, account.status
                    )));
                }
            }
            reload(store, id).await?
        }
        CustomerAction::Resend => {
            may_get_mail(account)?;
            let address = account.address.clone();
            store.renew_link(address, by, now).await?;
            reload(store, id).await?
        }
    };
    Ok(CustomerOutcome { account, released })
}

/// Refuses verification mail to an account that needs none or cannot get it.
pub fn may_get_mail(account: &Account) -> Result<()> {
    let address = &account.address;
    let needs_none = match account.status {
        AccountStatus::Pending => None,
        // Active only for portals that accept it unverified.
        AccountStatus::Active if account.verified_at.is_none() => None,
        AccountStatus::Active => Some("verified"),
        AccountStatus::Blocked => Some("blocked"),
    };
    if let Some(state) = needs_none {
        return Err(StoreError::NotAllowed(format!(
            "{address} is {state}; only an account that is not verified and not blocked gets a \
             verification mail"
        )));
    }
    if !address.is_usable() {
        return Err(StoreError::NotAllowed(format!("{address}: {NO_MAIL}")));
    }
    Ok(())
}

async fn reload(store: &Store, id: AccountId) -> Result<Account> {
    let account = store.customer_by_id(id).await?;
    account.ok_or_else(|| StoreError::not_found("account", id))
}

/// Erases a person's data; `progress` gets the number of finished and of all steps.
///
/// # Errors
/// `NotAllowed` while a request of theirs is being delivered.
pub async fn forget_customer(
    store: &Store,
    address: EmailAddress,
    domain_too: bool,
    by: Actor,
    progress: impl FnMut(u64, u64),
) -> Result<Forgotten> {
    let forgetting = Forgetting {
        address,
        domain_too,
        by,
        now: Timestamp::now(),
    };
    store.forget_customer(forgetting, progress).await
}

/// Completes an earlier erasure of an address about which nothing is known any more. Does nothing if nobody was ever
/// erased and there is no notice to the address. Returns true if no trace of an erasure remains in free pages or in the
/// log.
pub async fn complete_erasure(store: &Store, address: &EmailAddress, by: Actor) -> Result<bool> {
    store.complete_erasure(address, by, Timestamp::now()).await
}
