//! Delivery reports: what became of a message that somebody sent.
//!
//! In: the envelope, the header and the body. Out: a [`Report`] or none. A message is a report when
//! it says so by its structure (RFC 6522 with RFC 3464 or RFC 8098), or when a mailer wrote it in
//! words of its own. A report inside another message, as people forward them, is none.

use super::header::{Field, Header, Section};
use super::mime::{Entity, Media};
use super::notice::{self, Author};
use super::text::message_id;
use super::{Evidence, Report, ReportKind, ReportedRecipient, Sender};
use crate::domain::Envelope;

/// More recipients than a report is asked about.
const MOST_RECIPIENTS: usize = 64;
/// As much of a machine-readable part as is read.
const MOST_STATUS: usize = 64 * 1024;
/// Gateways wrap a report to add a footer; nobody wraps it twice and again.
const MOST_LEVELS: usize = 3;

pub(super) fn report(header: &Header, envelope: &Envelope, sender: &Sender) -> Option<Report> {
    let message = Entity {
        header: header.section,
    };
    let media = message.media();
    if let Some(kind) = stated_kind(&media) {
        let mut report = start(header, kind);
        read_parts(&message, &media, &mut report, 0);
        return Some(report);
    }
    let author = notice::author(header, envelope, sender);
    let subject_says_so = notice::subject_says_so(header);
    if author == Author::Anyone && !subject_says_so && !media.is("multipart/report") {
        return None;
    }
    let mut report = start(header, ReportKind::Dsn);
    if let Some(kind) = read_parts(&message, &media, &mut report, 0) {
        report.kind = kind;
        return Some(report);
    }
    report.kind = ReportKind::Text;
    report.evidence = notice::evidence(&message, &media, author, subject_says_so)?;
    if report.recipients.is_empty() {
        report.recipients = notice::recipients(header);
    }
    if report.original_message_id.is_none() {
        report.original_message_id = notice::original_message_id(&message, &media);
    }
    Some(report)
}

fn start(header: &Header, kind: ReportKind) -> Report {
    let field = header.section.first("Content-Type");
    Report {
        kind,
        evidence: field.map_or_else(|| Evidence::new("Content-Type", b""), |f| Evidence::of(&f)),
        recipients: Vec::new(),
        original_message_id: None,
    }
}

/// RFC 6522 requires the parameter; some mailers leave it out, and [`read_parts`] sees the part.
fn stated_kind(media: &Media) -> Option<ReportKind> {
    if !media.is("multipart/report") {
        return None;
    }
    match media.report_type()? {
        "delivery-status" | "global-delivery-status" => Some(ReportKind::Dsn),
        "disposition-notification" | "global-disposition-notification" => Some(ReportKind::Mdn),
        _ => None,
    }
}

/// Takes what the parts of a report say. Returns the kind of the first machine-readable one.
fn read_parts(
    entity: &Entity,
    media: &Media,
    report: &mut Report,
    level: usize,
) -> Option<ReportKind> {
    let mut kind = machine_readable(media);
    if kind.is_some() {
        read_status(entity, report);
        return kind;
    }
    if level == MOST_LEVELS {
        return None;
    }
    for part in entity.parts(media) {
        let media = part.media();
        if media.is_multipart() || machine_readable(&media).is_some() {
            let found = read_parts(&part, &media, report, level + 1);
            kind = kind.or(found);
        } else if is_returned_message(&media) && report.original_message_id.is_none() {
            let original = part.decoded(MOST_STATUS);
            let field = Section::of(&original)
                .first("Message-ID")
                .as_ref()
                .and_then(message_id);
            report.original_message_id = field;
        }
    }
    kind
}

fn machine_readable(media: &Media) -> Option<ReportKind> {
    const KINDS: [(&str, ReportKind); 4] = [
        ("message/delivery-status", ReportKind::Dsn),
        ("message/global-delivery-status", ReportKind::Dsn),
        ("message/disposition-notification", ReportKind::Mdn),
        ("message/global-disposition-notification", ReportKind::Mdn),
    ];
    KINDS
        .iter()
        .find(|(name, _)| media.is(name))
        .map(|(_, kind)| *kind)
}

