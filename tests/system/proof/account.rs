//! Accounting for every message, from the records of the MTA, the people and the help desks, and from the database.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::help_desk::{Copy, HelpDesk};
use super::load::{Book, Fate, message, portals, recipient, sender};
use super::rows::Rows;
use crate::support::harness::{Harness, wait_for};

/// The ledger's record of a message for one portal.
struct Entry {
    id: String,
    verdict: String,
    repeats: bool,
    state: Option<String>,
}

/// Totals, for `docs/reliability.md`.
#[derive(Debug, Default)]
pub struct Account {
    pub messages: usize,
    pub acknowledgements: usize,
    pub delivered: usize,
    /// Copies of a request beyond the first.
    pub repeats: usize,
    pub held: usize,
    pub verification_mails: usize,
}

/// Waits until all deliveries have ended, and checks everything.
///
/// # Panics
/// If anything is inconsistent.
pub fn settle(harness: &Harness, book: &Book, help_desk: &HelpDesk) -> Account {
    settle_all(
        std::slice::from_ref(harness),
        &Rows::of(harness),
        book,
        help_desk,
    )
}

/// Like [`settle`], for several daemons that share a store.
///
/// # Panics
/// If anything is inconsistent.
pub fn settle_all(nodes: &[Harness], rows: &Rows, book: &Book, help_desk: &HelpDesk) -> Account {
    wait_for("all deliveries", || {
        let waiting = rows.number("SELECT count(*) FROM request WHERE state = 'released'");
        (waiting == 0).then_some(())
    });
    let entries = entries(rows);
    let mut copies = help_desk.copies();
    for file in nodes.iter().flat_map(|node| node.files("desk/new")) {
        let (marker, copy) = in_maildir(&file);
        copies.entry(format!("{marker} hr")).or_default().push(copy);
    }
    let active = rows.ask("SELECT key FROM account WHERE status = 'active'");
    let active: BTreeSet<_> = active.into_iter().flatten().collect();
    let mut account = Account::default();
    let sent = book.sent();
    for (marker, ids) in &sent {
        account.messages += 1;
        account.acknowledgements += ids.len();
        assert!(!ids.is_empty(), "{marker} was never acknowledged");
        for portal in portals(marker) {
            let entries = entries
                .get(&(marker.clone(), (*portal).to_owned()))
                .unwrap_or_else(|| panic!("{marker} for {portal} was acknowledged and is lost"));
            judge(marker, entries, &active);
            let first = first(marker, entries);
            let key = match *portal {
                "it" => marker.clone(),
                _ => format!("{marker} hr"),
            };
            let copies = copies.remove(&key).unwrap_or_default();
            match first.state.as_deref() {
                Some("delivered") => {
                    account.delivered += 1;
                    account.repeats += copies.len() - 1;
                    assert!(
                        !copies.is_empty(),
                        "{marker} was released and not handed over"
                    );
                }
                Some("held") => {
                    account.held += 1;
                    assert!(copies.is_empty(), "{marker} is held and was handed over");
                }
                None => assert!(copies.is_empty(), "{marker} was dropped and handed over"),
                Some(other) => panic!("{marker} is {other}"),
            }
            for copy in copies {
                assert_eq!(
                    copy.request, first.id,
                    "{marker}: delivered again under another id"
                );
                assert_eq!(
                    copy.print,
                    Copy::print_of(&message(marker)),
                    "{marker} was changed"
                );
            }
        }
        let known: BTreeSet<_> = portals(marker)
            .iter()
            .flat_map(|portal| &entries[&(marker.clone(), (*portal).to_owned())])
            .map(|entry| &entry.id)
            .collect();
        for id in ids {
            assert!(
                known.contains(id),
                "{marker}: no entry has the id {id} of its 250"
            );
        }
        let distinct: BTreeSet<_> = ids.iter().collect();
        assert_eq!(
            distinct.len(),
            ids.len(),
            "{marker}: an id for two messages"
        );
    }
    assert!(
        copies.is_empty(),
        "handed over and never sent: {:?}",
        copies.keys()
    );
    let known: BTreeSet<_> = sent.keys().collect();
    for (marker, _) in entries.keys() {
        assert!(
            known.contains(marker),
            "{marker} is in the ledger and was never sent"
        );
    }
    for address in book.confirmed() {
        assert!(
            active.contains(&address),
            "{address} confirmed, and it is forgotten"
        );
    }
    account.verification_mails = verification_mails(nodes);
    let doctor = nodes[0]
        .command(&["doctor", "--offline", "--json"])
        .output();
    let findings = String::from_utf8(doctor.expect("it runs").stdout).expect("UTF-8");
    for check in ["database", "ledger"] {
        let is_well = |line: &str| line.contains(&format!("{check:?}")) && line.contains("\"ok\"");
        assert!(findings.lines().any(is_well), "{check}: {findings}");
    }
    account
}

