//! One dropped entry with the inputs of its decision, and whether it can become a request: by
//! [recovery](super::recover_dropped) or by [release](super::release_dropped).

use crate::access::Circumstances;
use crate::domain::{EmailAddress, LedgerId, Reason, RequestState};
use crate::mail::Facts;
use crate::store::intake::own_addresses::may_be_by_a_person;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::{Millis, from_row, json};
use crate::store::{Result, StoreError};

/// The portal that an operator named for a message to an address of our own.
#[derive(Debug, Clone)]
pub struct NamedPortal {
    pub circumstances: Circumstances,
    /// An address of the portal: the recipient of the request.
    pub recipient: String,
}

impl NamedPortal {
    /// Records the portal as that of an entry, and the sender whom the message has there: the portal's own list
    /// makes a difference.
    pub(crate) fn assign(&self, tx: &Tx, n: i64, sender: Option<&EmailAddress>) -> Result<()> {
        tx.run(
            // The facts stay the same: a trigger has the entry indexed again, with this sender.
            "UPDATE ledger SET portal = ?2, recipient = ?3, circumstances = ?4, sender = ?5,
                     domain = ?6, facts = facts
                 WHERE n = ?1",
            &[
                &n,
                &self.circumstances.portal,
                &self.recipient,
                &json(&self.circumstances)?,
                &sender.map(EmailAddress::key),
                &sender.map(|sender| sender.domain().as_str()),
            ],
        )
        .map(drop)
    }
}

/// A dropped entry with the inputs of its decision.
pub(crate) struct DroppedEntry {
    pub(crate) n: i64,
    pub(crate) received_at: Millis,
    pub(crate) reason: Reason,
    pub(crate) revision: i64,
    pub(crate) facts: Facts,
    recipient: String,
    /// None for a message to an address of our own.
    circumstances: Option<Circumstances>,
    /// True while its content exists.
    kept: bool,
    dropped: bool,
    original: Option<LedgerId>,
    request: Option<RequestState>,
}
from_row!(
    DroppedEntry, row: n, received_at, reason, revision, facts, recipient, circumstances, kept, dropped,
    original, request,
);

impl DroppedEntry {
    /// Returns the circumstances of an entry that can become a request: its own, or those of the named portal.
    ///
    /// # Errors
    /// `NotAllowed` with the reason why it cannot.
    pub(crate) fn require_recoverable<'a>(
        &'a self,
        ledger: LedgerId,
        portal: Option<&'a NamedPortal>,
    ) -> Result<&'a Circumstances> {
        let refused = |why: String| Err(StoreError::NotAllowed(format!("{ledger} {why}")));
        match (self.dropped, self.request) {
            (true, Some(state)) => {
                return refused(format!(
                    "was already released by an operator; its request is {state}"
                ));
            }
            (false, Some(state)) => {
                return refused(format!(
                    "was not dropped, or was already recovered; its request is {state}"
                ));
            }
            (_, None) => {}
        }
        if !self.dropped {
            return refused("was not dropped".to_owned());
        }
        if let Some(original) = self.original {
            return refused(format!("is a copy of {original}; recover that entry"));
        }
        if self.facts.is_forgotten() {
            // Another entry of the same message may still have the content.
            return refused("is that of a person who was forgotten".to_owned());
        }
        if !self.kept {
            let why = if self.circumstances.is_none() && !may_be_by_a_person(&self.facts) {
                "delivery reports, automatic mail and bulk mail to an address of our own are not kept"
            } else {
                "its content was erased, because it had expired or dropped.max_content was reached"
            };
            return refused(format!("cannot be recovered: {why}"));
        }
        let named = portal.map(|portal| &portal.circumstances);
        let Some(circumstances) = self.circumstances.as_ref().or(named) else {
            return refused(
                "was sent to an address of our own, for bounces or answers, not to a portal; name \
                 the portal of the request (--portal NAME on the command line)"
                    .to_owned(),
            );
        };
        Ok(circumstances)
    }

    /// Words for the audit about the values that an operator named, with the original recipient, which
    /// that of a named portal replaces. Empty if nothing was named.
    pub(crate) fn describe_named(&self, has_sender: bool, portal: Option<&NamedPortal>) -> String {
        let sender = "; the operator named its sender";
        let recipient = &self.recipient;
        match (has_sender, portal.map(|named| &named.circumstances.portal)) {
            (false, None) => String::new(),
            (true, None) => sender.to_owned(),
            (true, Some(portal)) => {
                format!("{sender} and the portal {portal}; it came for {recipient}")
            }
            (false, Some(portal)) => {
                format!("; the operator named the portal {portal}; it came for {recipient}")
            }
        }
    }
}

pub(crate) fn find(tx: &Tx, ledger: LedgerId) -> Result<DroppedEntry> {
    tx.maybe(
        "SELECT l.n, l.received_at, l.rule AS reason, l.revision, l.facts, l.recipient,
                 l.circumstances,
                 EXISTS (
                     SELECT 1 FROM content AS c WHERE c.ledger = coalesce(l.message, l.n)
                 ) AS kept,
                 l.verdict = 'dropped' AS dropped,
                 (SELECT id FROM ledger WHERE n = l.original) AS original,
                 (SELECT state FROM request WHERE ledger = l.n) AS request
             FROM ledger AS l WHERE l.id = ?",
        &[&ledger],
    )?
    .ok_or_else(|| StoreError::not_found("ledger entry", ledger))
}
