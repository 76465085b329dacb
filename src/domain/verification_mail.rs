//! Kinds and causes of verification mail.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::keywords::keywords;

/// Kind of a verification mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailKind {
    /// The link that verifies the address.
    Verification,
    /// The same, shortly before the held requests expire.
    Reminder,
    /// A sign-up for an address that has an account already.
    AlreadyRegistered,
}

/// Action that caused a verification mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailCause {
    /// Mail to a portal.
    Mail,
    SignUp,
    /// The person asked for a new link, or confirmed by a reply to a mail that has expired.
    Resend,
    /// An operator created the account or asked for the mail.
    Operator,
    /// An answer to verification mail that did not confirm.
    Reply,
    /// A request for a link after "This was not me", which that link can take back.
    TakeBack,
}

/// State by which verification mail is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueuedMailState {
    /// Waits for its turn within the limits, or for the next attempt.
    Waiting,
    /// A worker is sending it.
    Claimed,
    /// It was given up, and its account still waits for one.
    Refused,
}

keywords!(MailKind {
    Verification => "verification",
    Reminder => "reminder",
    AlreadyRegistered => "already_registered",
});
keywords!(MailCause {
    Mail => "mail",
    SignUp => "sign_up",
    Resend => "resend",
    Operator => "operator",
    Reply => "reply",
    TakeBack => "take_back",
});
keywords!(QueuedMailState {
    Waiting => "waiting",
    Claimed => "claimed",
    Refused => "refused",
});
