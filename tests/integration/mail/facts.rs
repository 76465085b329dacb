//! The messages of `testdata/mail` and their expected results: the facts, and, for the portal `it` under
//! `access.toml` without an account, the verdict.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vestibule::access::{
    AccessSettings, Circumstances, DecisionInput, Enforcement, Standing, decide, sender_for,
};
use vestibule::domain::{Domain, Envelope, PortalName, Recipient, RecipientRole};
use vestibule::mail::{self, Facts, Identity};

const PORTAL_ADDRESS: &str = "it-help@corp.example";
const PORTAL_LISTS: [&str; 2] = ["it-help.groups.corp.example", "it.lists.corp.example"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mail")
}

fn identity() -> Identity {
    Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: Some("mx.corp.example".to_owned()),
        spam: [].into(),
    }
}

/// The envelope that `replay` uses: to the portal, from the address of Return-Path.
fn envelope(raw: &[u8]) -> Envelope {
    let mut envelope = Envelope::of_file(mail::read_recorded(raw).reverse_path);
    envelope.recipients.push(Recipient {
        address: PORTAL_ADDRESS.to_owned(),
        role: RecipientRole::Portal(PortalName::parse("it").expect("a name")),
    });
    envelope
}

fn read(name: &str) -> Facts {
    let raw = std::fs::read(folder().join(name)).expect(name);
    mail::read(&raw, &envelope(&raw), &identity())
}

fn expectations() -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join("expected.jsonl")).expect("expected.jsonl");
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

/// All values that an expectation may name.
fn result(facts: &Facts, settings: &AccessSettings) -> Value {
    let portal = PortalName::parse("it").expect("a name");
    let own_list = facts
        .list_ids
        .iter()
        .find(|id| PORTAL_LISTS.contains(&id.as_str()));
    let sender = sender_for(facts, own_list.map(String::as_str));
    let ours = sender
        .address()
        .is_some_and(|address| address.without_detail().key() == PORTAL_ADDRESS);
    let decision = decide(&DecisionInput {
        facts,
        circumstances: &Circumstances {
            portal: portal.clone(),
            takes_automatic: false,
            own_list: own_list.cloned(),
            sender_is_ours: ours,
            enforcement: Enforcement::Report,
        },
        standing: &Standing::default(),
        settings: &settings.effective(Some(&portal)),
    });
    let account = decision.consequence.new_account();
    json!({
        "portal": "it",
        "from": sender.addr_spec(),
        "subject": facts.subject,
        "message_id": facts.message_id,
        "class": facts.class(),
        "verdict": decision.verdict,
        "reason": decision.reason,
        "rule": decision.rule,
        "account": account.map(|account| account.kind),
    })
}

#[test]
fn every_message_is_read_and_decided_as_expected() {
    let text = std::fs::read_to_string(folder().join("access.toml")).expect("access.toml");
    let settings: AccessSettings = toml::from_str(&text).expect("access settings");
    let mut differences = Vec::new();
    for expected in expectations() {
        let file = expected["file"].as_str().expect("a file name");
        let found = result(&read(file), &settings);
        for (field, value) in expected.as_object().expect("an object") {
            if field != "file" && found[field] != *value {
                differences.push(format!(
                    "{file} {field}: {value} expected, {}",
                    found[field]
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn messages_and_expectations_are_the_same_set() {
    let expected: BTreeSet<String> = expectations()
        .iter()
        .map(|line| line["file"].as_str().expect("a file name").to_owned())
        .collect();
    assert_eq!(
        expected.len(),
        expectations().len(),
        "a file is listed twice"
    );
    let messages: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("UTF-8"))
        .filter(|name| Path::new(name).extension().is_some_and(|e| e == "eml"))
        .collect();
    assert_eq!(messages, expected);
}

#[test]
fn the_messages_kept_their_line_ends() {
    for expected in expectations() {
        let file = expected["file"].as_str().expect("a file name");
        let raw = std::fs::read(folder().join(file)).expect(file);
        let bare = raw
            .split(|&b| b == b'\n')
            .rev()
            .skip(1)
            .any(|line| !line.ends_with(b"\r"));
        assert!(!bare, "{file} has a bare LF");
    }
}

#[test]
fn the_same_message_by_another_way_has_the_same_fingerprint() {
    let one = |word: &str| {
        let name = expectations()
            .iter()
            .filter_map(|line| line["file"].as_str().map(str::to_owned))
            .find(|name| name.ends_with(word))
            .expect(word);
        read(&name)
    };
    let (first, second) = (one("-twin-one.eml"), one("-twin-two.eml"));
    assert_ne!(first.size, second.size);
    assert_eq!(first.message_id, second.message_id);
    assert_eq!(first.fingerprint, second.fingerprint);
    assert_ne!(first.fingerprint, one("-plain.eml").fingerprint);
}
