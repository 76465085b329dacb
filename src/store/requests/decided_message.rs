//! A message with the decision about it, from which a request is created.

use std::net::IpAddr;
use std::time::Duration;

use crate::access::AccountStanding;
use crate::config::Quota;
use crate::domain::{EmailAddress, LanguagePriority, LedgerId, PortalName};
use crate::store::sql::sql_types::Millis;

/// A message with its decision.
pub(crate) struct DecidedMessage<'a> {
    /// Number of its ledger entry.
    pub(crate) n: i64,
    pub(crate) ledger: LedgerId,
    /// Usable sender; `access` drops every message without one.
    pub(crate) sender: &'a EmailAddress,
    pub(crate) portal: &'a PortalName,
    pub(crate) message_id: Option<&'a str>,
    /// Languages in which its sender writes and reads.
    pub(crate) languages: &'a LanguagePriority,
    pub(crate) size: u64,
    pub(crate) received_at: Millis,
    pub(crate) now: Millis,
    pub(crate) hold_for: Duration,
    /// The sender's domain vouches for it.
    pub(crate) authenticated: bool,
    /// Address of the client that handed it to our MTA, where known.
    pub(crate) client: Option<IpAddr>,
    pub(crate) quota: Quota,
    /// Standing of the account, if its hold quota is used up.
    pub(crate) full: Option<AccountStanding>,
}
