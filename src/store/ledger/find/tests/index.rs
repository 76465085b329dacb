//! Tests of the rows of the search index: which there are, and that none outlives its entry.

use super::*;
use crate::domain::{Actor, EmailAddress};
use crate::store::Forgetting;
use crate::store::ledger::search_index;

#[tokio::test]
async fn nothing_of_an_erased_entry_stays_in_the_index() {
    let mail = Mail::new();
    mail.record(MAILS).await;
    mail.index().await;
    assert!(mail.words().await.len() > 20);
    // As retention does.
    mail.run("DELETE FROM ledger WHERE n = 1").await;
    assert!(mail.find("miller").await.is_empty());
    assert_eq!(mail.find("vpn").await.len(), 2);
    // As forgetting a person does: rewritten, and indexed again.
    mail.run("DELETE FROM content WHERE ledger = 5").await;
    mail.run("UPDATE ledger SET facts = json_set(facts, '$.subject', 'other') WHERE n = 5")
        .await;
    assert_eq!(mail.find("vpn").await.len(), 1);
    mail.index().await;
    assert_eq!(mail.find("other").await, ["other"]);
    let words = mail.words().await;
    for gone in ["anna.miller@", "muller", "drops", "jurgen"] {
        assert!(!words.iter().any(|word| word == gone), "{words:?}");
    }
    mail.run("DELETE FROM ledger").await;
    mail.index().await;
    assert_eq!(mail.rows().await, 0);
}

/// Ways to rewrite the first entry of [`MAILS`].
#[derive(Debug, Clone, Copy)]
enum Rewrite {
    /// As when a copy replaces the entry, or when it is recovered.
    Update,
    /// The facts stay as they are, and the content is deleted.
    SameFacts,
    Forget,
    Erase,
}

impl Mail {
    async fn rewrite(&self, how: Rewrite) {
        match how {
            Rewrite::Update => {
                self.run("DELETE FROM content WHERE ledger = 1").await;
                self.run(
                    "UPDATE ledger SET facts = json_set(facts, '$.subject', 'other',
                         '$.sender.usable.address', 'x@y.example')
                     WHERE n = 1",
                )
                .await;
            }
            Rewrite::SameFacts => {
                self.run("DELETE FROM content WHERE ledger = 1").await;
                self.run("UPDATE ledger SET facts = facts WHERE n = 1")
                    .await;
            }
            Rewrite::Forget => {
                self.run(
                    "UPDATE ledger SET sender = 'anna.miller@corp.example', domain = 'corp.example'
                     WHERE n = 1",
                )
                .await;
                let address = EmailAddress::parse("anna.miller@corp.example");
                let forgetting = Forgetting {
                    address: address.expect("an address"),
                    domain_too: false,
                    by: Actor::Daemon,
                    now: Timestamp::from_millisecond(FIRST).expect("a time"),
                };
                let forgotten = self.store.forget_customer(forgetting, |_, _| {}).await;
                assert_eq!(forgotten.expect("forgotten").entries, 1);
            }
            Rewrite::Erase => self.run("DELETE FROM ledger WHERE n = 1").await,
        }
    }
}

