//! Delivery reports about an earlier message.
//!
//! Takes the envelope, the header and the body; returns a [`Report`] or none. A message is a report by its
//! structure (RFC 6522 with RFC 3464 or RFC 8098), or by the text of a mail server. A report inside another
//! message, as people forward them, does not count.

mod delivery_status;

use self::delivery_status::read_status;
use super::header::{Header, Section};
use super::media::Media;
use super::nonstandard_report;
use super::text::message_id;
use super::{Evidence, Report, ReportKind, Sender};
use crate::domain::Envelope;

/// Maximum number of octets of a machine-readable part that are read.
const MAX_STATUS: usize = 64 * 1024;
/// Maximum nesting: gateways wrap a report once, to add a footer.
const MAX_LEVELS: usize = 3;

/// Content of a report.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reported {
    Nothing,
    Delivery(Report),
    /// Abuse (RFC 5965), TLS (RFC 8460) and other uses of `multipart/report`: automatic mail, with the field
    /// that is the evidence.
    Other(Evidence),
}

/// Parses a report.
pub(super) fn report(header: &Header, envelope: &Envelope, sender: &Sender) -> Reported {
    let message = header.section;
    let media = message.media();
    let is_report = media.is("multipart/report");
    match media.report_type().map(|named| stated_kind(&named)) {
        Some(None) => return Reported::Other(content_type(header)),
        Some(Some(kind)) => {
            let mut report = start(header, kind);
            read_parts(&message, &media, &mut report, 0);
            return Reported::Delivery(report);
        }
        None => {}
    }
    let mailer = nonstandard_report::find_mailer(header, envelope, sender);
    if mailer.is_none() && !is_report {
        return Reported::Nothing;
    }
    let mut report = start(header, ReportKind::Dsn);
    if let Some(kind) = read_parts(&message, &media, &mut report, 0) {
        report.kind = kind;
        return Reported::Delivery(report);
    }
    let evidence =
        mailer.and_then(|mailer| nonstandard_report::evidence(header, &message, &media, mailer));
    let Some(evidence) = evidence else {
        return if is_report {
            Reported::Other(content_type(header))
        } else {
            Reported::Nothing
        };
    };
    report.kind = ReportKind::Text;
    report.evidence = evidence;
    if report.recipients.is_empty() {
        report.recipients = nonstandard_report::recipients(header);
    }
    if report.original_message_id.is_none() {
        report.original_message_id = nonstandard_report::original_message_id(&message, &media);
    }
    Reported::Delivery(report)
}

fn content_type(header: &Header) -> Evidence {
    let field = header.section.first("Content-Type");
    field.map_or_else(|| Evidence::new("Content-Type", b""), Evidence::of)
}

fn start(header: &Header, kind: ReportKind) -> Report {
    Report {
        kind,
        evidence: content_type(header),
        recipients: Vec::new(),
        original_message_id: None,
    }
}

/// Kind of delivery report for a `report-type`; None for other types. RFC 6522 requires the parameter; some
/// mail servers omit it, and [`read_parts`] recognises the part.
fn stated_kind(report_type: &str) -> Option<ReportKind> {
    match report_type.trim() {
        "delivery-status" | "global-delivery-status" => Some(ReportKind::Dsn),
        "disposition-notification" | "global-disposition-notification" => Some(ReportKind::Mdn),
        _ => None,
    }
}

/// Reads the parts of a report. Returns the kind of the first machine-readable one.
fn read_parts(
    section: &Section,
    media: &Media,
    report: &mut Report,
    level: usize,
) -> Option<ReportKind> {
    let mut kind = machine_readable(media);
    if kind.is_some() {
        read_status(section, report);
        return kind;
    }
    if level == MAX_LEVELS {
        return None;
    }
    for part in section.parts(media) {
        let media = part.media();
        if media.is_multipart() || machine_readable(&media).is_some() {
            let found = read_parts(&part, &media, report, level + 1);
            kind = kind.or(found);
        } else if is_returned_message(&media) && report.original_message_id.is_none() {
            let original = part.decode(MAX_STATUS);
            let field = Section::of(&original).first("Message-ID");
            report.original_message_id = field.and_then(message_id);
        }
    }
    kind
}

fn machine_readable(media: &Media) -> Option<ReportKind> {
    stated_kind(media.kind().strip_prefix("message/")?)
}

fn is_returned_message(media: &Media) -> bool {
    matches!(
        media.kind(),
        "message/rfc822"
            | "message/global"
            | "text/rfc822-headers"
            | "message/rfc822-headers"
            | "message/global-headers"
    )
}

#[cfg(test)]
mod tests {
    use super::super::sender::sender;
    use super::*;
    use crate::domain::ReversePath;

    fn read(raw: &str, reverse_path: ReversePath) -> Option<Report> {
        let envelope = Envelope::of_file(reverse_path);
        let header = Header::of(raw.as_bytes());
        match report(&header, &envelope, &sender(&header)) {
            Reported::Delivery(report) => Some(report),
            Reported::Nothing | Reported::Other(_) => None,
        }
    }

