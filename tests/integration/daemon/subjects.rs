//! The subject as its sender wrote it, at every place where a person reads it.

use crate::support::client::{Smtp, http};
use crate::support::harness::{Harness, STANDARD};

/// The raw field, the charset of the body, and the text.
const SUBJECTS: &[(&[u8], &str, &str)] = &[
    (
        b"=?utf-8?B?RHJ1Y2tlciDwn5Y=?=\r\n =?utf-8?B?qO+4jyBicmVubnQ=?=",
        "utf-8",
        "Drucker \u{1F5A8}\u{FE0F} brennt",
    ),
    (
        b"=?iso-2022-jp?B?GyRCJVclaiVzGyhC?= =?iso-2022-jp?B?GyRCJT8hPBsoQg==?=",
        "utf-8",
        "プリンター",
    ),
    (b"Stra\xDFe gesperrt", "iso-8859-1", "Straße gesperrt"),
    (
        b"\xCF\xF0\xE8\xED\xF2\xE5\xF0 <b>",
        "windows-1251",
        "Принтер <b>",
    ),
];

#[test]
fn a_subject_is_read_as_it_was_written_and_shown_everywhere() {
    let harness = Harness::start(STANDARD);
    for (number, (field, charset, text)) in SUBJECTS.iter().enumerate() {
        let sender = format!("person{number}@corp.example");
        let mut message =
            format!("From: {sender}\r\nTo: it-help@corp.example\r\nSubject: ").into_bytes();
        message.extend_from_slice(field);
        message.extend_from_slice(
            format!(
                "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\n\r\nHelp!\r\n"
            )
            .as_bytes(),
        );
        let reply = Smtp::connect(harness.smtp)
            .and_then(|mut client| client.send(&sender, "it-help@corp.example", &message))
            .expect("the daemon answers");
        let ledger = reply.trim().rsplit(' ').next().expect("an id");

        let (_, page) = http(harness.http, "GET", &harness.link_for(&sender), &[]);
        let escaped = text.replace('<', "&lt;").replace('>', "&gt;");
        assert!(page.contains(&escaped), "{text}: {page}");
        let shown = &harness.json(&["requests", "show", ledger])[0];
        assert_eq!(shown["subject"], *text);
        let entries = harness.json(&["explain", ledger]);
        assert_eq!(entries[0]["facts"]["subject"], *text, "{entries:?}");
    }
}
