//! Preparation of a message for one of our mailboxes, outside of the writer: lookup keys and column values.

use sha2::{Digest, Sha256};

use crate::access::sender_for;
use crate::domain::{EmailAddress, MailId, PortalName};
use crate::mail::Facts;
use crate::store::StoreError;
use crate::store::intake::accept::Part;
use crate::store::sql::sql_types::json;
use crate::store::verification::bounces::mail_of;

/// One prepared part.
pub(crate) struct Prepared {
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

impl Prepared {
    pub(crate) fn of(part: &Part, facts: &Facts) -> Result<Self, StoreError> {
        let (recipient, circumstances) = match part {
            Part::Portal {
                recipient,
                circumstances,
            } => (recipient, Some(circumstances)),
            Part::Returns { recipient } | Part::Confirmation { recipient, .. } => (recipient, None),
        };
        let own_list = circumstances.and_then(|known| known.own_list.as_deref());
        let sender = sender_for(facts, own_list).address().cloned();
        let portal = circumstances.map(|known| known.portal.clone());
        Ok(Self {
            recipient: recipient.clone(),
            sender_key: sender.as_ref().map(EmailAddress::key),
            sender,
            copy_key: copy_key(portal.as_ref(), facts),
            circumstances: match circumstances {
                Some(known) => Some(json(known)?),
                None => None,
            },
            verification_mail: facts
                .report
                .as_ref()
                .and_then(|report| mail_of(report, portal.is_none().then_some(recipient))),
            portal,
        })
    }
}

/// Lookup key for the copies of a message: its Message-ID, else its date. None without both.
pub(crate) fn repeat_key(facts: &Facts) -> Option<i64> {
    let date = || Some(message_key(&format!("\0{}", facts.date.as_deref()?)));
    facts.message_id.as_deref().map(message_key).or_else(date)
}

/// Lookup key of a Message-ID.
pub(crate) fn message_key(message_id: &str) -> i64 {
    short(Sha256::digest(message_id).as_slice())
}

pub(crate) fn copy_key(portal: Option<&PortalName>, facts: &Facts) -> i64 {
    let digest = Sha256::new()
        .chain_update(facts.fingerprint.0)
        .chain_update(portal.map_or("", PortalName::as_str))
        .finalize();
    short(digest.as_slice())
}

/// The first 64 bits.
pub(crate) fn short(digest: &[u8]) -> i64 {
    digest
        .iter()
        .take(8)
        .fold(0, |number, octet| number << 8 | i64::from(*octet))
}

/// A size as stored in a column.
pub(crate) fn octets(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
