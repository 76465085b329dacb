//! Operators' actions on one request or one account.

use crate::config::Config;
use crate::domain::{
    Account, Actor, EmailAddress, PortalName, Proof, RequestId, RequestState, Status, Timestamp,
};
use crate::mail::is_program;
use crate::store::{Added, Choice, MailCause, Proved, Request, Store, StoreError};

/// Actions on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestAct {
    Release,
    Discard,
    Retry,
}

impl RequestAct {
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "release" => Some(Self::Release),
            "discard" => Some(Self::Discard),
            "retry" => Some(Self::Retry),
            _ => None,
        }
    }

    /// The label of the button.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Discard => "discard",
            Self::Retry => "retry",
        }
    }

    /// True if the action is possible in this state, as far as the state tells.
    #[must_use]
    pub fn applies_to(self, state: RequestState) -> bool {
        use RequestState::{Discarded, Expired, Failed, Held, Released};
        match self {
            Self::Release => matches!(state, Held | Discarded | Expired),
            Self::Discard => matches!(state, Held | Released | Failed),
            Self::Retry => matches!(state, Failed | Released),
        }
    }

    /// The new state in words.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Self::Release => "released",
            Self::Discard => "discarded",
            Self::Retry => "retried",
        }
    }

    /// Applies the action and records `by` in the audit log. Returns the request in its new state.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` in a state that does not permit the action.
    pub async fn apply(
        self,
        store: &Store,
        id: RequestId,
        by: Actor,
        now: Timestamp,
    ) -> Result<Request, StoreError> {
        match self {
            Self::Release => store.release_request(id, by, now).await,
            Self::Discard => store.discard_request(id, by, now).await,
            Self::Retry => store.retry_request(id, by, now).await,
        }
    }
}

/// Reason why an address of this installation is refused.
pub const NOT_A_CUSTOMER: &str = "is an address of this Vestibule (a portal's, or one that it sends \
     from or to), and cannot be a customer's";

/// Reason why an account that an earlier version created gets no mail.
pub const NO_MAIL: &str = "This address is not usable any more, as mail servers may route it to \
     another domain or take it for another address; no mail is sent to it";

/// Warning for an operator who adds this address: automatic mail of programs is dropped.
#[must_use]
pub fn warning_about(address: &EmailAddress) -> Option<String> {
    is_program(address.local()).then(|| {
        format!(
            "{address} looks like the address of a program; automatic mail from it is dropped \
             unless the portal or the account takes it"
        )
    })
}

/// Creates an account, as far as the access settings permit it, and queues the verification mail if one is
/// due. `None` for an address of this installation: the mail would bring the link to a help desk.
///
/// # Errors
/// Errors of the database.
pub async fn add_customer(
    store: &Store,
    config: &Config,
    address: EmailAddress,
    portal: Option<PortalName>,
    by: Actor,
) -> Result<Option<Added>, StoreError> {
    if config.is_ours(&address) {
        return Ok(None);
    }
    let added = store.add_customer(address, portal, by, Timestamp::now());
    Ok(Some(added.await?))
}

/// Actions on an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerAct {
    Verify,
    Block,
    Unblock,
    Resend,
}

impl CustomerAct {
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "verify" => Some(Self::Verify),
            "block" => Some(Self::Block),
            "unblock" => Some(Self::Unblock),
            "resend" => Some(Self::Resend),
            _ => None,
        }
    }

    /// The new state in words.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Self::Verify => "verified",
            Self::Block => "blocked",
            Self::Unblock => "unblocked",
            Self::Resend => "resent",
        }
    }

    /// Applies the action and records `by` in the audit log. Returns the account in its new state.
    ///
    /// # Errors
    /// `NotAllowed`: verifying a blocked account; a mail to an account that is not pending, or whose address
    /// an earlier version accepted and mail servers would route elsewhere.
    pub async fn apply(
        self,
        store: &Store,
        account: &Account,
        by: Actor,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let id = account.id;
        match self {
            Self::Block => return store.block_customer(id, by, now).await,
            Self::Unblock => return store.unblock_customer(id, by, now).await,
            Self::Verify => {
                let proved = store.prove(Proof::Operator(by), Some(id), Choice::All, now);
                match proved.await? {
                    Proved::Now { .. } | Proved::Before { .. } => {}
                    Proved::Expired | Proved::Unknown => {
                        return Err(StoreError::NotAllowed(
                            "A blocked account has to be unblocked first".to_owned(),
                        ));
                    }
                }
            }
            Self::Resend if account.status == Status::Pending && !account.address.is_usable() => {
                return Err(StoreError::NotAllowed(NO_MAIL.to_owned()));
            }
            Self::Resend if account.status == Status::Pending => {
                let address = account.address.clone();
                store.renew_link(address, MailCause::Operator, now).await?;
            }
            Self::Resend => {
                return Err(StoreError::NotAllowed(
                    "Only a pending account gets a verification mail".to_owned(),
                ));
            }
        }
        store
            .customer_by_id(id)
            .await?
            .ok_or_else(|| StoreError::NotFound {
                what: "account",
                name: id.to_string(),
            })
    }
}
