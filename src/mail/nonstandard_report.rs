//! Delivery reports in a mail server's own format, from before RFC 3464 or in disregard of it.
//!
//! Takes envelope, header and body; returns the evidence of a report, or none. People quote such texts when
//! they ask for help with them. So a text counts only in a message that a mail server can have sent, and only
//! if it combines a known subject with a known phrase.

mod phrases;

use self::phrases::{PHRASES, begins_like_a_report, is_of_a_report};
use super::charset;
use super::header::{Field, Header, Section};
use super::html_text::html_to_text;
use super::media::Media;
use super::text::{decode_unstructured, message_id, printable};
use super::{Evidence, ReportedRecipient, Sender};
use crate::domain::{Envelope, ReversePath};

/// Maximum number of characters of the text that are searched for phrases, and of octets of the body that are
/// searched for the returned message after them.
const OPENING: usize = 2 * 1024;
const MAX_SEARCHED: usize = 64 * 1024;
const MAX_LEVELS: usize = 8;
const MAX_RECIPIENTS: usize = 64;

/// Local parts of mail servers, without separators. Names that people have are left out, however often a mail
/// server uses one.
const MAILERS: [&str; 4] = [
    "maildaemon",
    "maildeliverysubsystem",
    "maildeliverysystem",
    "mailerdaemon",
];

/// Author of a message that a mail server can have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportSource {
    /// A mail server: no person writes with the reverse-path of one, in its name, or with no address in From.
    Server,
    /// A mail server or a person.
    Postmaster,
}

/// The reverse-path if it is that of a mail server: null, or the mailbox that some write for it, such as sendmail in
/// Return-Path (`MAILER-DAEMON` at their host).
pub(super) fn server_path(path: &ReversePath) -> Option<&str> {
    match path {
        ReversePath::Null => Some("<>"),
        ReversePath::Mailbox(address) => {
            let is_mailer = MAILERS.contains(&name_of(address).as_str());
            is_mailer.then_some(address.as_str())
        }
        ReversePath::Unknown => None,
    }
}

