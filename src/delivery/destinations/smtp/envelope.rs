//! In: a destination's settings and a message. Out: the envelope under which it is sent.

use std::fmt::Write;

use crate::config::{EnvelopeFrom, SmtpDestination};
use crate::delivery::OutgoingMessage;
use crate::domain::EmailAddress;
use crate::outbound::Cause;
use crate::outbound::smtp::connection::Offers;

/// The envelope of one message.
pub(super) struct DeliveryEnvelope {
    /// Empty for the null reverse-path.
    reverse_path: String,
    recipient: String,
}

/// Extensions that the message requires.
pub(super) struct Needs {
    pub octets: u64,
    pub is_ascii: bool,
    pub has_utf8_header: bool,
}

impl DeliveryEnvelope {
    pub(super) fn of(config: &SmtpDestination, outgoing: &OutgoingMessage) -> Result<Self, Cause> {
        let claim = outgoing.claim();
        let reverse_path = match &config.envelope_from {
            EnvelopeFrom::Null => String::new(),
            EnvelopeFrom::Address(address) => address.to_string(),
            // Earlier versions accepted such addresses, which an MTA could route elsewhere.
            EnvelopeFrom::Sender if !claim.address.is_usable() => String::new(),
            EnvelopeFrom::Sender => claim.address.to_string(),
            EnvelopeFrom::Verp(before, behind) => format!("{before}{}{behind}", claim.request()),
        };
        let recipient = match &config.recipient {
            Some(recipient) => recipient.clone(),
            // Parsed, so that the address cannot end the command.
            None => EmailAddress::parse(&claim.recipient)
                .map_err(|e| Cause::internal(&format!("RCPT: {e}")))?,
        };
        Ok(Self {
            reverse_path,
            recipient: recipient.to_string(),
        })
    }

    /// The MAIL command with the parameters that this server supports and this message needs.
    ///
    /// An 8-bit message is sent even to a server that does not announce 8BITMIME: nearly all servers accept
    /// it, and recoding would change the message.
    pub(super) fn mail(&self, offers: &Offers, needs: &Needs) -> Result<String, Cause> {
        let mut command = format!("MAIL FROM:<{}>", self.reverse_path);
        if let Some(most) = offers.size {
            if most > 0 && needs.octets > most {
                return Err(Cause::of_request(&format!(
                    "MAIL: the message has {} octets, and the server accepts at most {most}",
                    needs.octets
                )));
            }
            let _ = write!(command, " SIZE={}", needs.octets);
        }
        if !needs.is_ascii && offers.eight_bit {
            command.push_str(" BODY=8BITMIME");
        }
        let address_needs_utf8 = !self.reverse_path.is_ascii() || !self.recipient.is_ascii();
        if offers.utf8 && (address_needs_utf8 || needs.has_utf8_header) {
            command.push_str(" SMTPUTF8");
        } else if address_needs_utf8 {
            return Err(Cause::of_request(
                "MAIL: an address is not ASCII, and the server does not offer SMTPUTF8; \
                 set recipient or envelope_from of the destination to an ASCII address",
            ));
        }
        Ok(command)
    }

    pub(super) fn rcpt(&self) -> String {
        format!("RCPT TO:<{}>", self.recipient)
    }
}
