//! A configuration and a letter that tests begin with.

use std::path::Path;

use crate::config::Config;
use crate::domain::{AccountId, EmailAddress, LetterId, PortalName, Timestamp};
use crate::store::{Letter, LetterCause, LetterKind};

/// Two portals; `verification` is appended to `[verification]`.
pub fn config(verification: &str) -> Config {
    let text = format!(
        r#"
        hostname = "gate.corp.example"
        data_dir = "/nowhere"

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

        [verification]
        from = "Corp Help <no-reply@corp.example>"
        {verification}
        "#
    );
    Config::parse(&text, Path::new("/nowhere/vestibule.toml")).expect("a good configuration")
}

/// Of a message that Ann wrote to the IT portal.
pub fn letter() -> Letter {
    Letter {
        id: "01J9ZQ4D8N0VXB7T3WKE5M2R6C"
            .parse::<LetterId>()
            .expect("an id"),
        kind: LetterKind::Verification,
        cause: LetterCause::Mail,
        account: AccountId::new(),
        address: EmailAddress::parse("ann@corp.example").expect("an address"),
        portal: Some(PortalName::parse("it").expect("a name")),
        in_reply_to: Some("first@mail.corp.example".to_owned()),
        waiting: 1,
        expires_at: Some(now() + jiff::SignedDuration::from_hours(14 * 24)),
        attempt: 1,
        token: 0,
    }
}

pub fn now() -> Timestamp {
    "2025-03-09T14:05:00Z".parse().expect("an instant")
}