/// The local part of an address, without separators and in lower case.
fn name_of(address: &str) -> String {
    let (local, _) = address.rsplit_once('@').unwrap_or((address, ""));
    local
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Finds out whether a mail server can have written the message.
pub(super) fn find_mailer(
    header: &Header,
    envelope: &Envelope,
    sender: &Sender,
) -> Option<ReportSource> {
    if server_path(&envelope.reverse_path).is_some() {
        return Some(ReportSource::Server);
    }
    let name = sender.addr_spec().map_or_else(String::new, name_of);
    let nobody = |field: Field| field.value.trim_ascii_end().ends_with(b"<>");
    if MAILERS.contains(&name.as_str()) || header.all("From").any(nobody) {
        Some(ReportSource::Server)
    } else {
        (name == "postmaster").then_some(ReportSource::Postmaster)
    }
}

/// Searches a message of a mail server for the form of a report: Exim's field, or a known subject with one of
/// the phrases near the beginning of the text.
pub(super) fn evidence(
    header: &Header,
    message: &Section,
    media: &Media,
    mailer: ReportSource,
) -> Option<Evidence> {
    if let Some(field) = header.first("X-Failed-Recipients") {
        return Some(Evidence::of(field));
    }
    let field = header.first("Subject")?;
    let subject = decode_unstructured(field)?.to_lowercase();
    let subject = without_tags(&subject);
    let is_known = match mailer {
        ReportSource::Server => begins_like_a_report(subject),
        ReportSource::Postmaster => is_of_a_report(subject),
    };
    if !is_known {
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
                .map(|address| printable(address.as_bytes()))
                .take(MAX_RECIPIENTS)
                .collect::<Vec<_>>()
        })
        .filter(|address| address.contains('@'))
        .take(MAX_RECIPIENTS)
        .map(|address| ReportedRecipient {
            address,
            action: Some("failed".to_owned()),
            status: None,
            forwarded: false,
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
    use super::super::sender::sender;
    use super::*;

    fn is_report_of(mailer: ReportSource, subject: &str, entity: &str) -> bool {
        let raw = format!("Subject: {subject}\r\n{entity}");
        let header = Header::of(raw.as_bytes());
        let message = header.section;
        evidence(&header, &message, &message.media(), mailer).is_some()
    }

    fn is_report(subject: &str, entity: &str) -> bool {
        is_report_of(ReportSource::Postmaster, subject, entity)
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
    fn subjects_of_a_postmaster_are_whole_words() {
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
            assert!(
                is_report_of(ReportSource::Postmaster, subject, text),
                "{subject}"
            );
            assert!(
                is_report_of(ReportSource::Server, subject, text),
                "{subject}"
            );
        }
        for subject in [
            "Delivery problems with your newsletter",
            "Mail delivery problems",
            "Mail delivery to your customers",
            "Undeliverables",
        ] {
            let is_found = is_report_of(ReportSource::Postmaster, subject, text);
            assert!(!is_found, "{subject}");
        }
    }

    #[test]
    fn subjects_of_a_mail_server_are_known_by_their_beginning() {
        let text = "\r\nYour mail could not be delivered.";
        for subject in [
            "Unzustellbare Nachricht",
            "Unzustellbare Mail: Drucker",
            "Message delivery has been delayed",
            "Mail delivery is delayed",
            "Mail delivery unsuccessful",
            "Mail delivery incomplete",
            "Mail delivery deferred",
            "Mail delivery cancelled",
            "Mail delivery could not be completed",
            "Mail delivery: failed",
            "Mail delivery - failed",
            "Mail Delivery (failure ann@corp.example)",
            "Mail delivery to ann@corp.example failed",
            "Mail delivery attempt failed",
            "Delivery Failures",
            "Delivery Notifications",
            "Failure notices",
            "Undeliverables",
        ] {
            assert!(
                is_report_of(ReportSource::Server, subject, text),
                "{subject}"
            );
        }
        for subject in [
            "Message: delivery failed",
            "Mail mail delivery failed",
            "Mail deliveries on Monday",
            "Re: Mail delivery failed",
        ] {
            assert!(
                !is_report_of(ReportSource::Server, subject, text),
                "{subject}"
            );
        }
    }

    #[test]
    fn only_a_postmaster_may_be_a_person() {
        for (from, reverse_path, expected) in [
            (
                "MAILER-DAEMON@x.example",
                ReversePath::Unknown,
                Some(ReportSource::Server),
            ),
            (
                "Mail System <>",
                ReversePath::Unknown,
                Some(ReportSource::Server),
            ),
            (
                "postmaster@x.example",
                ReversePath::Unknown,
                Some(ReportSource::Postmaster),
            ),
            (
                "postmaster@x.example",
                ReversePath::Null,
                Some(ReportSource::Server),
            ),
            (
                "ann@x.example",
                ReversePath::Null,
                Some(ReportSource::Server),
            ),
            (
                "ann@x.example",
                ReversePath::Mailbox("MAILER-DAEMON@mx.example".to_owned()),
                Some(ReportSource::Server),
            ),
            (
                "ann@x.example",
                ReversePath::Mailbox("Mailer-Daemon".to_owned()),
                Some(ReportSource::Server),
            ),
            (
                "ann@x.example",
                ReversePath::Mailbox("postmaster@x.example".to_owned()),
                None,
            ),
            ("ann@x.example", ReversePath::Unknown, None),
        ] {
            let raw = format!("From: {from}\r\n");
            let header = Header::of(raw.as_bytes());
            let envelope = Envelope::of_file(reverse_path);
            let mailer = find_mailer(&header, &envelope, &sender(&header));
            assert_eq!(mailer, expected, "{from}");
        }
    }
}