    /// True if the message reports something other than a delivery.
    fn is_other(raw: &str) -> bool {
        let envelope = Envelope::of_file(ReversePath::Unknown);
        let header = Header::of(raw.as_bytes());
        matches!(
            report(&header, &envelope, &sender(&header)),
            Reported::Other(_)
        )
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
    fn a_delivery_status_notification_is_parsed() {
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
            let forwarded = report.recipients.iter().map(|one| one.forwarded);
            assert_eq!(forwarded.collect::<Vec<_>>(), [true, false]);
        }
    }

    #[test]
    fn a_disposition_notification_is_a_report_too() {
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
    fn a_meaningless_status_is_replaced_by_that_of_the_reply() {
        for (fields, status) in [
            (
                "Status: 5.0.0\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user",
                "5.1.1",
            ),
            ("Diagnostic-Code: smtp;\r\n 550-5.7.1 blocked", "5.7.1"),
            (
                "Diagnostic-Code: smtp; 452 4.2.2 full\r\nStatus: 5.2.2",
                "5.2.2",
            ),
            (
                "Status: 5.0.0\r\nDiagnostic-Code: x-unix; mail failed",
                "5.0.0",
            ),
        ] {
            let raw = format!(
                "From: x@y.example\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\
                 Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n\
                 Final-Recipient: rfc822; ann@corp.example\r\nAction: failed\r\n{fields}\r\n--b--"
            );
            let report = read(&raw, ReversePath::Unknown).expect(&raw);
            assert_eq!(
                report.recipients[0].status.as_deref(),
                Some(status),
                "{fields}"
            );
        }
    }

    #[test]
    fn other_reports_are_not_delivery_reports() {
        for content_type in [
            "multipart/report; report-type=feedback-report; boundary=b",
            "Multipart/Report;\r\n\tReport-Type=\"Feedback-Report\";\r\n\tboundary=\"b\"",
            "multipart/report; boundary=b; report-type=tlsrpt",
            "MULTIPART/REPORT;report-type=\"tlsrpt\";boundary=b",
            "multipart/report (abuse); report-type=feedback-report; boundary=b",
            "multipart/report; boundary=b",
        ] {
            let raw = format!(
                "From: ann@corp.example\r\nContent-Type: {content_type}\r\n\r\n\
                 --b\r\n\r\nText.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n\
                 Feedback-Type: abuse\r\n\r\n--b--\r\n"
            );
            assert!(is_other(&raw), "{content_type}");
        }
        assert!(!is_other(
            "From: a@b.example\r\nContent-Type: multipart/mixed; report-type=x; boundary=b\r\n\r\n"
        ));
    }

    #[test]
    fn a_mail_server_needs_a_known_subject_and_phrase_only() {
        let form = "Subject: Undeliverable: x\r\n\r\nYour message could not\r\nbe delivered.";
        for (from, reverse_path) in [
            ("MAILER-DAEMON@corp.example", ReversePath::Unknown),
            ("Mail.Delivery-System@corp.example", ReversePath::Unknown),
            ("Postmaster@corp.example", ReversePath::Unknown),
            ("Mail System <>", ReversePath::Unknown),
            ("x@corp.example", ReversePath::Null),
        ] {
            let raw = format!("From: {from}\r\n{form}");
            let report = read(&raw, reverse_path.clone()).expect(&raw);
            assert_eq!(report.kind, ReportKind::Text, "{raw}");
            let exim = "X-Failed-Recipients: a@corp.example\r\nSubject: x\r\n\r\n";
            let raw = format!("From: {from}\r\n{exim}");
            assert!(read(&raw, reverse_path.clone()).is_some(), "{raw}");
            for half in [
                "Subject: Undeliverable: x\r\n\r\nHello",
                "Subject: CRITICAL: mail queue\r\n\r\n12 mails could not be delivered",
                "Subject: Re: Undeliverable: x\r\n\r\nIt could not be delivered",
                "\r\nmailbox full",
            ] {
                let raw = format!("From: {from}\r\n{half}");
                assert_eq!(read(&raw, reverse_path.clone()), None, "{raw}");
            }
        }
    }

    #[test]
    fn names_of_people_are_not_mailers() {
        for local in [
            "ndr",
            "postoffice",
            "mailmaster",
            "mdaemon",
            "system.administrator",
            "systemadministrator",
            "administrator",
            "root",
            "mail",
            "bounces",
            "postmaster.smith",
        ] {
            let raw = format!(
                "From: {local}@corp.example\r\nX-Failed-Recipients: a@corp.example\r\n\
                 Subject: Mail delivery failed\r\n\r\nNo such user, mailbox full, could not be delivered."
            );
            assert_eq!(read(&raw, ReversePath::Unknown), None, "{local}");
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
