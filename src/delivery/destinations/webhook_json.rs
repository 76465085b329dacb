//! In: a message. Out: the JSON of a webhook: the facts about the request and the parsed message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::delivery::{OutgoingMessage, added_headers};
use crate::domain::{AccountKind, LedgerId, PortalName, RequestId, Timestamp};
use crate::mail::{self, Content, MessageFields, NamedAddress};

/// Maximum octets of a message that is included in the JSON, besides its parsed content. A longer one is
/// available by a link.
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
    kind: AccountKind,
    /// The value of `X-Vestibule-Verified`.
    verified: String,
    /// The value of `X-Vestibule-Sender-By`, if there is such a field.
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_by: Option<&'static str>,
    groups: &'a [String],
}

/// Content of the message. Everything but its authentication is the sender's claim.
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
    /// The value of `X-Vestibule-Authenticated`.
    authentication: &'static str,
    /// Base64 of the message; null if there is a `raw_url`.
    raw: Option<String>,
    /// Temporary URL of the message; null if it is in `raw`.
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
    /// Size in octets.
    size: usize,
    /// Base64.
    content: String,
}

/// The JSON text, the same for every attempt except `raw_url`. `raw` is the original message.
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
                verified: added_headers::format_verification(claim),
                sender_by: added_headers::sender_by(claim),
                groups: &claim.groups,
            },
            received_at: claim.received_at,
            message_id: claim.message_id.as_deref(),
            message: Parts {
                authentication: added_headers::name_authentication(claim),
                raw: raw_url.is_none().then(|| STANDARD.encode(raw)),
                raw_url,
                ..parts(raw)
            },
        },
    };
    // Serializing fails only for maps with keys that are not strings, and there are none.
    serde_json::to_vec(&payload).unwrap_or_default()
}

fn parts(raw: &[u8]) -> Parts {
    let fields = MessageFields::of(raw);
    let content = Content::of(raw);
    Parts {
        subject: fields.subject(),
        date: fields.date(),
        from: people(fields.addresses("From")),
        reply_to: people(fields.addresses("Reply-To")),
        to: people(fields.addresses("To")),
        cc: people(fields.addresses("Cc")),
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

fn people(addresses: Vec<NamedAddress>) -> Vec<Person> {
    addresses
        .into_iter()
        .map(|NamedAddress { name, address }| Person { name, address })
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
