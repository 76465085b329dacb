//! Delivery reports in a mail server's own format, from before RFC 3464 or in disregard of it.
//!
//! Takes envelope, header and body; returns the evidence of a report, or none. People quote such texts when
//! they ask for help with them. So a text counts only in a message that a mail server can have sent, and only
//! if it combines a known subject with a known phrase.

use super::header::{Field, Header, Section};
use super::mime::Media;
use super::text::{decode_unstructured, message_id};
use super::{Evidence, ReportedRecipient, Sender};
use crate::domain::{Envelope, ReversePath};

/// Maximum number of octets of the body that are searched for phrases, and for the returned message after
/// them.
const OPENING: usize = 2 * 1024;
const MAX_SEARCHED: usize = 64 * 1024;
const MAX_LEVELS: usize = 8;
const MAX_RECIPIENTS: usize = 64;

/// Beginnings of the subjects of mail servers.
const SUBJECTS: [&str; 63] = [
    "automatically rejected mail",
    "considered unsolicited bulk email",
    "could not deliver",
    "delayed mail",
    "delivery error",
    "delivery fail",
    "delivery has failed",
    "delivery notification",
    "delivery problem",
    "delivery report",
    "delivery status",
    "delivery warning",
    "email delivery fail",
    "email delivery failure",
    "failed delivery",
    "failed mail",
    "failed to deliver",
    "failure delivery",
    "failure notice",
    "impossible de remettre",
    "mail could not be delivered",
    "mail delivery",
    "mail error",
    "mail failed, returning",
    "mail failure",
    "mail not delivered",
    "mail system error",
    "mail undeliverable",
    "mailsystem: returned mail",
    "mensaje no entregado",
    "message could not be delivered",
    "message delivery",
    "message not delivered",
    "message status - undeliverable",
    "message undeliverable",
    "message you sent blocked",
    "messaggio non recapitato",
    "nachricht nicht zustellbar",
    "niet-bezorgd",
    "no se puede entregar",
    "non delivery",
    "non remis",
    "non-delivery",
    "nondeliverable",
    "notification: delivery",
    "não é possível entregar",
    "onbestelbaar",
    "permanent delivery failure",
    "processing error",
    "returned mail",
    "returned to sender",
    "returning message to sender",
    "unable to deliver",
    "undeliverable",
    "undelivered",
    "unzustellbar",
    "user unknown",
    "warning: could not send message",
    "warning: message",
    "échec de la remise",
    "ваше сообщение не",
    "не удается доставить",
    "недоставленное сообщение",
];

/// Phrases that mail servers write near the beginning of the text.
const PHRASES: [&str; 73] = [
    "** address not found **",
    "** delivery incomplete **",
    "****** message from interscan",
    "an error has occurred while attempting to deliver",
    "an error was detected while processing",
    "cannot be delivered",
    "could not be delivered",
    "could not be sent",
    "could not deliver",
    "couldn't be delivered",
    "delivery attempt",
    "delivery failed",
    "delivery failure",
    "delivery has failed",
    "delivery of email to this address",
    "delivery status notification",
    "delivery to the following",
    "did not reach",
    "does not like recipient",
    "encountered an error while being processed",
    "encountered delivery problems",
    "error occurred while trying to deliver",
    "failed recipient",
    "failed to deliver",
    "failed to reach",
    "has been postponed",
    "has not been delivered",
    "has not yet been delivered",
    "hi. this is the deliver program at ",
    "hi. this is the qmail-send program at ",
    "invalid final delivery userid",
    "kon niet worden bezorgd",
    "konnte nicht zugestellt werden",
    "mail box space not enough",
    "mailbox full",
    "mailbox is full",
    "mailbox unavailable",
    "message from yahoo.",
    "message not delivered",
    "n'a pas pu etre delivre",
    "n'a pas pu être remis",
    "no mailbox here by that name",
    "no se pudo entregar",
    "no such user",
    "no valid recipients",
    "non è stato possibile recapitare",
    "non-delivery",
    "not able to deliver",
    "not been able to deliver",
    "over quota",
    "permanent fatal errors",
    "quota exceeded",
    "recipient address rejected",
    "returned to sender",
    "the original message was received at ",
    "this is an advisory-only email. please do not reply to it.",
    "this is the mail system at host ",
    "this is the postfix program at host ",
    "this message was created automatically by mail delivery software",
    "this message was created automatically by the mail system",
    "this user doesn't have a",
    "transcript of session",
    "unable to deliver",
    "undeliverable",
    "unknown user",
    "user is unknown",
    "user unknown",
    "was not delivered",
    "wasn't able to deliver",
    "were not delivered",
    "your message with subject: ",
    "не может быть доставлено",
    "не удалось доставить",
];

