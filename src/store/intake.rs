//! Accepting: one message, all its ledger entries and what follows from them, in one transaction.

use super::{Store, StoreError};
use crate::access::Circumstances;
use crate::config::Quota;
use crate::domain::{
    AccountId, EmailAddress, Envelope, Kind, LedgerId, PortalName, Reason, RequestId, Timestamp,
    Verdict,
};
use crate::mail::Facts;
use std::time::Duration;

/// A complete message on its way into the database.
#[derive(Debug)]
pub struct Arrival {
    pub envelope: Envelope,
    pub facts: Facts,
    pub raw: Vec<u8>,
    /// One for each portal (or other mailbox of ours) it is for; at least one.
    pub parts: Vec<Part>,
    pub received_at: Timestamp,
    pub quota: Quota,
    pub hold_for: Duration,
    pub keep_dropped: Duration,
}

/// The message for one of our mailboxes.
#[derive(Debug)]
pub enum Part {
    /// To be decided. `recipient` is the address as RCPT gave it.
    Portal {
        recipient: String,
        circumstances: Circumstances,
    },
    /// Came back to the address from which we send verification mail.
    Returns { recipient: String },
}

/// What became of a message for one portal.
#[derive(Debug, Clone)]
pub struct Entry {
    pub ledger: LedgerId,
    /// None for a report that came to the return address.
    pub portal: Option<PortalName>,
    pub verdict: Verdict,
    pub reason: Reason,
    pub rule: u8,
    pub sender: Option<EmailAddress>,
    pub account: Option<(AccountId, Kind)>,
    pub account_created: bool,
    pub request: Option<RequestId>,
    pub message_id: Option<String>,
    /// The account whose verification mail this report is about.
    pub undeliverable: Option<AccountId>,
}

impl Store {
    /// Decides and records, and returns when that is synced. One entry for each part, in order.
    ///
    /// # Errors
    /// Nothing was recorded, and the MTA must keep the message.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn accept(&self, arrival: Arrival) -> Result<Vec<Entry>, StoreError> {
        let _ = arrival;
        unimplemented!()
    }
}