/// The words of an entry are extracted, the entry is rewritten, and then the words are written: none of them may
/// reappear, however often the entry was indexed, and whether or not another process indexed it meanwhile.
#[tokio::test]
async fn an_entry_that_is_rewritten_while_it_is_indexed_leaves_no_stale_words() {
    for how in [
        Rewrite::Update,
        Rewrite::SameFacts,
        Rewrite::Forget,
        Rewrite::Erase,
    ] {
        for is_due in [false, true] {
            for other_indexes in [false, true] {
                let case = format!("{how:?}, due: {is_due}, another: {other_indexes}");
                let mail = Mail::new();
                mail.record(MAILS).await;
                if is_due {
                    mail.index().await;
                    mail.run("UPDATE ledger SET facts = facts WHERE n <= 2")
                        .await;
                }
                let batch = mail
                    .store
                    .read(|tx| search_index::next_batch(tx, 100))
                    .await;
                let batch = batch.expect("a batch");
                mail.rewrite(how).await;
                if other_indexes {
                    let path = mail.folder.path().join("vestibule.db");
                    let other = Store::open_existing(&path).expect("another process");
                    while other.index_entries(100).await.expect("indexed").more {}
                }
                let written = mail
                    .store
                    .write(move |work| search_index::write_batch(work.tx, batch.clone()));
                written.await.expect("written");
                mail.index().await;
                let words = mail.words().await;
                let gone: &[&str] = match how {
                    Rewrite::SameFacts => &["muller"],
                    _ => &["muller", "drops", "minutes", "anna.miller@"],
                };
                for gone in gone {
                    assert!(!words.iter().any(|word| word == gone), "{case}: {words:?}");
                }
                let found: &[&str] = match how {
                    Rewrite::Update => &["y.example", "other"],
                    Rewrite::SameFacts => &["anna.miller", "drops"],
                    Rewrite::Forget => &["forgotten-"],
                    Rewrite::Erase => &[],
                };
                for search_text in found {
                    assert_eq!(
                        mail.find(search_text).await.len(),
                        1,
                        "{case}: {search_text}"
                    );
                }
                assert_eq!(mail.find("vpn-zugang").await.len(), 1, "{case}");
                mail.counts_are_right(&case).await;
            }
        }
    }
}

impl Mail {
    async fn counts_are_right(&self, case: &str) {
        let wrong = self.store.read(|tx| {
            tx.one::<i64>(
                "SELECT count(*) FROM search_word AS w WHERE messages <>
                     (SELECT count(*) FROM search_entry AS e WHERE e.word = w.number)",
                &[],
            )
        });
        assert_eq!(wrong.await.expect("a count"), 0, "{case}");
    }

    async fn unused(&self) -> i64 {
        let unused = self
            .store
            .read(|tx| tx.one("SELECT count(*) FROM search_word WHERE messages = 0", &[]));
        unused.await.expect("a count")
    }

    /// Records messages of strangers, each with ten words of its own, from number `first` on.
    async fn record_strangers(&self, first: i64, many: i64) {
        let recorded = self.store.write(move |work| {
            for n in first..first + many {
                let subject: String = (0..10)
                    .map(|place| format!("w{n}x{place} "))
                    .collect::<Vec<_>>()
                    .concat();
                insert(work.tx, n, "ann@corp.example", &subject)?;
            }
            Ok(())
        });
        recorded.await.expect("recorded");
    }
}

#[tokio::test]
async fn forgetting_removes_unused_words_in_steps_of_a_bounded_size() {
    let mail = Mail::new();
    mail.record_strangers(1, 50).await;
    mail.index().await;
    mail.run("DELETE FROM ledger").await;
    let all = mail.unused().await;
    assert!(all > 450, "{all}");
    let step = mail
        .store
        .write(|work| search_index::remove_unused(work.tx));
    step.await.expect("removed");
    let left = mail.unused().await;
    assert!((all - 100..all).contains(&left), "{left} of {all}");
    mail.store.remove_unused_words().await.expect("removed");
    assert_eq!(mail.rows().await, 0);
}

#[tokio::test]
async fn unused_words_are_removed_while_new_messages_wait() {
    let mail = Mail::new();
    mail.record_strangers(1, 20).await;
    mail.index().await;
    mail.run("DELETE FROM ledger WHERE n > 1").await;
    mail.record_strangers(100, 200).await;
    let before = mail.unused().await;
    let step = mail.store.index_entries(10).await.expect("indexed");
    assert!(step.more && step.done > 0, "{step:?}");
    assert!(mail.store.not_indexed().await.expect("counted") > 100);
    let after = mail.unused().await;
    assert!(after < before, "{after} of {before}");
}

