//! A message as it arrives, and its outcome for each of our mailboxes that it is addressed to.

use std::net::IpAddr;
use std::time::Duration;

use crate::access::Circumstances;
use crate::config::Quota;
use crate::domain::{
    AccountId, AccountKind, EmailAddress, Envelope, LedgerId, PortalName, Reason, RequestId,
    Timestamp, TokenHash, Verdict,
};
use crate::mail::Facts;
use crate::store::VerificationOutcome;
use crate::store::accounts::replies::ReplyAnswer;

/// A complete message to be stored.
#[derive(Debug)]
pub struct Arrival {
    pub envelope: Envelope,
    pub facts: Facts,
    pub raw: Vec<u8>,
    /// One part for each portal (or other mailbox of ours) that the message is addressed to; at least one.
    pub parts: Vec<ArrivalPart>,
    /// Address of the client that handed the message to our own machines, where known.
    pub client: Option<IpAddr>,
    pub received_at: Timestamp,
    pub quota: Quota,
    pub hold_for: Duration,
    pub keep_dropped: Duration,
    /// Limit on the total size of dropped content, in octets.
    pub max_dropped: u64,
}

/// The message for one of our mailboxes.
#[derive(Debug)]
pub enum ArrivalPart {
    /// For a portal, to be decided. `recipient` is the address from RCPT.
    Portal {
        recipient: String,
        circumstances: Circumstances,
    },
    /// Returned to the address from which we send verification mail.
    Bounce { recipient: String },
    /// Answers a verification mail; the token is that of the recipient address.
    Confirmation {
        recipient: String,
        token: Option<TokenHash>,
        answer: ReplyAnswer,
    },
}

/// Result of a message for one of our mailboxes.
#[derive(Debug, Clone)]
pub struct ArrivalOutcome {
    pub ledger: LedgerId,
    /// None for a message to one of our own addresses.
    pub portal: Option<PortalName>,
    pub verdict: Verdict,
    pub reason: Reason,
    pub rule: u8,
    pub sender: Option<EmailAddress>,
    pub account: Option<(AccountId, AccountKind)>,
    pub account_created: bool,
    pub request: Option<RequestId>,
    pub message_id: Option<String>,
    /// Account whose verification mail this bounce is about, if it gets no more mail.
    pub undeliverable: Option<AccountId>,
    /// Effect of an answer to a verification mail.
    pub verification: Option<VerificationOutcome>,
}
