//! `authentication.mode = "enforce"`, from the message to the ledger, with a From that was rewritten by a
//! mailing list or by an impostor of one.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use vestibule::config::Config;
use vestibule::domain::{EmailAddress, PortalName, Reason, Recipient, RecipientRole, Timestamp};
use vestibule::intake::Intake;
use vestibule::smtp::{DataOutcome, MessageHandler};
use vestibule::store::{LedgerEntry, Store};
use vestibule::verification::ConfirmingWords;

use super::harness::{CLIENT, Harness, envelope};

const CONFIG: &str = r#"
hostname = "gate.corp.example"

[[portal]]
name = "it"
addresses = ["it-help@corp.example"]
destination = "helpdesk"
list_ids = ["it-help.groups.corp.example"]

[destination.helpdesk]
type = "maildir"
path = "/nowhere/maildir"

[verification]
from = "IT Help <no-reply@corp.example>"

[outgoing]
type = "file"
dir = "/nowhere/outgoing"

[authentication]
mode = "enforce"

[access]
internal.approved_domains = ["corp.example"]
"#;

/// Each domain permits the client, and asks to reject other clients.
fn zone() -> String {
    ["corp.example", "groups.corp.example", "evil.example"]
        .map(|domain| {
            format!(
                "_dmarc.{domain} TXT v=DMARC1; p=reject\n{domain} TXT v=spf1 ip4:{CLIENT} -all\n"
            )
        })
        .concat()
}

/// Accepts a message with these fields.
async fn decided(mail_from: &str, fields: &str) -> LedgerEntry {
    let harness = Harness::new(&zone()).await;
    let config = Config::parse(CONFIG, Path::new("/nowhere/vestibule.toml")).expect("good");
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("vestibule.db")).expect("a store");
    let seeded = store.seed_access(config.access.clone(), Timestamp::now());
    assert!(seeded.await.expect("settings"));
    let (_config, config) = watch::channel(Arc::new(config));
    let (_checker, checker) = watch::channel(Some(harness.checker.clone()));
    let raw = format!(
        "Received: from mail.sender.example (mail.sender.example [{CLIENT}])\r\n\
         \tby mx.corp.example (Postfix) with ESMTPS id 4F1;\r\n\
         \tMon, 23 Nov 2026 10:00:00 +0000\r\n\
         {fields}List-Id: <it-help.groups.corp.example>\r\n\
         To: it-help@corp.example\r\nSubject: My screen is dark\r\n\r\nIt was bright.\r\n"
    );
    let mut envelope = envelope(mail_from);
    envelope.recipients = vec![Recipient {
        address: "it-help@corp.example".to_owned(),
        role: RecipientRole::Portal(PortalName::parse("it").expect("a name")),
    }];
    let intake = Intake::new(config, checker, store.clone(), ConfirmingWords::default());
    let receipt = intake.receive(envelope, raw.into_bytes()).await;
    let DataOutcome::Stored(id) = receipt else {
        panic!("{receipt:?}")
    };
    let entry = store.ledger_entry(id).await.expect("read");
    entry.expect("an entry")
}

const REWRITTEN: &str = "From: Ann via IT Help <it-help@groups.corp.example>\r\n\
                         X-Original-From: ann@corp.example\r\n";

#[tokio::test]
async fn after_a_list_that_vouches_the_author_is_the_sender() {
    let entry = decided("it-help@groups.corp.example", REWRITTEN).await;
    assert_eq!(entry.reason, Reason::InternalAccountCreated);
    let ann = EmailAddress::parse("ann@corp.example").expect("an address");
    assert_eq!(entry.sender, Some(ann));
}

#[tokio::test]
async fn a_message_that_the_domain_of_the_list_disowns_is_dropped() {
    let entry = decided("x@evil.example", REWRITTEN).await;
    assert_eq!(entry.reason, Reason::AuthenticationFailed);
}

#[tokio::test]
async fn an_impostor_of_the_list_cannot_name_the_author() {
    for author in ["X-Original-From", "Reply-To"] {
        let fields = format!(
            "From: x@evil.example\r\n{author}: ann@corp.example\r\n\
             List-Post: <mailto:x@evil.example>\r\n"
        );
        let entry = decided("x@evil.example", &fields).await;
        assert_eq!(entry.reason, Reason::SenderUnusable, "{author}");
        assert_eq!(entry.sender, None, "{author}");
    }
}