#[tokio::test]
async fn a_step_records_its_progress_once() {
    let mail = Mail::new();
    mail.record_strangers(1, 20).await;
    mail.run("CREATE TABLE recorded (ledger INTEGER)").await;
    mail.run(
        "CREATE TRIGGER progress AFTER UPDATE ON search_progress
         BEGIN INSERT INTO recorded VALUES (NEW.ledger); END",
    )
    .await;
    // A slow machine needs several steps.
    let mut expected = Vec::new();
    let mut done = 0;
    while done < 20 {
        let step = mail.store.index_entries(100).await.expect("indexed");
        done += i64::try_from(step.done).expect("few");
        expected.push(done);
    }
    let recorded = mail
        .store
        .read(|tx| tx.all::<i64>("SELECT ledger FROM recorded ORDER BY rowid", &[]));
    assert_eq!(recorded.await.expect("numbers"), expected);
    assert_eq!(mail.store.not_indexed().await.expect("counted"), 0);
}

#[tokio::test]
async fn an_entry_that_changed_is_counted_until_it_is_indexed_again() {
    let mail = Mail::new();
    mail.record(MAILS).await;
    assert_eq!(mail.store.not_indexed().await.expect("counted"), 5);
    mail.index().await;
    mail.run("UPDATE ledger SET facts = facts WHERE n <= 2")
        .await;
    assert_eq!(mail.store.not_indexed().await.expect("counted"), 2);
    // Each is counted once.
    mail.record_strangers(6, 3).await;
    mail.run("UPDATE ledger SET facts = facts WHERE n = 7")
        .await;
    assert_eq!(mail.store.not_indexed().await.expect("counted"), 5);
    mail.index().await;
}

#[tokio::test]
async fn a_dropped_message_of_a_stranger_makes_few_rows() {
    let mail = Mail::new();
    let subject: String = (0..100)
        .map(|n| format!("w{n:04} "))
        .collect::<Vec<_>>()
        .concat();
    mail.record(&[("ann@corp.example", subject.as_str())]).await;
    mail.index().await;
    assert!(mail.rows().await < 200, "{}", mail.rows().await);
    assert_eq!(mail.find("ann@corp w0000").await.len(), 1);
    // Once there is an account, as when an operator lets the sender in, all searchable words are indexed.
    mail.run(
        "INSERT INTO account (id, key, address, domain, kind, status, proof_needed, groups,
             created_at, created_by)
         VALUES (randomblob(16), 'ann@corp.example', 'ann@corp.example', 'corp.example',
             'external', 'pending', 1, '[]', 0, 'mail')",
    )
    .await;
    mail.run("UPDATE ledger SET sender = 'ann@corp.example', facts = facts")
        .await;
    mail.index().await;
    assert!(mail.rows().await > 350, "{}", mail.rows().await);
    assert_eq!(mail.find("w0040").await.len(), 1);
}

/// The display name is read from the header, wherever the header ends, and not from the body.
#[tokio::test]
async fn only_the_header_of_a_message_is_read() {
    let mail = Mail::new();
    let trace = "Received: from a by b; Mon, 1 Jan 2026 00:00:00 +0000\r\n";
    let body = "From: \"Mallory\" <m@x.example>\r\n".repeat(100_000);
    for (n, raw) in [
        (1, format!("From: Berta <b@x.example>\r\n\r\n{body}")),
        (
            2,
            format!(
                "{}From: Cleo <c@x.example>\r\n\r\n{body}",
                trace.repeat(500)
            ),
        ),
        (3, "From: Dora <d@x.example>".to_owned()),
        (4, String::new()),
    ] {
        let recorded = mail.store.write(move |work| {
            insert(work.tx, n, "x@x.example", "one")?;
            work.tx.run(
                "UPDATE content SET raw = ?2 WHERE ledger = ?1",
                &[&n, &raw.clone().into_bytes()],
            )
        });
        recorded.await.expect("recorded");
    }
    mail.index().await;
    for (name, found) in [("berta", 1), ("cleo", 1), ("dora", 1), ("mallory", 0)] {
        assert_eq!(mail.find(name).await.len(), found, "{name}");
    }
    let sizes = mail.store.read(|tx| {
        let size = |n, of| search_index::read_header(tx, n, of).map(|header| header.len());
        Ok([size(1, 3_000_000)?, size(2, 3_000_000)?, size(3, 24)?])
    });
    assert_eq!(sizes.await.expect("read"), [4096, 65_536, 24]);
}
