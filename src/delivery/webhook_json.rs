//! A parcel in; out, the JSON of a webhook: the facts about the request and the parsed message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{Address, HeaderValue};
use serde::Serialize;

use super::OutgoingMessage;
use crate::domain::{Kind, LedgerId, PortalName, RequestId, Timestamp};
use crate::mail::{self, Content, Fields};

/// Octets of a message that is in the JSON as it came, besides what was read of it. A longer one is
/// behind a link.
pub(super) const MAX_RAW: u64 = 1024 * 1024;

/// The body as Standard Webhooks recommends: a type, a time and data.
#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'static str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    /// The same for every attempt.
    request: RequestId,
    ledger: LedgerId,
    portal: &'a PortalName,
    recipient: &'a str,
    account: Account<'a>,
    received_at: Timestamp,
    message_id: Option<&'a str>,
    message: Parts,
}

#[derive(Serialize)]
struct Account<'a> {
    address: String,
    kind: Kind,
    /// As `X-Vestibule-Verified` says it.
    verified: String,
    /// As `X-Vestibule-Sender-By` says it, where that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_by: Option<&'static str>,
    groups: &'a [String],
}

/// What the message says. All but its authentication is the sender's word.
#[derive(Default, Serialize)]
struct Parts {
    subject: Option<String>,
    date: Option<String>,
    from: Vec<Person>,
    reply_to: Vec<Person>,
    to: Vec<Person>,
    cc: Vec<Person>,
    in_reply_to: Vec<String>,
    references: Vec<String>,
    text: Option<String>,
    html: Option<String>,
    attachments: Vec<Attachment>,
    /// As `X-Vestibule-Authenticated` says it.
    authentication: &'static str,
    /// Base64 of the message; null where there is a `raw_url`.
    raw: Option<String>,
    /// Where the message is to be had instead, for a time; null where it is in `raw`.
    raw_url: Option<String>,
}

#[derive(Serialize)]
struct Person {
    name: Option<String>,
    address: Option<String>,
}

#[derive(Serialize)]
struct Attachment {
    name: Option<String>,
    content_type: String,
    content_id: Option<String>,
    inline: bool,
    /// Octets.
    size: usize,
    /// Base64.
    content: String,
}

/// The JSON text, the same for every attempt but for `raw_url`. `raw` is the message as it came.
pub(super) fn body(outgoing: &OutgoingMessage, raw: &[u8], raw_url: Option<String>) -> Vec<u8> {
    let claim = outgoing.claim();
    let payload = Payload {
        r#type: "request.released",
        timestamp: claim.released_at,
        data: Data {
            request: claim.request(),
            ledger: claim.ledger,
            portal: &claim.portal,
            recipient: &claim.recipient,
            account: Account {
                address: claim.address.to_string(),
                kind: claim.kind,
                verified: outgoing.verified(),
                sender_by: outgoing.sender_by(),
                groups: &claim.groups,
            },
            received_at: claim.received_at,
            message_id: claim.message_id.as_deref(),
            message: Parts {
                authentication: outgoing.authenticated(),
                raw: raw_url.is_none().then(|| STANDARD.encode(raw)),
                raw_url,
                ..parts(raw)
            },
        },
    };
    // Nothing in it is a map with keys that are no text, the only thing JSON cannot say.
    serde_json::to_vec(&payload).unwrap_or_default()
}

fn parts(raw: &[u8]) -> Parts {
    let fields = Fields::of(raw);
    let content = Content::of(raw);
    Parts {
        subject: fields.subject(),
        date: fields.date(),
        from: people(&fields.addresses("From")),
        reply_to: people(&fields.addresses("Reply-To")),
        to: people(&fields.addresses("To")),
        cc: people(&fields.addresses("Cc")),
        in_reply_to: fields.message_ids("In-Reply-To"),
        references: fields.message_ids("References"),
        text: content.text,
        html: content.html,
        attachments: content.attachments.into_iter().map(attachment).collect(),
        authentication: "",
        raw: None,
        raw_url: None,
    }
}

fn people(field: &HeaderValue) -> Vec<Person> {
    let addresses = field.as_address().into_iter().flat_map(Address::iter);
    addresses
        .map(|person| Person {
            name: person.name().map(str::to_owned),
            address: person.address().map(str::to_owned),
        })
        .collect()
}

fn attachment(part: mail::Attachment) -> Attachment {
    Attachment {
        name: part.name,
        content_type: part.content_type,
        content_id: part.content_id,
        inline: part.is_inline,
        size: part.octets.len(),
        content: STANDARD.encode(part.octets),
    }
}
