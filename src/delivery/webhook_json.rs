//! A parcel in; out, the JSON of a webhook: the facts about the request and the parsed message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{Address, Message, MessageParser, MimeHeaders};
use serde::Serialize;

use super::Parcel;
use crate::domain::{Kind, LedgerId, PortalName, RequestId, Timestamp};

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
    message: Parts<'a>,
}

#[derive(Serialize)]
struct Account<'a> {
    address: String,
    kind: Kind,
    /// As `X-Vestibule-Verified` says it.
    verified: String,
    groups: &'a [String],
}

/// What the message says. All but its authentication is the sender's word.
#[derive(Default, Serialize)]
struct Parts<'a> {
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
    attachments: Vec<Attachment<'a>>,
    /// As `X-Vestibule-Authenticated` says it.
    authentication: &'static str,
}

#[derive(Serialize)]
struct Person {
    name: Option<String>,
    address: Option<String>,
}

#[derive(Serialize)]
struct Attachment<'a> {
    name: Option<&'a str>,
    content_type: String,
    content_id: Option<&'a str>,
    inline: bool,
    /// Octets.
    size: usize,
    /// Base64.
    content: String,
}

/// The JSON text, the same for every attempt. `raw` is the message as it is handed on.
pub(super) fn body(parcel: &Parcel, raw: &[u8]) -> Vec<u8> {
    let claim = parcel.claim();
    let message = MessageParser::default().parse(raw);
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
                verified: parcel.verified(),
                groups: &claim.groups,
            },
            received_at: claim.received_at,
            message_id: claim.message_id.as_deref(),
            message: Parts {
                authentication: parcel.authenticated(),
                ..message.as_ref().map(parts).unwrap_or_default()
            },
        },
    };
    // Nothing in it is a map with keys that are no text, the only thing JSON cannot say.
    serde_json::to_vec(&payload).unwrap_or_default()
}

fn parts<'a>(message: &'a Message<'a>) -> Parts<'a> {
    let ids = |value: &mail_parser::HeaderValue| -> Vec<String> {
        value
            .as_text_list()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    Parts {
        subject: message.subject().map(str::to_owned),
        date: message.date().map(mail_parser::DateTime::to_rfc3339),
        from: people(message.from()),
        reply_to: people(message.reply_to()),
        to: people(message.to()),
        cc: people(message.cc()),
        in_reply_to: ids(message.in_reply_to()),
        references: ids(message.references()),
        text: message.body_text(0).map(Into::into),
        // The parser would make HTML of text where there is none.
        html: message
            .html_bodies()
            .find(|part| part.is_text_html())
            .and_then(|part| part.text_contents())
            .map(str::to_owned),
        attachments: message.attachments().map(attachment).collect(),
        authentication: "",
    }
}

fn people(address: Option<&Address<'_>>) -> Vec<Person> {
    address
        .into_iter()
        .flat_map(Address::iter)
        .map(|person| Person {
            name: person.name().map(str::to_owned),
            address: person.address().map(str::to_owned),
        })
        .collect()
}

fn attachment<'a>(part: &'a mail_parser::MessagePart<'a>) -> Attachment<'a> {
    let content_type = part.content_type().map_or_else(
        || "application/octet-stream".to_owned(),
        |kind| match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()),
            None => kind.ctype().to_owned(),
        },
    );
    Attachment {
        name: part.attachment_name(),
        content_type: content_type.to_ascii_lowercase(),
        content_id: part.content_id(),
        inline: part
            .content_disposition()
            .is_some_and(mail_parser::ContentType::is_inline),
        size: part.contents().len(),
        content: STANDARD.encode(part.contents()),
    }
}
