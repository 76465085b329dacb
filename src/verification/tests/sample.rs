//! A sample configuration and a sample mail for tests.

use std::path::Path;

use crate::access::{Circumstances, Enforcement};
use crate::config::Config;
use crate::domain::{
    AccountId, EmailAddress, Envelope, LanguagePriority, MailId, PortalName, RequestId,
    ReversePath, Timestamp,
};
use crate::mail::{Authentication, Facts, Fingerprint, Sender};
use crate::store::{Arrival, ArrivalPart, MailCause, MailClaim, MailKind, VerificationMail};

/// Two portals; `verification` is appended to `[verification]`.
pub fn config(verification: &str) -> Config {
    let text = format!(
        r#"
        hostname = "gate.corp.example"
        data_dir = "/nowhere"

        [site]
        name = "Corp Help"
        time_zone = "UTC"

        [http]
        public_url = "https://gate.corp.example"

        [[portal]]
        name = "it"
        title = "IT Help"
        url = "https://desk.corp.example"
        contact = "it-office@corp.example"
        addresses = ["it-help@corp.example"]
        destination = "helpdesk"

        [[portal]]
        name = "hr"
        title = "People & Pay"
        addresses = ["hr@corp.example"]
        destination = "helpdesk"

        [destination.helpdesk]
        type = "maildir"
        path = "/nowhere/maildir"

        [outgoing]
        type = "file"
        dir = "/nowhere/outgoing"

        [access]
        internal.approved_domains = ["corp.example"]
        external.restrict_domains = true
        external.allowed_domains = ["partner.example"]

        [verification]
        from = "Corp Help <no-reply@corp.example>"
        {verification}
        "#
    );
    Config::parse(&text, Path::new("/nowhere/vestibule.toml")).expect("a good configuration")
}

/// Verification mail for a message from Ann to the IT portal.
pub fn verification_mail() -> VerificationMail {
    VerificationMail {
        id: "01J9ZQ4D8N0VXB7T3WKE5M2R6C"
            .parse::<MailId>()
            .expect("an id"),
        kind: MailKind::Verification,
        cause: MailCause::Mail,
        account: AccountId::new(),
        address: EmailAddress::parse("ann@corp.example").expect("an address"),
        portal: Some(PortalName::parse("it").expect("a name")),
        in_reply_to: Some("first@mail.corp.example".to_owned()),
        waiting: 1,
        expires_at: Some(now() + jiff::SignedDuration::from_hours(14 * 24)),
        attempt: 1,
        claim: MailClaim::sample(),
        token: 0,
    }
}

pub fn now() -> Timestamp {
    "2025-03-09T14:05:00Z".parse().expect("an instant")
}

/// Facts of an ordinary message.
pub fn facts(from: &str, subject: &str) -> Facts {
    let mut print = [0; 32];
    print[..16].copy_from_slice(&RequestId::new().to_bytes());
    Facts {
        sender: Sender::Usable {
            address: EmailAddress::parse(from).expect("an address"),
            written: from.to_owned(),
            lookalike: None,
            lenient: false,
        },
        author_behind_list: None,
        from_is_list: false,
        subject: Some(subject.to_owned()),
        message_id: None,
        date: None,
        automatic: None,
        presumed_automatic: None,
        bulk: None,
        list_ids: Vec::new(),
        languages: LanguagePriority::default(),
        report: None,
        own_mark: None,
        spam: None,
        received_fields: 1,
        authentication: Authentication::default(),
        fingerprint: Fingerprint(print),
        size: 100,
        masked_links: 0,
        mbox_line: None,
    }
}

/// Circumstances of a message to the IT portal.
pub fn circumstances() -> Circumstances {
    Circumstances {
        portal: PortalName::parse("it").expect("a name"),
        takes_automatic: false,
        own_list: None,
        sender_is_ours: false,
        enforcement: Enforcement::Off,
    }
}

/// A message from Ann to the IT portal that arrives now.
pub fn arrival(config: &Config) -> Arrival {
    Arrival {
        envelope: Envelope {
            reverse_path: ReversePath::Mailbox("ann@corp.example".to_owned()),
            recipients: Vec::new(),
            helo: "mta.corp.example".to_owned(),
            peer: None,
            client: None,
            tls: false,
            smtputf8: false,
        },
        facts: facts("ann@corp.example", "Printer on fire"),
        raw: b"From: ann@corp.example\r\n\r\nbody\r\n".to_vec(),
        parts: vec![ArrivalPart::Portal {
            recipient: "it-help@corp.example".to_owned(),
            circumstances: circumstances(),
        }],
        received_at: Timestamp::now(),
        quota: config.quota,
        hold_for: config.verification.hold_for,
        keep_dropped: config.dropped.keep_content,
        max_dropped: config.dropped.max_content,
        client: None,
    }
}
