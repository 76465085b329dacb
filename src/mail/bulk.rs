//! Detection of bulk mail: messages through a mailing list or a mass mailing.
//!
//! Takes the header and the envelope; returns the field that is the sign, and the identifiers of the lists
//! (RFC 2919).

use super::Evidence;
use super::automatic::keyword;
use super::header::{Field, Header};
use super::recorded_envelope::addresses;
use crate::domain::{EmailAddress, Envelope};

/// Fields whose presence is a sign, the most reliable first. [`UNSUBSCRIBE`] alone may not be enough.
const SIGNS: [&str; 4] = ["List-Id", "List-Post", UNSUBSCRIBE, "Mailing-List"];

/// CRM programs add this to the message of a person to one recipient.
const UNSUBSCRIBE: &str = "List-Unsubscribe";

/// Fields that only mass mailings have besides [`UNSUBSCRIBE`]: one-click unsubscription (RFC 8058), and the
/// campaign identifier for mailbox providers.
const OF_MAILINGS: [&str; 2] = ["List-Unsubscribe-Post", "Feedback-ID"];

/// Maximum number of lists that are kept; no message passes through more.
const MAX_LISTS: usize = 32;

/// Maximum number of addresses examined in To and Cc.
const MAX_ADDRESSES: usize = 1000;

pub(super) fn bulk(header: &Header, envelope: &Envelope) -> Option<Evidence> {
    let precedence = || {
        let fields = header.all("Precedence").chain(header.all("X-Precedence"));
        fields.into_iter().find(is_bulk)
    };
    let is_sign = |field: &Field| {
        !field.is(UNSUBSCRIBE)
            || OF_MAILINGS.iter().any(|name| header.first(name).is_some())
            || precedence().is_some()
            || !is_addressed(header, envelope)
    };
    SIGNS
        .iter()
        .find_map(|sign| header.first(sign).filter(is_sign))
        .or_else(precedence)
        .map(Evidence::of)
}

fn is_bulk(field: &Field) -> bool {
    let text = field.text();
    let word = keyword(&text);
    ["bulk", "junk", "list"]
        .iter()
        .any(|bulk| word.eq_ignore_ascii_case(bulk))
}

/// True if To or Cc names one of the recipient mailboxes, with any detail.
fn is_addressed(header: &Header, envelope: &Envelope) -> bool {
    let key = |text: &str| {
        let address = EmailAddress::parse(text).ok()?;
        Some(address.without_detail().key())
    };
    let ours: Vec<String> = envelope
        .recipients
        .iter()
        .filter_map(|recipient| key(&recipient.address))
        .collect();
    header
        .section
        .fields()
        .filter(|field| field.is("To") || field.is("Cc"))
        .any(|field| {
            let text = field.text();
            addresses(&text)
                .take(MAX_ADDRESSES)
                .filter_map(key)
                .any(|address| ours.contains(&address))
        })
}

/// Content of the angle brackets of each List-Id, in lower case. A value without brackets is used whole if it
/// would be valid within them.
pub(super) fn list_ids(header: &Header) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for field in header.all("List-Id") {
        let text = field.text();
        let id = match text.rsplit_once('<') {
            Some((_, rest)) => rest.split('>').next().unwrap_or_default().trim(),
            None => text.as_ref(),
        };
        let id = id.to_ascii_lowercase();
        let fits = !id.is_empty() && id.len() <= 255 && !id.contains(char::is_whitespace);
        if fits && !ids.contains(&id) && ids.len() < MAX_LISTS {
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Recipient, RecipientRole, ReversePath};

    fn evidence(raw: &str) -> Option<String> {
        let mut envelope = Envelope::of_file(ReversePath::Unknown);
        envelope.recipients.push(Recipient {
            address: "it-help@corp.example".to_owned(),
            role: RecipientRole::Bounces,
        });
        bulk(&Header::of(raw.as_bytes()), &envelope).map(|evidence| evidence.to_string())
    }

    #[test]
    fn each_sign_is_enough() {
        for raw in [
            "List-Id: <a.example>\r\n",
            "list-post: NO\r\n",
            "List-Id : <a.example>\r\n",
            "Precedence\t: bulk\r\n",
            "List-Unsubscribe: <mailto:x@corp.example>\r\n",
            "Mailing-List: contact a\r\n",
            "Precedence: Bulk\r\n",
            "Precedence: normal\r\nPrecedence: list\r\n",
            "PRECEDENCE: junk\r\n",
            "X-Precedence: bulk\r\n",
            "Precedence: bulk (newsletter)\r\n",
        ] {
            assert!(evidence(raw).is_some(), "{raw}");
        }
        for raw in [
            "Precedence: first-class\r\n",
            "List-Help: <x>\r\n",
            "Feedback-ID: 1:x\r\n",
            "\r\nList-Id: <a>\r\n",
        ] {
            assert_eq!(evidence(raw), None, "{raw}");
        }
    }

    #[test]
    fn list_unsubscribe_alone_does_not_make_mail_addressed_to_us_bulk() {
        let link = "List-Unsubscribe: <https://crm.example/u/1>\r\n";
        for to in [
            "To: it-help@corp.example\r\n",
            "To: \"IT, Help\" <IT-Help+7@Corp.Example>, x@y.example\r\n",
            "To: x@y.example\r\nCc: x@y.example,\r\n <it-help@corp.example>\r\n",
        ] {
            assert_eq!(evidence(&format!("{link}{to}")), None, "{to}");
            for more in [
                "List-Id: <a.example>\r\n",
                "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
                "Feedback-ID: 1:x:y\r\n",
                "Precedence: bulk\r\n",
                "X-Precedence: junk\r\n",
                "Mailing-List: contact a\r\n",
            ] {
                assert!(
                    evidence(&format!("{link}{to}{more}")).is_some(),
                    "{to}{more}"
                );
            }
        }
        for to in [
            "",
            "To: all@corp.example\r\n",
            "To: undisclosed-recipients:;\r\n",
            "Bcc: it-help@corp.example\r\n",
            "To: x@y.example\r\n\r\nTo: it-help@corp.example\r\n",
        ] {
            assert!(evidence(&format!("{link}{to}")).is_some(), "{to}");
        }
    }

    #[test]
    fn list_ids_lose_their_names() {
        let raw = "List-Id: \"IT <Help>\" <IT-Help.Groups.corp.example>\r\n\
                   List-ID: plain.example\r\nList-Id: two words\r\nList-Id: <plain.example>\r\n";
        assert_eq!(
            list_ids(&Header::of(raw.as_bytes())),
            ["it-help.groups.corp.example", "plain.example"]
        );
    }
}
