//! All that a decision about one message for one portal depends on, and what it can say.

use serde::{Deserialize, Serialize};

use super::settings::Effective;
use crate::domain::{Kind, LedgerId, NewAccount, PortalName, Reason, RequestId, Status, Verdict};
use crate::mail::{AuthenticationFailure, Facts, Sender, SenderFault};

/// What is done with sender authentication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    Off,
    #[default]
    Report,
    Enforce,
}

/// What was known of the sender's account before this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, recorded as JSON under these names"
)]
pub struct AccountStanding {
    pub kind: Kind,
    pub status: Status,
    pub takes_automatic: bool,
    /// One more request of this size would be more than one account may have waiting.
    pub quota_reached: bool,
    /// It would not be, if requests that no domain vouches for made room.
    #[serde(default)]
    pub can_replace: bool,
    /// The account is active, nobody ever verified its address, and this portal has not let it in
    /// before. Absent in what was recorded before there was such a thing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
}

/// The earlier entry that this message repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    pub ledger: LedgerId,
    pub verdict: Verdict,
    pub request: Option<RequestId>,
}

/// What the database knew when the message came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountStanding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
}

/// What the configuration says about this message; recorded, so that it can be explained later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    pub portal: PortalName,
    /// The portal is set to take automatic mail of active accounts.
    pub takes_automatic: bool,
    /// The one of the portal's own lists that the message says it came through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_list: Option<String>,
    /// From is a portal's or our own address.
    pub sender_is_ours: bool,
    pub enforcement: Enforcement,
}

/// All that a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub facts: &'a Facts,
    pub circumstances: &'a Circumstances,
    pub standing: &'a Standing,
    pub settings: &'a Effective,
}

/// What follows from a decision; the store carries it out in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Consequence {
    /// A ledger entry and nothing else.
    Nothing,
    /// A held request, of a new account where one is given.
    Hold(Option<NewAccount>),
    /// A released request.
    Accept(Option<NewAccount>),
}

/// The rule that decided, and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    pub verdict: Verdict,
    pub reason: Reason,
    /// The number of the rule in the documentation.
    pub rule: u8,
    pub consequence: Consequence,
    /// What the rule went by.
    pub evidence: Option<String>,
}

impl Question<'_> {
    /// Who wrote, for this portal: the author behind the list where it is the portal's own.
    #[must_use]
    pub fn sender(&self) -> &Sender {
        sender_for(self.facts, self.circumstances.own_list.as_deref())
    }

    /// The account is active, and verified or let in by this portal before.
    pub(super) fn is_known_customer(&self) -> bool {
        self.standing
            .account
            .is_some_and(|account| account.status == Status::Active && !account.unverified)
    }

    /// The account is active elsewhere, and nobody ever verified its address.
    pub(super) fn is_unverified_here(&self) -> bool {
        self.standing
            .account
            .is_some_and(|account| account.status == Status::Active && account.unverified)
    }

    /// Why the message does not get past an enforced authentication, as one by that sender.
    pub(super) fn authentication_failure(&self) -> Option<AuthenticationFailure> {
        let own_list = self.circumstances.own_list.as_deref();
        let behind_list = is_behind_list(self.facts, own_list);
        self.facts.authentication_failure(behind_list)
    }

    pub(super) fn status(&self) -> Option<Status> {
        self.standing.account.map(|account| account.status)
    }
}

/// The sender where a portal's own list put its address into From and names no author.
static FROM_A_LIST: Sender = Sender::Unusable {
    fault: SenderFault::MailingList,
    written: None,
};

/// Who wrote a message that says it came through `own_list`, a list of the portal's own, or through
/// none. The author behind a list counts only where that list is the one whose address From is; the
/// list itself never does.
#[must_use]
pub fn sender_for<'a>(facts: &'a Facts, own_list: Option<&str>) -> &'a Sender {
    match &facts.author_behind_list {
        Some(behind) if is_behind_list(facts, own_list) => &behind.author,
        None if own_list.is_some() && facts.from_is_list => &FROM_A_LIST,
        _ => &facts.sender,
    }
}

/// The sender is the author behind a list.
fn is_behind_list(facts: &Facts, own_list: Option<&str>) -> bool {
    let behind = facts.author_behind_list.as_ref();
    behind.is_some_and(|behind| Some(behind.list.as_str()) == own_list)
}