fn is_returned_message(media: &Media) -> bool {
    [
        "message/rfc822",
        "message/global",
        "text/rfc822-headers",
        "message/rfc822-headers",
        "message/global-headers",
    ]
    .iter()
    .any(|name| media.is(name))
}

/// The groups of fields of RFC 3464 2.1; RFC 8098 3.1 has one group with a recipient in it.
fn read_status(entity: &Entity, report: &mut Report) {
    let text = entity.decoded(MOST_STATUS);
    let mut rest: &[u8] = &text;
    while !rest.is_empty() {
        let group = Section::of(rest);
        let mut recipient = ReportedRecipient {
            address: String::new(),
            action: None,
            status: None,
        };
        for field in group.fields() {
            read_status_field(&field, &mut recipient, report);
        }
        if !recipient.address.is_empty() && report.recipients.len() < MOST_RECIPIENTS {
            report.recipients.push(recipient);
        }
        rest = group.body;
    }
}

fn read_status_field(field: &Field, recipient: &mut ReportedRecipient, report: &mut Report) {
    let text = field.text();
    let word = || text.split([' ', '\t', '(', ';']).next().unwrap_or_default();
    if field.is("Original-Recipient")
        || (field.is("Final-Recipient") && recipient.address.is_empty())
    {
        // What we sent to is the original one, where the reporting mailer knows it.
        let address = text.split_once(';').map_or(&*text, |(_, address)| address);
        let address = address.trim().trim_start_matches('<').trim_end_matches('>');
        if !address.is_empty() {
            recipient.address = Evidence::new("", address.as_bytes()).value;
        }
    } else if field.is("Action") && !word().is_empty() {
        recipient.action = Some(
            Evidence::new("", word().as_bytes())
                .value
                .to_ascii_lowercase(),
        );
    } else if field.is("Status") {
        recipient.status = status_code(word());
    } else if field.is("Original-Message-ID") {
        report.original_message_id = message_id(field);
    }
}

