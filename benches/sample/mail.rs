//! A sample installation to measure: its configuration, and its mail.
//!
//! All of it is the same in every run, so that two runs measure the same work.

use std::path::Path;

use vestibule::access::{Circumstances, Enforcement};
use vestibule::config::Config;
use vestibule::domain::{
    Domain, Envelope, PortalName, Recipient, RecipientRole, ReversePath, Timestamp,
};
use vestibule::mail::{Fingerprint, Identity, read};
use vestibule::store::{Arrival, ArrivalPart};

/// Octets of a message.
pub const SIZE: usize = 5 * 1024;

/// Header fields of mail that passed three servers and a filter.
const TRACE: &str = "Received: from mx.corp.example (mx.corp.example [192.0.2.1])\r\n\
    \tby gate.corp.example with ESMTPS id 4F0Abc; Mon, 23 Nov 2026 09:00:02 +0000\r\n\
    Authentication-Results: mx.corp.example; dkim=pass header.d=corp.example;\r\n\
    \tspf=pass smtp.mailfrom=ann@corp.example; dmarc=pass (p=reject) header.from=corp.example\r\n\
    Received: from out.corp.example (out.corp.example [192.0.2.7])\r\n\
    \tby mx.corp.example with ESMTPS id 4F0Aba; Mon, 23 Nov 2026 09:00:01 +0000\r\n\
    Received: from [198.51.100.4] by out.corp.example; Mon, 23 Nov 2026 09:00:00 +0000\r\n\
    X-Spam-Status: No, score=-2.1 required=5.0 tests=DKIM_VALID,SPF_PASS autolearn=ham\r\n\
    X-Mailer: Mailer 1.0\r\n";

/// The portal `it`; `corp.example` is internal, `partner.example` external, everything else is refused.
pub fn config() -> Config {
    let text = r#"
        hostname = "gate.corp.example"
        data_dir = "/nowhere"

        [http]
        public_url = "https://gate.corp.example"

        [[portal]]
        name = "it"
        title = "IT Help"
        url = "https://desk.corp.example"
        addresses = ["it-help@corp.example"]
        destination = "desk"

        [destination.desk]
        type = "maildir"
        path = "/nowhere/desk"

        [verification]
        from = "IT Help <no-reply@corp.example>"

        [outgoing]
        type = "file"
        dir = "/nowhere/letters"

        [access]
        internal.approved_domains = ["corp.example"]
        external.restrict_domains = true
        external.allowed_domains = ["partner.example"]
    "#;
    Config::parse(text, Path::new("/nowhere/vestibule.toml")).expect("a good configuration")
}

pub fn portal() -> PortalName {
    PortalName::parse("it").expect("a name")
}

pub fn identity() -> Identity {
    Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: Some("mx.corp.example".to_owned()),
        spam: [].into(),
    }
}

pub fn envelope(from: &str) -> Envelope {
    Envelope {
        reverse_path: ReversePath::Mailbox(from.to_owned()),
        recipients: vec![Recipient {
            address: "it-help@corp.example".to_owned(),
            role: RecipientRole::Portal(portal()),
        }],
        helo: "mx.corp.example".to_owned(),
        peer: Some([127, 0, 0, 1].into()),
        client: None,
        tls: false,
        smtputf8: false,
    }
}

/// A message of 5 KiB; `fields` end in CRLF.
pub fn message(from: &str, fields: &str) -> Vec<u8> {
    let mut raw = format!(
        "{TRACE}From: Bob Brown <{from}>\r\nTo: it-help@corp.example\r\n\
         Subject: =?utf-8?q?Der_Drucker_l=C3=A4uft_=C3=BCber?=\r\n\
         Date: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@mail.example>\r\n{fields}\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    );
    while raw.len() < SIZE {
        raw.push_str("The printer on the third floor is on fire, and so is the fax.\r\n");
    }
    raw.into_bytes()
}

pub fn circumstances() -> Circumstances {
    Circumstances {
        portal: portal(),
        takes_automatic: false,
        own_list: None,
        sender_is_ours: false,
        enforcement: Enforcement::Report,
    }
}

/// Makes any number of different messages of one sender at low cost.
pub struct Sender {
    arrival: Arrival,
    raw: Vec<u8>,
    sent: u64,
}

impl Sender {
    pub fn new(config: &Config, from: &str) -> Self {
        let raw = message(from, "");
        let arrival = Arrival {
            envelope: envelope(from),
            facts: read(&raw, &envelope(from), &identity()),
            raw: Vec::new(),
            parts: Vec::new(),
            received_at: Timestamp::now(),
            quota: config.quota,
            hold_for: config.verification.hold_for,
            keep_dropped: config.dropped.keep_content,
            max_dropped: config.dropped.max_content,
            client: None,
        };
        Self {
            arrival,
            raw,
            sent: 0,
        }
    }

    pub fn next(&mut self) -> Arrival {
        self.sent += 1;
        let mut facts = self.arrival.facts.clone();
        let from = facts.sender.addr_spec().unwrap_or_default();
        facts.message_id = Some(format!("{}.{from}", self.sent));
        let mut print = [0; 32];
        print[..8].copy_from_slice(&self.sent.to_le_bytes());
        facts.fingerprint = Fingerprint(print);
        Arrival {
            envelope: self.arrival.envelope.clone(),
            facts,
            raw: self.raw.clone(),
            parts: vec![ArrivalPart::Portal {
                recipient: "it-help@corp.example".to_owned(),
                circumstances: circumstances(),
            }],
            ..self.arrival
        }
    }
}
