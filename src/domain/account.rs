//! Accounts: customers, by email address.

use super::keywords::keywords;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccountId, EmailAddress, PortalName, Timestamp};

/// Kind of an account: an approved domain makes it internal, all others are portal-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Kind)]
pub enum AccountKind {
    Internal,
    External,
}

/// Status of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Status)]
pub enum AccountStatus {
    /// The address is not verified; requests are held.
    Pending,
    Active,
    /// Blocked by an operator, or deactivated by the directory; its mail is dropped.
    Blocked,
}

/// The way in which an account was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Origin)]
pub enum AccountOrigin {
    Mail,
    SignUp,
    Operator,
}

keywords!(AccountKind { Internal => "internal", External => "external" });
keywords!(AccountStatus { Pending => "pending", Active => "active", Blocked => "blocked" });
keywords!(AccountOrigin { Mail => "mail", SignUp => "sign_up", Operator => "operator" });

/// A customer as the store knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about the account"
)]
pub struct Account {
    pub id: AccountId,
    pub address: EmailAddress,
    pub kind: AccountKind,
    pub status: AccountStatus,
    /// Method of verification (`link`, `reply`, `operator:NAME`), once verified.
    pub verified_by: Option<String>,
    pub verified_at: Option<Timestamp>,
    pub groups: Vec<String>,
    /// Requests that wait for verification.
    pub held: u32,
    /// Our mail to this address bounced; it gets no more until an operator allows it.
    pub undeliverable: bool,
    /// End of the time in which the address gets no verification mail: its owner said "This was not me" at
    /// `refused_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_at: Option<Timestamp>,
    /// End of the validity of the newest link with which its owner can withdraw that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_valid_until: Option<Timestamp>,
    /// True if the mail that can be requested once in this time was requested.
    #[serde(skip)]
    pub quiet_mailed: bool,
    /// Time at which the directory deactivated it; only the directory or an operator lifts that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deactivated_at: Option<Timestamp>,
    /// Verification mails that were sent since the person last did something. After three, mail that does not
    /// pass DMARC triggers no more.
    pub unanswered_mails: u32,
    /// Automatic mail of this account is accepted as if a person had written it, while the account is active.
    pub takes_automatic: bool,
    /// Tag of the language that the person chose for our mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Portals that accepted an active account whose address was never verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub let_in_by: Vec<PortalName>,
    /// True if the account exists only for requests that an operator released regardless of the rules: mail
    /// from its address is decided like that of a new sender.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub placeholder: bool,
    pub created_at: Timestamp,
    pub created_by: AccountOrigin,
}

impl Account {
    /// End of the time in which a link can withdraw "This was not me"; None if no link opens.
    #[must_use]
    pub fn can_withdraw_until(&self, now: Timestamp) -> Option<Timestamp> {
        let opens = self.status != AccountStatus::Blocked;
        self.link_valid_until.filter(|until| opens && *until > now)
    }

    /// True if the person can request the one mail with a new link that a quiet address still gets, as the store
    /// decides it.
    #[must_use]
    pub fn may_request_link(&self, now: Timestamp) -> bool {
        let can_be_verified = match self.status {
            AccountStatus::Pending => true,
            AccountStatus::Active => self.verified_at.is_none(),
            AccountStatus::Blocked => false,
        };
        let is_quiet = self.quiet_until.is_some_and(|until| until > now);
        is_quiet && can_be_verified && !self.undeliverable && !self.quiet_mailed
    }
}

/// An account that a decision calls for; the store creates it in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewAccount {
    pub kind: AccountKind,
    /// True if the address must be verified before anything is released.
    pub proof_needed: bool,
}
