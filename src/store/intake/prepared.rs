//! Preparation of a message, and of its part for each of our mailboxes, outside of the writer: lookup keys and
//! column values.

use crate::access::sender_for;
use crate::domain::{EmailAddress, MailId, PortalName};
use crate::mail::Facts;
use crate::store::Result;
use crate::store::intake::arrival::{Arrival, ArrivalPart};
use crate::store::rows::keys::{copy_key, repeat_key};
use crate::store::sql::sql_types::{Millis, json};
use crate::store::verification::bounces::mail_of;

/// An arrival with everything that can be prepared outside of the writer thread.
pub(super) struct PreparedMessage {
    pub(super) arrival: Arrival,
    pub(super) at: Millis,
    pub(super) facts: String,
    pub(super) envelope: String,
    pub(super) id_key: Option<i64>,
    pub(super) parts: Vec<PreparedPart>,
}

/// One prepared part.
pub(crate) struct PreparedPart {
    pub(crate) recipient: String,
    pub(crate) portal: Option<PortalName>,
    pub(crate) sender: Option<EmailAddress>,
    /// The sender's `key`.
    pub(crate) sender_key: Option<String>,
    pub(crate) copy_key: i64,
    pub(crate) circumstances: Option<String>,
    /// The verification mail that this may be a bounce of.
    pub(crate) verification_mail: Option<MailId>,
}

impl PreparedMessage {
    pub(super) fn of(arrival: Arrival) -> Result<Self> {
        let facts = &arrival.facts;
        let parts = arrival
            .parts
            .iter()
            .map(|part| PreparedPart::of(part, facts))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            at: arrival.received_at.into(),
            facts: json(facts)?,
            envelope: json(&arrival.envelope)?,
            id_key: repeat_key(facts),
            parts,
            arrival,
        })
    }
}

impl PreparedPart {
    pub(crate) fn of(part: &ArrivalPart, facts: &Facts) -> Result<Self> {
        let (recipient, circumstances) = match part {
            ArrivalPart::Portal {
                recipient,
                circumstances,
            } => (recipient, Some(circumstances)),
            ArrivalPart::Bounce { recipient } | ArrivalPart::Confirmation { recipient, .. } => {
                (recipient, None)
            }
        };
        let own_list = circumstances.and_then(|known| known.own_list.as_deref());
        let sender = sender_for(facts, own_list).address().cloned();
        let portal = circumstances.map(|known| known.portal.clone());
        Ok(Self {
            recipient: recipient.clone(),
            sender_key: sender.as_ref().map(EmailAddress::key),
            sender,
            copy_key: copy_key(portal.as_ref(), facts),
            circumstances: circumstances.map(json).transpose()?,
            verification_mail: facts
                .report
                .as_ref()
                .and_then(|report| mail_of(report, portal.is_none().then_some(recipient))),
            portal,
        })
    }
}