/// RFC 3463 2: class, subject and detail.
fn status_code(word: &str) -> Option<String> {
    let parts: Vec<&str> = word.split('.').take(4).collect();
    let number =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(number)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::sender::sender;
    use super::*;
    use crate::domain::ReversePath;

    fn read(raw: &str, reverse_path: ReversePath) -> Option<Report> {
        let envelope = Envelope::of_file(reverse_path);
        let header = Header::of(raw.as_bytes());
        report(&header, &envelope, &sender(&header))
    }

    const PARTS: &str = "\r\n\r\n--b\r\n\r\nIt failed.\r\n\
        --b\r\nContent-Type: message/delivery-status\r\n\r\n\
        Reporting-MTA: dns; mx.corp.example\r\n\r\n\
        Original-Recipient: rfc822;ann@corp.example\r\n\
        Final-Recipient: rfc822; ann@pop.corp.example\r\n\
        Action: Failed (for good)\r\nStatus: 5.1.1 (no such user)\r\n\r\n\
        Final-Recipient: rfc822;<bob@corp.example>\r\nAction: delayed\r\nStatus: soon\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <letter@gate.corp.example>\r\n\r\nx\r\n--b--\r\n";

    #[test]
    fn a_delivery_status_notification_is_taken_apart() {
        let head = "From: postmaster@corp.example\r\nContent-Type: multipart/report;\r\n";
        for rest in [
            " boundary=b; report-type=delivery-status",
            " boundary=\"b\"",
        ] {
            let report = read(&format!("{head}{rest}{PARTS}"), ReversePath::Unknown);
            let report = report.expect("a report");
            assert_eq!(report.kind, ReportKind::Dsn);
            let id = report.original_message_id.as_deref();
            assert_eq!(id, Some("letter@gate.corp.example"));
            let of = |n: usize| {
                let one = &report.recipients[n];
                (
                    one.address.as_str(),
                    one.action.as_deref(),
                    one.status.as_deref(),
                )
            };
            assert_eq!(report.recipients.len(), 2);
            assert_eq!(of(0), ("ann@corp.example", Some("failed"), Some("5.1.1")));
            assert_eq!(of(1), ("bob@corp.example", Some("delayed"), None));
        }
    }

    #[test]
    fn a_disposition_notification_is_one_too() {
        let raw = "From: ann@corp.example\r\n\
            Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n\
            --b\r\n\r\nRead.\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\n\
            Final-Recipient: rfc822;ann@corp.example\r\nOriginal-Message-ID: <letter@gate>\r\n\
            Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--b--\r\n";
        let report = read(raw, ReversePath::Unknown).expect("a report");
        assert_eq!(report.kind, ReportKind::Mdn);
        assert_eq!(report.original_message_id.as_deref(), Some("letter@gate"));
        assert_eq!(report.recipients[0].address, "ann@corp.example");
    }

    #[test]
    fn a_mailer_needs_no_structure() {
        for (raw, reverse_path) in [
            (
                "From: MAILER-DAEMON@corp.example\r\nSubject: x\r\n\r\nx",
                ReversePath::Unknown,
            ),
            (
                "From: Mail.Delivery-System@corp.example\r\n\r\nx",
                ReversePath::Unknown,
            ),
            (
                "From: x@corp.example\r\nX-Failed-Recipients: a@corp.example\r\n\r\n",
                ReversePath::Unknown,
            ),
            (
                "From: postmaster@corp.example\r\nSubject: Undeliverable: x\r\n\r\n",
                ReversePath::Unknown,
            ),
            (
                "From: postmaster@corp.example\r\n\r\nIt could not\r\nbe delivered.",
                ReversePath::Unknown,
            ),
            (
                "From: Mail System <>\r\nSubject: Returned mail: x\r\n\r\n",
                ReversePath::Unknown,
            ),
            (
                "From: x@corp.example\r\nSubject: failure notice\r\n\r\n",
                ReversePath::Null,
            ),
            (
                "From: x@corp.example\r\nSubject: failure notice\r\n\r\n\
                 Hi. This is the qmail-send program at corp.example.\r\n",
                ReversePath::Unknown,
            ),
        ] {
            let report = read(raw, reverse_path).expect(raw);
            assert_eq!(report.kind, ReportKind::Text, "{raw}");
        }
    }

    #[test]
    fn people_may_write_about_reports() {
        let forwarded = format!(
            "From: ann@corp.example\r\nSubject: Fwd: Undeliverable\r\n\
             Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\nWhy?\r\n\
             --o\r\nContent-Type: message/rfc822\r\n\r\nFrom: mailer-daemon@corp.example\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=b{PARTS}--o--\r\n"
        );
        let attached = format!(
            "From: ann@corp.example\r\nSubject: what is this?\r\n\
             Content-Type: multipart/mixed; boundary=b{PARTS}"
        );
        for raw in [
            forwarded.as_str(),
            &attached,
            "From: ann@corp.example\r\nSubject: Undeliverable mail\r\n\r\nMy mail could not be delivered.",
            "From: ann@corp.example\r\nSubject: Re: failure notice\r\n\r\nHi. This is the qmail-send program at",
            "From: ann@corp.example\r\nSubject: failure notice\r\n\r\n> Hi. This is the qmail-send program at",
            "From: ann@corp.example\r\nSubject: Returned mail\r\n\r\nHi. This is the third time it happens.",
            "From: postmaster@corp.example\r\nSubject: new server\r\n\r\nWe have moved.",
        ] {
            assert_eq!(read(raw, ReversePath::Unknown), None, "{raw}");
        }
        let vacation = "From: ann@corp.example\r\nSubject: Away\r\n\r\nI am on holiday.";
        assert_eq!(read(vacation, ReversePath::Null), None);
    }
}
