//! The index of `find`, filled beside the way of the mail.
//!
//! A step reads the entries after the one up to which all are indexed, and those that changed since, and
//! writes their words. Triggers erase the words of an entry that is erased or rewritten in the same
//! transaction; the next step removes words that no entry has any more.

use std::collections::HashMap;

use super::search_words::{endings, words_of};
use crate::access::{Circumstances, sender_for};
use crate::mail::{Facts, HeaderView};
use crate::store::engine::time_slice::{TimeSlice, WorkStep};
use crate::store::sql::sql_types::JsonColumn;
use crate::store::sql::{Tx, insert};
use crate::store::{Store, StoreError};

/// Octets at the beginning of a message in which its From field is looked for.
const HEADER: usize = 64 * 1024;

/// An entry with its words.
#[derive(Debug, Clone)]
struct Indexed {
    n: i64,
    /// The facts from which the words were made, as they are stored.
    facts: String,
    words: Vec<String>,
}

/// Entries to be indexed: those that are due again, or else those after the last one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    again: Vec<Indexed>,
    next: Vec<Indexed>,
}

impl Store {
    /// Indexes at most `limit` entries. Returns the number of those that were, and whether there are more.
    pub async fn index_entries(&self, limit: usize) -> Result<WorkStep<usize>, StoreError> {
        let batch = self.read_long(move |tx| next(tx, limit));
        let batch = batch.await?;
        let unused = self.read(has_unused).await?;
        if batch.again.is_empty() && batch.next.is_empty() && !unused {
            return Ok(WorkStep::default());
        }
        self.write(move |work| {
            let mut pace = TimeSlice::of(limit);
            let (mut done, mut words) = (0, HashMap::new());
            let mut more = pace.each(batch.again.clone(), |entry| {
                done += 1;
                replace(work.tx, &entry, &mut words)
            })?;
            if !more {
                more = pace.each(batch.next.clone(), |entry| {
                    done += 1;
                    add(work.tx, &entry, &mut words)?;
                    advance(work.tx, entry.n)
                })?;
            }
            if !more {
                more = remove_unused(work.tx, limit, &mut pace)?;
            }
            Ok(pace.step(done, more))
        })
        .await
    }
}

pub(crate) fn next(tx: &Tx, limit: usize) -> Result<Batch, StoreError> {
    let again = entries(
        tx,
        "SELECT due.ledger, l.facts, l.circumstances, substr(c.raw, 1, ?2)
         FROM search_due AS due CROSS JOIN ledger AS l ON l.n = due.ledger
             LEFT JOIN content AS c ON c.ledger = coalesce(l.message, l.n)
         WHERE due.ledger <= (SELECT ledger FROM search_progress)
         ORDER BY due.ledger LIMIT ?1",
        limit,
    )?;
    let next = entries(
        tx,
        "SELECT l.n, l.facts, l.circumstances, substr(c.raw, 1, ?2)
         FROM ledger AS l
             LEFT JOIN content AS c ON c.ledger = coalesce(l.message, l.n)
         WHERE l.n > (SELECT ledger FROM search_progress)
         ORDER BY l.n LIMIT ?1",
        limit,
    )?;
    Ok(Batch { again, next })
}

fn entries(tx: &Tx, sql: &str, limit: usize) -> Result<Vec<Indexed>, StoreError> {
    tx.all_with(sql, &[&limit, &HEADER], |row| {
        let n = row.get(0)?;
        // A damaged entry has no words; `doctor` names it.
        let stored: String = row.get(1)?;
        let facts: Option<Facts> = serde_json::from_str(&stored).ok();
        let circumstances = row.get::<_, Option<JsonColumn<Circumstances>>>(2);
        let circumstances = circumstances.ok().flatten();
        let own_list = circumstances.and_then(|json| json.0.own_list);
        let raw: Option<Vec<u8>> = row.get(3)?;
        let header = raw.as_deref().map(HeaderView::of);
        let name = header.as_ref().and_then(HeaderView::display_name);
        let words = facts.map_or_else(Vec::new, |facts| {
            let sender = sender_for(&facts, own_list.as_deref());
            words_of(sender.address(), name, facts.subject.as_deref())
        });
        Ok(Indexed {
            n,
            facts: stored,
            words,
        })
    })
}

