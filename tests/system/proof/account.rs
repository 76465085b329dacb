//! Account of every message, from the records of the MTA, the people and the help desks, and from the
//! database.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use vestibule::domain::LedgerId;

use super::help_desk::{Copy, HelpDesk};
use super::load::{Book, Fate, message, portals, recipient, sender};
use crate::support::harness::{Harness, wait_for};

/// The ledger's record of a message for one portal.
struct Entry {
    id: String,
    verdict: String,
    repeats: bool,
    state: Option<String>,
}

/// Totals of the account; for `docs/reliability.md`.
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
    wait_for("all deliveries", || {
        let waiting = count(
            harness,
            "SELECT count(*) FROM request WHERE state = 'released'",
        );
        (waiting == 0).then_some(())
    });
    let entries = entries(harness);
    let mut copies = help_desk.copies();
    for file in harness.files("desk/new") {
        let (marker, copy) = in_maildir(&file);
        copies.entry(format!("{marker} hr")).or_default().push(copy);
    }
    let active = addresses(harness, "SELECT key FROM account WHERE status = 'active'");
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
                    "{marker}: a repeat under another id"
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
    account.verification_mails = verification_mails(harness);
    let doctor = harness.command(&["doctor", "--offline", "--json"]).output();
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
            "{marker}: a repeat has its own verdict"
        );
        assert!(
            !entry.repeats || entry.state.is_none(),
            "{marker}: a repeat has a request"
        );
    }
    let is_waiting = Fate::of(marker) == Fate::Waits;
    assert!(
        !(is_waiting && is_active),
        "{marker}: active without a proof"
    );
}

/// At most one verification mail for each address: the limit is one an hour.
fn verification_mails(harness: &Harness) -> usize {
    let mut sent: HashMap<String, usize> = HashMap::new();
    for verification_mail in harness.verification_mails() {
        *sent.entry(recipient(&verification_mail)).or_default() += 1;
    }
    for (address, count) in &sent {
        assert_eq!(*count, 1, "{address} got {count} letters within an hour");
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

pub fn database(harness: &Harness) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(harness.path("data/vestibule.db"), flags)
        .expect("the database");
    database
        .busy_timeout(std::time::Duration::from_secs(30))
        .expect("a setting");
    database
}

pub fn count(harness: &Harness, sql: &str) -> i64 {
    database(harness)
        .query_row(sql, [], |row| row.get(0))
        .expect("a number")
}

fn addresses(harness: &Harness, sql: &str) -> BTreeSet<String> {
    let database = database(harness);
    let mut statement = database.prepare(sql).expect("SQL");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("a text")).collect()
}

/// The ledger, by marker and portal.
fn entries(harness: &Harness) -> BTreeMap<(String, String), Vec<Entry>> {
    let database = database(harness);
    let mut statement = database
        .prepare(
            "SELECT l.id, l.verdict, l.original IS NOT NULL, r.state, l.portal,
                 json_extract(l.facts, '$.message_id')
             FROM ledger AS l LEFT JOIN request AS r ON r.ledger = l.n",
        )
        .expect("SQL");
    let mut entries: BTreeMap<_, Vec<Entry>> = BTreeMap::new();
    let rows = statement
        .query_map([], |row| {
            let id: [u8; 16] = row.get(0)?;
            let entry = Entry {
                id: LedgerId::from_bytes(id).to_string(),
                verdict: row.get(1)?,
                repeats: row.get(2)?,
                state: row.get(3)?,
            };
            let message_id: String = row.get(5)?;
            let marker = message_id.trim_end_matches("@client.example").to_owned();
            Ok(((marker, row.get(4)?), entry))
        })
        .expect("rows");
    for row in rows {
        let (key, entry) = row.expect("a row");
        entries.entry(key).or_default().push(entry);
    }
    entries
}
