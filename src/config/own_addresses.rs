//! Addresses of this installation that are the author or envelope sender of its mail, or the recipient at a
//! destination. The addresses that take mail are in the portals and in `[verification]`.

use super::{Destination, EnvelopeFrom, Portal, Verification};
use crate::domain::EmailAddress;

/// Computed once, because every message is compared with them.
#[derive(Debug, Clone)]
pub struct OwnAddresses {
    addresses: Vec<EmailAddress>,
    /// VERP addresses: the texts on both sides of the request's id, in lower case.
    verp: Vec<(String, String)>,
}

impl OwnAddresses {
    pub(super) fn of<'a>(
        verification: &Verification,
        portals: &[Portal],
        destinations: impl IntoIterator<Item = &'a Destination>,
    ) -> Self {
        let authors = portals.iter().filter_map(|portal| portal.from.as_ref());
        let mut addresses: Vec<_> = std::iter::once(&verification.from)
            .chain(authors)
            .filter_map(|author| EmailAddress::parse(author.email.as_ref()).ok())
            .collect();
        let mut verp = Vec::new();
        for destination in destinations {
            let Destination::Smtp(smtp) = destination else {
                continue;
            };
            addresses.extend(smtp.recipient.clone());
            match &smtp.envelope_from {
                EnvelopeFrom::Address(own) => addresses.push(own.clone()),
                EnvelopeFrom::Verp(before, after) => {
                    let base = format!("{}{after}", before.trim_end_matches('+'));
                    addresses.extend(EmailAddress::parse(&base));
                    verp.push((before.to_ascii_lowercase(), after.to_ascii_lowercase()));
                }
                EnvelopeFrom::Null | EnvelopeFrom::Sender => {}
            }
        }
        Self { addresses, verp }
    }

    pub(super) fn contains(&self, address: &EmailAddress) -> bool {
        self.addresses.contains(address)
    }

    /// True if an address has the fixed text of a VERP address on both sides of its request's id.
    pub(super) fn has_verp(&self, address: &EmailAddress) -> bool {
        if self.verp.is_empty() {
            return false;
        }
        let key = address.key();
        self.verp.iter().any(|(before, after)| {
            key.strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|id| !id.contains('@'))
        })
    }
}