pub(crate) fn has_unused(tx: &Tx) -> Result<bool, StoreError> {
    tx.exists(
        "SELECT 1 FROM search_word INDEXED BY search_word_unused WHERE messages = 0 LIMIT 1",
        &[],
    )
}

fn replace(tx: &Tx, entry: &Indexed, words: &mut HashMap<String, i64>) -> Result<(), StoreError> {
    tx.run("DELETE FROM search_entry WHERE ledger = ?", &[&entry.n])?;
    tx.run("DELETE FROM search_due WHERE ledger = ?", &[&entry.n])?;
    add(tx, entry, words)
}

/// Adds the words of an entry, unless it was erased meanwhile. If it was rewritten after its words were made,
/// such as for a person who was forgotten, none of them is added, and it is due again.
fn add(tx: &Tx, entry: &Indexed, words: &mut HashMap<String, i64>) -> Result<(), StoreError> {
    let facts: Option<String> = tx.maybe("SELECT facts FROM ledger WHERE n = ?", &[&entry.n])?;
    match facts {
        None => return Ok(()),
        Some(facts) if facts != entry.facts => {
            tx.run(
                "INSERT INTO search_due (ledger) VALUES (?) ON CONFLICT DO NOTHING",
                &[&entry.n],
            )?;
            return Ok(());
        }
        Some(_) => {}
    }
    for text in &entry.words {
        let word = if let Some(number) = words.get(text) {
            *number
        } else {
            let number = number_of(tx, text)?;
            words.insert(text.clone(), number);
            number
        };
        // Another process may have indexed it meanwhile.
        let added = insert!(
            tx,
            search_entry {
                word,
                ledger: entry.n
            },
            "ON CONFLICT DO NOTHING"
        )?;
        if added == 1 {
            tx.run(
                "UPDATE search_word SET messages = messages + 1 WHERE number = ?",
                &[&word],
            )?;
        }
    }
    Ok(())
}

/// Finds the number of a word, or adds the word with its endings.
fn number_of(tx: &Tx, word: &str) -> Result<i64, StoreError> {
    if let Some(number) = tx.maybe("SELECT number FROM search_word WHERE word = ?", &[&word])? {
        return Ok(number);
    }
    insert!(
        tx,
        search_word {
            word,
            messages: 0_i64
        }
    )?;
    let number: i64 = tx.one("SELECT number FROM search_word WHERE word = ?", &[&word])?;
    for ending in endings(word) {
        insert!(
            tx,
            search_ending {
                ending,
                word: number
            }
        )?;
    }
    Ok(number)
}

fn advance(tx: &Tx, n: i64) -> Result<(), StoreError> {
    tx.run(
        "UPDATE search_progress SET ledger = ?1 WHERE ledger < ?1",
        &[&n],
    )?;
    Ok(())
}

/// Removes words that no entry has any more.
fn remove_unused(tx: &Tx, limit: usize, pace: &mut TimeSlice) -> Result<bool, StoreError> {
    let unused: Vec<(i64, String)> = tx.all(
        "SELECT number, word FROM search_word INDEXED BY search_word_unused
         WHERE messages = 0 LIMIT ?",
        &[&limit],
    )?;
    pace.each(unused, |(number, word)| remove(tx, number, &word))
}

fn remove(tx: &Tx, number: i64, word: &str) -> Result<(), StoreError> {
    for ending in endings(word) {
        tx.run(
            "DELETE FROM search_ending WHERE ending = ? AND word = ?",
            &[&ending, &number],
        )?;
    }
    tx.run("DELETE FROM search_word WHERE number = ?", &[&number])?;
    Ok(())
}

impl Store {
    /// Removes every word that no entry has any more, in short steps: for a person who is forgotten.
    pub(crate) async fn remove_unused_words(&self) -> Result<(), StoreError> {
        while self.read(has_unused).await? {
            self.write(|work| remove_unused(work.tx, 100, &mut TimeSlice::of(100)))
                .await?;
        }
        Ok(())
    }
}
