use std::path::Path;

use super::*;
use crate::domain::{LedgerId, PortalName, Reason, Verdict};
use crate::store::sql::sql_types::Millis;
use crate::store::sqlite::connection;
use crate::store::sqlite::session::SqliteSession;
use crate::store::upkeep::invariants;

fn open(folder: &Path) -> SqliteSession {
    let path = folder.join("vestibule.db");
    connection::create(&path).expect("a file");
    connection::migrate(&path).expect("a schema");
    SqliteSession::writing(&path).expect("a database")
}

/// Inserts an entry, and does not count it.
fn insert(tx: &Tx, n: i64, entry: &CountedEntry<'_>) {
    // Only a duplicate has an original.
    let original = (entry.reason == Reason::Duplicate).then_some(n);
    tx.run(
        "INSERT INTO ledger (n, id, received_at, portal, recipient, verdict, rule, revision,
             domain, original, copy_key, facts, envelope, standing)
         VALUES (?, ?, ?, ?, 'it@corp.example', ?, ?, 1, ?, ?, 0, '{}', '{}', '{}')",
        &[
            &n,
            &LedgerId::new(),
            &entry.received_at,
            &entry.portal,
            &entry.verdict,
            &entry.reason,
            &entry.domain,
            &original,
        ],
    )
    .expect("an entry");
}

/// The violated invariants about counts.
fn wrong_counts(tx: &Tx) -> Vec<&'static str> {
    let violations = invariants::check(tx).expect("checked").into_iter();
    let mut names: Vec<_> = violations
        .map(|violation| violation.invariant)
        .filter(|name| name.starts_with("the counts of "))
        .collect();
    names.dedup();
    names
}

fn rows(tx: &Tx) -> (i64, i64) {
    let sql = "SELECT (SELECT count(*) FROM day_count), (SELECT count(*) FROM shut_out)";
    tx.one(sql, &[]).expect("counted")
}

#[test]
fn counts_are_correct_for_new_changed_and_deleted_entries() {
    let folder = tempfile::tempdir().expect("a folder");
    let tx: &Tx = &open(folder.path());
    let portal = PortalName::parse("it").expect("a name");
    let mut n = 0;
    for reason in Reason::ALL.iter().copied() {
        for portal in [None, Some(&portal)] {
            for domain in [None, Some("shop.example"), Some("corp.example")] {
                for at in [0, Millis::DAY - 1, Millis::DAY] {
                    let entry = CountedEntry {
                        received_at: Millis(at),
                        portal,
                        verdict: Verdict::Dropped,
                        reason,
                        domain,
                    };
                    n += 1;
                    insert(tx, n, &entry);
                    tx.count_entry(&entry).expect("counted");
                }
            }
        }
    }
    assert_eq!(wrong_counts(tx), [""; 0]);
    let reasons = i64::try_from(Reason::ALL.len()).expect("a number");
    // Two days: with each reason at each portal, and of each domain.
    assert_eq!(rows(tx), (2 * reasons * 2, 2 * 2));

    // 12 is the code of `Reason::ExternalAccountsDisabled`.
    let change = "UPDATE ledger SET received_at = received_at + 86400000, portal = 'hr', rule = 12
         WHERE n % 2 = 0 AND original IS NULL";
    assert!(tx.run(change, &[]).expect("changed") > 0);
    assert_eq!(wrong_counts(tx), [""; 0]);

    tx.run("DELETE FROM ledger", &[]).expect("deleted");
    assert_eq!(rows(tx), (0, 0));
}

#[test]
fn an_entry_that_is_not_counted_violates_the_invariants() {
    let folder = tempfile::tempdir().expect("a folder");
    let tx: &Tx = &open(folder.path());
    let entry = CountedEntry {
        received_at: Millis(0),
        portal: None,
        verdict: Verdict::Dropped,
        reason: Reason::DomainNotAllowed,
        domain: Some("shop.example"),
    };
    insert(tx, 1, &entry);
    assert_eq!(
        wrong_counts(tx),
        [
            "the counts of entries by day are correct",
            "the counts of messages that the access settings dropped, by domain, are correct"
        ]
    );
    tx.count_entry(&entry).expect("counted");
    assert_eq!(wrong_counts(tx), [""; 0]);
}
