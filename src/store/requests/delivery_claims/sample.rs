//! A claim for tests that need one and no database.

use super::{Claim, Lease};
use crate::domain::{
    AccountId, AccountKind, EmailAddress, Envelope, LedgerId, PortalName, RequestId, ReversePath,
    Timestamp,
};
use crate::mail::Authentication;

impl Claim {
    pub(crate) fn for_testing() -> Self {
        let at = |text: &str| text.parse::<Timestamp>().expect("RFC 3339");
        Self {
            request: RequestId::new(),
            lease: Lease::sample(),
            ledger: LedgerId::new(),
            portal: PortalName::parse("it").expect("a name"),
            account: AccountId::new(),
            address: EmailAddress::parse("ann@corp.example").expect("an address"),
            kind: AccountKind::Internal,
            groups: vec!["staff".to_owned(), "Größe".to_owned()],
            verified: Some(("link".to_owned(), at("2026-11-23T10:05:00Z"))),
            released_by: None,
            sender_named: false,
            envelope: Envelope {
                reverse_path: ReversePath::Mailbox("ann@corp.example".to_owned()),
                recipients: Vec::new(),
                helo: "mta.corp.example".to_owned(),
                peer: Some("192.0.2.7".parse().expect("an address")),
                client: None,
                tls: true,
                smtputf8: false,
            },
            authentication: Authentication::default(),
            authentication_enforced: false,
            recipient: "it-help@corp.example".to_owned(),
            message_id: Some("1@corp.example".to_owned()),
            subject: Some("Printer on fire".to_owned()),
            received_at: at("2026-11-23T10:00:00Z"),
            released_at: at("2026-11-23T10:05:01Z"),
            size: 0,
            attempt: 1,
        }
    }
}
