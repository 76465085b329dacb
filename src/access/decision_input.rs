//! Inputs and outputs of a decision about one message for one portal.

use serde::{Deserialize, Serialize};

use super::settings::Effective;
use crate::domain::{
    AccountKind, AccountStatus, LedgerId, NewAccount, PortalName, Reason, RequestId, Verdict,
};
use crate::mail::{AuthenticationFailure, Facts, ListAuthor, Sender, SenderFault};

/// Use of sender authentication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    Off,
    #[default]
    Report,
    Enforce,
}

/// State of the sender's account before this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, recorded as JSON under these names"
)]
pub struct AccountStanding {
    pub kind: AccountKind,
    pub status: AccountStatus,
    pub takes_automatic: bool,
    /// Another request of this size would exceed the hold quota.
    pub quota_reached: bool,
    /// It would fit if unauthenticated requests were replaced.
    #[serde(default)]
    pub can_replace: bool,
    /// The account is active but was never verified, and this portal has not accepted it before. Absent in
    /// older records.
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

/// State of the database when the message was received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountStanding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
}

/// Values of the configuration for this message; recorded, so that the decision can be explained later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    pub portal: PortalName,
    /// The portal accepts automatic mail of active accounts.
    pub takes_automatic: bool,
    /// The portal's own mailing list that the message came through, according to the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_list: Option<String>,
    /// From is an address of a portal or of ours.
    pub sender_is_ours: bool,
    pub enforcement: Enforcement,
}

/// All inputs of a decision.
#[derive(Debug, Clone, Copy)]
pub struct DecisionInput<'a> {
    pub facts: &'a Facts,
    pub circumstances: &'a Circumstances,
    pub standing: &'a Standing,
    pub settings: &'a Effective,
}

/// Consequence of a decision; the store applies it in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Only a ledger entry.
    Nothing,
    /// A held request, and a new pending account if its kind is given.
    Hold(Option<AccountKind>),
    /// A released request, and a new active account if its kind is given.
    Accept(Option<AccountKind>),
}

impl Consequence {
    /// The account that it creates.
    #[must_use]
    pub fn new_account(self) -> Option<NewAccount> {
        let (kind, proof_needed) = match self {
            Self::Nothing => return None,
            Self::Hold(kind) => (kind?, true),
            Self::Accept(kind) => (kind?, false),
        };
        Some(NewAccount { kind, proof_needed })
    }
}

/// The rule that decided, and the consequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    pub reason: Reason,
    /// Number of the rule in the documentation.
    pub rule: u8,
    pub consequence: Consequence,
    /// Evidence of the rule.
    pub evidence: Option<String>,
}

impl DecisionInput<'_> {
    /// The sender for this portal: the author behind the list, if it is the portal's own.
    #[must_use]
    pub fn sender(&self) -> &Sender {
        sender_for(self.facts, self.circumstances.own_list.as_deref())
    }

    /// True if the account is active, and verified or accepted by this portal before.
    pub(super) fn is_known_customer(&self) -> bool {
        self.standing
            .account
            .is_some_and(|account| account.status == AccountStatus::Active && !account.unverified)
    }

    /// True if the account is active elsewhere, but was never verified.
    pub(super) fn is_unverified_here(&self) -> bool {
        self.standing
            .account
            .is_some_and(|account| account.status == AccountStatus::Active && account.unverified)
    }

    /// Reason why the message fails enforced authentication as a message by that sender.
    pub(super) fn authentication_failure(&self) -> Option<AuthenticationFailure> {
        let own_list = self.circumstances.own_list.as_deref();
        let behind = self.facts.author_behind_list.as_ref();
        let behind_list = behind.is_some_and(|behind| is_behind_list(behind, own_list));
        self.facts.authentication_failure(behind_list)
    }

    pub(super) fn status(&self) -> Option<AccountStatus> {
        self.standing.account.map(|account| account.status)
    }
}

/// The sender if a portal's own list wrote its address into From and names no author.
static FROM_A_LIST: Sender = Sender::Unusable {
    fault: SenderFault::MailingList,
    written: None,
};

/// The sender of a message that came through `own_list`, a list of the portal's own, or through none. The
/// author behind a list counts only if that list's address is in From; the list itself never is a sender.
#[must_use]
pub fn sender_for<'a>(facts: &'a Facts, own_list: Option<&str>) -> &'a Sender {
    let behind = facts.author_behind_list.as_ref();
    choose_sender(&facts.sender, behind, facts.from_is_list, own_list)
}

/// Chooses the [sender](sender_for) by the facts that it depends on, for a caller that has no others.
#[must_use]
pub fn choose_sender<'a>(
    sender: &'a Sender,
    author_behind_list: Option<&'a ListAuthor>,
    from_is_list: bool,
    own_list: Option<&str>,
) -> &'a Sender {
    match author_behind_list {
        Some(behind) if is_behind_list(behind, own_list) => &behind.author,
        None if own_list.is_some() && from_is_list => &FROM_A_LIST,
        _ => sender,
    }
}

/// True if the sender is this author behind a list.
fn is_behind_list(behind: &ListAuthor, own_list: Option<&str>) -> bool {
    own_list == Some(behind.list.as_str())
}