/// Local parts of mail servers, without separators. Names that people have are left out, however often a mail
/// server uses one.
const MAILERS: [&str; 5] = [
    "maildaemon",
    "maildeliverysubsystem",
    "maildeliverysystem",
    "mailerdaemon",
    "postmaster",
];

/// True if a mail server can have written the message: it has a null reverse-path, or the local part of a
/// mail server, or From has no address at all.
pub(super) fn is_from_a_mailer(header: &Header, envelope: &Envelope, sender: &Sender) -> bool {
    if envelope.reverse_path == ReversePath::Null {
        return true;
    }
    let written = sender.addr_spec();
    let local = written.and_then(|written| written.rsplit_once('@'));
    let name: String = local
        .map_or("", |(local, _)| local)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let nobody = |field: Field| field.value.trim_ascii_end().ends_with(b"<>");
    MAILERS.contains(&name.as_str()) || header.all("From").any(nobody)
}

/// Searches a message of a mail server for the form of a report: Exim's field, or a known subject with one of
/// the phrases near the beginning of the text.
pub(super) fn evidence(header: &Header, message: &Section, media: &Media) -> Option<Evidence> {
    if let Some(field) = header.first("X-Failed-Recipients") {
        return Some(Evidence::of(field));
    }
    let field = header.first("Subject")?;
    let subject = decode_unstructured(field)?.to_lowercase();
    let subject = without_tags(&subject);
    if !SUBJECTS.iter().any(|start| subject.starts_with(start)) {
        return None;
    }
    let opening = opening(message, media);
    PHRASES
        .iter()
        .any(|phrase| opening.contains(phrase))
        .then(|| Evidence::of(field))
}

/// The subject without the decoration of some mail servers: `*** … ***`, `[Postmaster] …`.
fn without_tags(subject: &str) -> &str {
    let subject = subject.trim_start_matches(['*', '<', '"', ' ']);
    let tag = subject
        .strip_prefix('[')
        .and_then(|tag| tag.split_once(']'));
    match tag {
        Some((tag, rest)) if tag.len() <= 40 && !rest.trim().is_empty() => rest.trim_start(),
        _ => subject.trim_start_matches('['),
    }
}

/// Recipients in Exim's field; other texts are not parsed.
pub(super) fn recipients(header: &Header) -> Vec<ReportedRecipient> {
    header
        .all("X-Failed-Recipients")
        .flat_map(|field| {
            let text = field.text();
            text.split(',')
                .map(|address| Evidence::new("", address.as_bytes()).value)
                .take(MAX_RECIPIENTS)
                .collect::<Vec<_>>()
        })
        .filter(|address| address.contains('@'))
        .take(MAX_RECIPIENTS)
        .map(|address| ReportedRecipient {
            address,
            action: Some("failed".to_owned()),
            status: None,
        })
        .collect()
}

/// The first Message-ID in the body: that of the returned message after the text.
pub(super) fn original_message_id(message: &Section, media: &Media) -> Option<String> {
    let text = first_text(message, media);
    let line = text.split(|&byte| byte == b'\n').find(|line| {
        line.get(..11)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"message-id:"))
    })?;
    message_id(Section::of(line).fields().next()?)
}

/// The beginning of the text, in lower case, with single spaces.
fn opening(message: &Section, media: &Media) -> String {
    let text = first_text(message, media);
    let text = String::from_utf8_lossy(&text[..text.len().min(OPENING)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// The first part without parts of its own; an invalid multipart without parts counts as text, too.
fn first_text(message: &Section, media: &Media) -> Vec<u8> {
    let mut part = *message;
    let mut inner = part.parts(media).next();
    for _ in 0..MAX_LEVELS {
        let Some(next) = inner else { break };
        part = next;
        inner = part.parts(&part.media()).next();
    }
    part.decode(MAX_SEARCHED)
}
