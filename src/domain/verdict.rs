//! Verdicts and reasons. The codes are a contract: scripts and operators rely on them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::keywords::keywords;

/// Verdict about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Accepted,
    Held,
    Dropped,
}

/// The stable code of the rule that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Duplicate,
    Bounce,
    Loop,
    SenderUnusable,
    /// The sender is on the deny list.
    SenderDenied,
    AccountBlocked,
    /// Our own MTA marked it as spam.
    Spam,
    Automatic,
    Bulk,
    AuthenticationFailed,
    AccountActive,
    AccountPending,
    InternalAccountCreated,
    ExternalAccountsDisabled,
    DomainNotAllowed,
    ExternalAccountCreated,
    /// The message would exceed the hold quota of the account.
    HoldQuota,
    /// An answer to a verification mail of ours, confirming or not; it is never delivered.
    Confirmation,
}

/// Kind of a message, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Normal,
    Automatic,
    Bulk,
    Bounce,
}

keywords!(Verdict { Accepted => "accepted", Held => "held", Dropped => "dropped" });
keywords!(Class { Normal => "normal", Automatic => "automatic", Bulk => "bulk", Bounce => "bounce" });
keywords!(Reason {
    Duplicate => "duplicate",
    Bounce => "bounce",
    Loop => "loop",
    SenderUnusable => "sender_unusable",
    SenderDenied => "sender_denied",
    AccountBlocked => "account_blocked",
    Spam => "spam",
    Automatic => "automatic",
    Bulk => "bulk",
    AuthenticationFailed => "authentication_failed",
    AccountActive => "account_active",
    AccountPending => "account_pending",
    InternalAccountCreated => "internal_account_created",
    ExternalAccountsDisabled => "external_accounts_disabled",
    DomainNotAllowed => "domain_not_allowed",
    ExternalAccountCreated => "external_account_created",
    HoldQuota => "hold_quota",
    Confirmation => "confirmation",
});