/// The one entry that is not a duplicate. A dropped message that arrives again is decided again.
fn first<'e>(marker: &str, entries: &'e [Entry]) -> &'e Entry {
    let mut originals = entries.iter().filter(|entry| !entry.repeats);
    let first = originals.next().expect("an original");
    assert!(
        originals.next().is_none() || Fate::of(marker) == Fate::Dropped,
        "{marker} was recorded as two messages"
    );
    first
}

/// Checks that the verdict is that of the message's fate, and that the state follows from the verification.
fn judge(marker: &str, entries: &[Entry], active: &BTreeSet<String>) {
    let first = first(marker, entries);
    let is_active = active.contains(&sender(marker));
    let (verdicts, state): (&[&str], _) = match Fate::of(marker) {
        Fate::Passes => (&["accepted"], Some("delivered")),
        Fate::Proves if is_active => (&["held", "accepted"], Some("delivered")),
        Fate::Waits | Fate::Proves => (&["held"], Some("held")),
        Fate::Dropped => (&["dropped"], None),
    };
    assert!(
        verdicts.contains(&first.verdict.as_str()),
        "{marker}: {}",
        first.verdict
    );
    assert_eq!(first.state.as_deref(), state, "{marker}");
    for entry in entries {
        assert_eq!(
            entry.verdict, first.verdict,
            "{marker}: a copy has another verdict"
        );
        assert!(
            !entry.repeats || entry.state.is_none(),
            "{marker}: a copy has a request"
        );
    }
    let is_waiting = Fate::of(marker) == Fate::Waits;
    assert!(
        !(is_waiting && is_active),
        "{marker}: active without verification"
    );
}

/// At most one verification mail for each address: the limit is one an hour.
fn verification_mails(nodes: &[Harness]) -> usize {
    let mut sent: HashMap<String, usize> = HashMap::new();
    for verification_mail in nodes.iter().flat_map(Harness::verification_mails) {
        *sent.entry(recipient(&verification_mail)).or_default() += 1;
    }
    for (address, count) in &sent {
        assert_eq!(
            *count, 1,
            "{address} got {count} verification mails within an hour"
        );
        assert!(
            address.ends_with("@corp.example"),
            "nobody wrote as {address}"
        );
    }
    sent.len()
}

fn in_maildir(file: &Path) -> (String, Copy) {
    let bytes = fs::read(file).expect("a message");
    Copy::read(&bytes)
}

/// The ledger, by marker and portal.
fn entries(rows: &Rows) -> BTreeMap<(String, String), Vec<Entry>> {
    let sql = "SELECT l.id, l.verdict, l.original, r.state, l.portal, l.facts
         FROM ledger AS l LEFT JOIN request AS r ON r.ledger = l.n";
    let mut entries: BTreeMap<_, Vec<Entry>> = BTreeMap::new();
    for row in rows.ask(sql) {
        let [id, verdict, original, state, portal, facts] =
            <[String; 6]>::try_from(row).expect("six columns");
        let facts: Value = serde_json::from_str(&facts).expect("JSON");
        let message_id = facts["message_id"].as_str().expect("a Message-ID");
        let marker = message_id.trim_end_matches("@client.example").to_owned();
        entries.entry((marker, portal)).or_default().push(Entry {
            id: super::rows::ledger_id(&id).to_string(),
            verdict,
            repeats: !original.is_empty(),
            state: Some(state).filter(|state| !state.is_empty()),
        });
    }
    entries
}
