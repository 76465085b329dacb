//! Secrets that the log must never hold, at its most verbose level.

use std::fs;

use crate::support::client::{Smtp, http, message};
use crate::support::harness::{Harness, STANDARD, Signal, wait_for};

/// Secret words in the subject, the body, the display name and a field that is evidence.
const MARKS: [&str; 4] = [
    "subject-xylophone",
    "body-xylophone",
    "name-xylophone",
    "auto-xylophone",
];

fn marked(from: &str, id: &str, fields: &str) -> Vec<u8> {
    format!(
        "From: {} <{from}>\r\nTo: it-help@corp.example\r\nSubject: {}\r\nMessage-ID: <{id}@x>\r\n\
         {fields}\r\nThis is {}.\r\n",
        MARKS[2], MARKS[0], MARKS[1]
    )
    .into_bytes()
}

#[test]
fn no_token_subject_or_body_gets_into_the_log_at_any_level() {
    for format in ["text", "json"] {
        let configuration =
            format!("{STANDARD}\n[log]\nlevel = \"trace\"\nformat = \"{format}\"\n");
        let harness = Harness::start(&configuration);
        let mut smtp = Smtp::connect(harness.smtp).expect("a greeting");
        for (from, fields) in [
            ("ann@corp.example", ""),
            ("bob@partner.example", ""),
            ("eve@stranger.example", ""),
            ("zoe@corp.example", "Auto-Submitted: auto-xylophone\r\n"),
        ] {
            let id = from.replace('@', ".");
            let reply = smtp.send(from, "it-help@corp.example", &marked(from, &id, fields));
            assert!(reply.expect("a reply").starts_with("250"));
        }
        // Refused: a bare LF, a recipient, a wrong order of commands.
        let refused = Smtp::connect(harness.smtp).and_then(|mut smtp| {
            smtp.send(
                "x@y.example",
                "nobody@corp.example",
                &message("x@y.example", "m"),
            )
        });
        assert!(refused.expect("a reply").starts_with("550"));
        let bare =
            b"From: ann@corp.example\r\nSubject: subject-xylophone\r\n\r\nbody-xylophone\nx\r\n";
        let refused = Smtp::connect(harness.smtp)
            .and_then(|mut smtp| smtp.send("ann@corp.example", "it-help@corp.example", bare));
        assert!(refused.expect("a reply").starts_with("550"));

        let link = harness.link_for("ann@corp.example");
        let token = link.strip_prefix("/verify/").expect("a link").to_owned();
        for (method, path, form) in [
            ("HEAD", link.as_str(), &[][..]),
            ("GET", &link, &[]),
            ("GET", &format!("{link}x"), &[]),
            ("POST", &link, &[("action", "nonsense")]),
            ("POST", &link, &[("action", "confirm")]),
            ("POST", &link, &[("action", "not-me")]),
            ("GET", &link, &[]),
        ] {
            http(harness.http, method, path, form);
        }
        wait_for("both deliveries", || {
            (harness.delivered().len() == 2).then_some(())
        });
        let mut harness = harness;
        harness.signal(Signal::TERM);
        assert_eq!(harness.exit_status(), Some(0));

        let log = harness.log();
        for event in [
            "message.held",
            "message.dropped",
            "smtp.rejected",
            "account.verified",
        ] {
            assert!(log.contains(event), "{format}: no {event} in {log}");
        }
        for mark in MARKS.iter().copied().chain([token.as_str(), &token[..16]]) {
            let leak = log.lines().find(|line| line.contains(mark));
            assert_eq!(leak, None, "{format}: {mark}");
        }
        // The database does not hold the token, either: it is in the mail only.
        for name in ["vestibule.db", "vestibule.db-wal"] {
            let octets = fs::read(harness.path("data").join(name)).unwrap_or_default();
            let there = octets
                .windows(token.len())
                .any(|part| part == token.as_bytes());
            assert!(!there, "{name} has the token");
        }
    }
}
