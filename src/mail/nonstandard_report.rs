//! Delivery reports in a mail server's own format, from before RFC 3464 or in disregard of it.
//!
//! Takes envelope, header and body; returns the evidence of a report, or none. People quote such texts when
//! they ask for help with them. So a text counts only in a message that a mail server can have sent, and only
//! if it combines a known subject with a known phrase.

use super::charset;
use super::header::{Field, Header, Section};
use super::html_text::html_to_text;
use super::mime::Media;
use super::text::{decode_unstructured, message_id};
use super::{Evidence, ReportedRecipient, Sender};
use crate::domain::{Envelope, ReversePath};

/// Maximum number of characters of the text that are searched for phrases, and of octets of the body that are
/// searched for the returned message after them.
const OPENING: usize = 2 * 1024;
const MAX_SEARCHED: usize = 64 * 1024;
const MAX_LEVELS: usize = 8;
const MAX_RECIPIENTS: usize = 64;

/// Words that mail servers put before `delivery …`.
const DELIVERED: [&str; 4] = ["e-mail ", "email ", "mail ", "message "];

/// Beginnings of the subjects of mail servers. Only whole words count: `delivery problems with …` is a person's.
const SUBJECTS: [&str; 64] = [
    "automatically rejected mail",
    "considered unsolicited bulk email",
    "could not deliver",
    "delayed mail",
    "delivery delay",
    "delivery delayed",
    "delivery error",
    "delivery failed",
    "delivery failure",
    "delivery has failed",
    "delivery notification",
    "delivery problem",
    "delivery report",
    "delivery status",
    "delivery subsystem",
    "delivery system",
    "delivery warning",
    "failed delivery",
    "failed mail",
    "failed to deliver",
    "failure delivery",
    "failure notice",
    "impossible de remettre",
    "mail could not be delivered",
    "mail error",
    "mail failed, returning",
    "mail failure",
    "mail not delivered",
    "mail system error",
    "mail undeliverable",
    "mailsystem: returned mail",
    "mensaje no entregado",
    "message could not be delivered",
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
const PHRASES: [&str; 76] = [
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
    "fehler bei der nachrichtenzustellung an folgende",
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
    "permanent fatal delivery errors",
    "permanent fatal errors",
    "quota exceeded",
    "recipient address rejected",
    "returned to sender",
    "the original message was received at ",
    "there was a problem with its delivery",
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
    if !is_of_a_mailer(without_tags(&subject)) {
        return None;
    }
    let opening = opening(message, media);
    PHRASES
        .iter()
        .any(|phrase| opening.contains(phrase))
        .then(|| Evidence::of(field))
}

fn is_of_a_mailer(subject: &str) -> bool {
    let delivery = DELIVERED
        .iter()
        .find_map(|word| subject.strip_prefix(word))
        .filter(|rest| rest.starts_with("delivery "));
    let starts = |text: &str| {
        SUBJECTS.iter().any(|start| {
            let rest = text.strip_prefix(start);
            rest.is_some_and(|rest| !rest.starts_with(char::is_alphabetic))
        })
    };
    starts(subject) || delivery.is_some_and(starts)
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
    let (part, _) = first_text(message, media);
    let text = part.decode(MAX_SEARCHED);
    let line = text.split(|&byte| byte == b'\n').find(|line| {
        line.get(..11)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"message-id:"))
    })?;
    message_id(Section::of(line).fields().next()?)
}

/// The beginning of the text, in lower case, with single spaces.
fn opening(message: &Section, media: &Media) -> String {
    let (part, media) = first_text(message, media);
    let octets = part.decode(MAX_SEARCHED);
    let mut text = charset::decode_body(&octets, media.charset().as_ref());
    if media.is("text/html") {
        text = html_to_text(&text);
    }
    let opening: String = text
        .chars()
        .take(OPENING)
        .map(|c| if c == '\u{2019}' { '\'' } else { c })
        .collect();
    let words: Vec<&str> = opening.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// The first part without parts of its own; an invalid multipart without parts counts as text, too.
fn first_text<'a>(message: &Section<'a>, media: &Media) -> (Section<'a>, Media) {
    let mut part = *message;
    let mut media = media.clone();
    for _ in 0..MAX_LEVELS {
        let Some(inner) = part.parts(&media).next() else {
            break;
        };
        media = inner.media();
        part = inner;
    }
    (part, media)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_report(subject: &str, entity: &str) -> bool {
        let raw = format!("Subject: {subject}\r\n{entity}");
        let header = Header::of(raw.as_bytes());
        let message = header.section;
        evidence(&header, &message, &message.media()).is_some()
    }

    #[test]
    fn html_is_converted_and_charsets_are_decoded() {
        let style = "p { margin: 0 } ".repeat(200);
        let html = format!(
            "Content-Type: text/html\r\n\r\n<html><head><style>{style}</style></head>\r\n\
             <body>Your message <b>couldn&#39;t</b>\r\nbe delivered</body></html>"
        );
        let mixed =
            format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{html}\r\n--b--\r\n");
        let latin1 = "Content-Type: text/plain; charset=iso-8859-1\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nIl n=92a pas pu =EAtre remis.";
        assert!(is_report("Undeliverable: x", &html));
        assert!(is_report("Undeliverable: x", &mixed));
        assert!(is_report("Non remis : x", latin1));
        let markup = "Content-Type: text/html\r\n\r\n<p class=\"undeliverable\">Hello</p>";
        assert!(!is_report("Undeliverable: x", markup));
        for (before, is_found) in [(OPENING / 2 - 20, true), (OPENING / 2, false)] {
            let text = format!("\r\n{}undeliverable", "é ".repeat(before));
            assert_eq!(is_report("Undeliverable: x", &text), is_found, "{before}");
        }
    }

    #[test]
    fn phrases_of_mail_servers_are_found() {
        for (subject, text) in [
            (
                "Permanent Delivery Failure",
                "The attached message had PERMANENT fatal delivery errors!",
            ),
            (
                "Returned mail: see transcript for details",
                "It is being returned to you because there\r\nwas a problem with its delivery.",
            ),
            (
                "Unzustellbar: Drucker",
                "Fehler bei der Nachrichtenzustellung an folgende Empfänger:",
            ),
            ("Undeliverable: x", "It couldn\u{2019}t be delivered."),
        ] {
            assert!(is_report(subject, &format!("\r\n{text}")), "{text}");
        }
    }

    #[test]
    fn subjects_of_mail_servers_are_whole_words() {
        let text = "\r\nYour mail could not be delivered.";
        for subject in [
            "Mail delivery failed: returning message to sender",
            "Mail Delivery Problem",
            "Message Delivery Failure",
            "[Postmaster] Email Delivery Failure",
            "E-mail delivery delayed",
            "Delivery Status Notification (Failure)",
            "Delivery failure",
            "*** Undeliverable mail ***",
            "Undeliverable",
        ] {
            assert!(is_report(subject, text), "{subject}");
        }
        for subject in [
            "Delivery problems with your newsletter",
            "Mail delivery problems",
            "Mail delivery to your customers",
            "Message: delivery failed",
            "Mail mail delivery failed",
            "Undeliverables",
        ] {
            assert!(!is_report(subject, text), "{subject}");
        }
    }
}
