//! Mail that arrives without SMTP: the values that `intake` would pass to the store.

use std::net::{IpAddr, Ipv4Addr};

use vestibule::access::{Circumstances, Enforcement};
use vestibule::config::Config;
use vestibule::domain::{
    EmailAddress, Envelope, LanguagePriority, PortalName, Recipient, RecipientRole, ReversePath,
    Timestamp,
};
use vestibule::intake::circumstances;
use vestibule::mail::{self, Authentication, Facts, Fingerprint, Identity, Sender};
use vestibule::store::{Arrival, ArrivalPart};

/// The address of a portal of the tests.
pub fn address_of(portal: &str) -> String {
    format!("{portal}-help@corp.example")
}

/// An envelope from a peer on this machine; an empty `from` is the null reverse-path.
pub fn envelope(from: &str, portals: &[&str]) -> Envelope {
    let recipient = |portal: &&str| Recipient {
        address: address_of(portal),
        role: RecipientRole::Portal(PortalName::parse(portal).expect("a name")),
    };
    Envelope {
        reverse_path: match from {
            "" => ReversePath::Null,
            mailbox => ReversePath::Mailbox(mailbox.to_owned()),
        },
        recipients: portals.iter().map(recipient).collect(),
        helo: "mta.corp.example".to_owned(),
        peer: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        client: None,
        tls: false,
        smtputf8: false,
    }
}

/// Facts of a plain message with this sender.
pub fn facts(from: &str, message_id: &str) -> Facts {
    Facts {
        sender: Sender::Usable {
            address: EmailAddress::parse(from).expect(from),
            written: from.to_owned(),
            lookalike: None,
            lenient: false,
        },
        author_behind_list: None,
        from_is_list: false,
        subject: Some("The printer".to_owned()),
        message_id: Some(message_id.to_owned()),
        date: None,
        automatic: None,
        presumed_automatic: None,
        bulk: None,
        list_ids: Vec::new(),
        languages: LanguagePriority::default(),
        report: None,
        own_mark: None,
        spam: None,
        received_fields: 2,
        masked_links: 0,
        mbox_line: None,
        authentication: Authentication::default(),
        fingerprint: Fingerprint([7; 32]),
        size: 5000,
    }
}

/// Circumstances of a portal without any special setting.
pub fn plain_circumstances(portal: &str) -> Circumstances {
    Circumstances {
        portal: PortalName::parse(portal).expect("a name"),
        takes_automatic: false,
        own_list: None,
        sender_is_ours: false,
        enforcement: Enforcement::Report,
    }
}

/// A message for one portal with this sender in its envelope, parsed, with the limits of the configuration.
pub fn arrival(
    config: &Config,
    from: &str,
    portal: &str,
    raw: &str,
    received_at: Timestamp,
) -> Arrival {
    let name = PortalName::parse(portal).expect("a name");
    let envelope = envelope(from, &[portal]);
    let own = Identity {
        hostname: config.hostname.clone(),
        authserv_id: None,
        spam: [].into(),
    };
    let facts = mail::read(raw.as_bytes(), &envelope, &own);
    let part = ArrivalPart::Portal {
        recipient: address_of(portal),
        circumstances: circumstances(config, &name, &facts),
    };
    Arrival {
        envelope,
        facts,
        raw: raw.as_bytes().to_vec(),
        parts: vec![part],
        received_at,
        quota: config.quota,
        hold_for: config.verification.hold_for,
        keep_dropped: config.dropped.keep_content,
        max_dropped: config.dropped.max_content,
        client: None,
    }
}
