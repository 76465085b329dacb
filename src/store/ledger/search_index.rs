//! The index that `find` searches, filled outside of the acceptance of mail.
//!
//! A step reads entries after the one up to which all are indexed, extracts their words, and writes them. Triggers
//! erase the words of an entry that is erased or rewritten, in the same transaction. A rewritten entry is due
//! again: its words are extracted in the transaction that writes them, so that none of its earlier words reappears.
//! A step also removes words that no entry uses.

use std::collections::HashMap;

use memchr::memmem;
use serde::Deserialize;

use super::search_words::{MAX_OF_STRANGER, MAX_WORDS, endings, words_of};
use crate::access::{Circumstances, choose_sender};
use crate::mail::{ListAuthor, Sender, display_name};
use crate::store::engine::time_slice::{TimeSlice, WorkStep};
use crate::store::sql::sql_types::json_columns;
use crate::store::sql::{FromRow, Row, Tx, insert};
use crate::store::{Result, Store};

/// Octets at the beginning of a message that are searched for its From field: at first, and at most.
const FIRST_LOOK: usize = 4 * 1024;
const HEADER: usize = 64 * 1024;

/// Maximum unused words that are removed in one transaction.
const UNUSED: usize = 100;

/// An entry with its words.
#[derive(Debug, Clone)]
struct Indexed {
    n: i64,
    words: Vec<String>,
}

/// Work of a step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    /// Entries that changed since they were indexed.
    again: Vec<i64>,
    /// Entries that were not indexed yet.
    next: Vec<Indexed>,
    /// Words that no entry has.
    unused: Vec<(i64, String)>,
    /// True if there may be more work of any kind.
    more: bool,
}

impl Store {
    /// Indexes at most `limit` new entries and as many changed ones, and removes as many words that no entry uses.
    /// Returns the number of entries that were indexed, and whether there is more to do.
    pub async fn index_entries(&self, limit: usize) -> Result<WorkStep<usize>> {
        let batch = self.read_long(move |tx| next_batch(tx, limit)).await?;
        if batch.again.is_empty() && batch.next.is_empty() && batch.unused.is_empty() {
            return Ok(WorkStep::default());
        }
        self.write(move |work| write_batch(work.tx, batch.clone()))
            .await
    }

    /// Removes every word that no entry uses, in short steps: for the erasure of a person.
    pub(crate) async fn remove_unused_words(&self) -> Result<()> {
        while self.read(has_unused).await? {
            self.write_overwriting(|work| remove_unused(work.tx))
                .await?;
        }
        Ok(())
    }
}

pub(crate) fn next_batch(tx: &Tx, limit: usize) -> Result<Batch> {
    let again: Vec<i64> = tx.all(
        "SELECT ledger FROM search_due AS due WHERE ledger <= (SELECT ledger FROM search_progress)
         ORDER BY ledger LIMIT ?",
        &[&limit],
    )?;
    let found: Vec<Unindexed> = tx.all(
        &format!(
            "{UNINDEXED} WHERE l.n > (SELECT ledger FROM search_progress) ORDER BY l.n LIMIT ?"
        ),
        &[&limit],
    )?;
    let next: Vec<_> = found
        .into_iter()
        .map(|entry| entry.index(tx))
        .collect::<Result<_, _>>()?;
    let unused = find_unused(tx, limit)?;
    let more = [again.len(), next.len(), unused.len()].contains(&limit);
    Ok(Batch {
        again,
        next,
        unused,
        more,
    })
}

/// Selects entries whose words are to be extracted.
const UNINDEXED: &str = "SELECT l.n, l.facts, l.circumstances, c.ledger, length(c.raw),
     l.verdict = 'dropped' AND NOT EXISTS (SELECT 1 FROM account WHERE key = l.sender)
     FROM ledger AS l LEFT JOIN content AS c ON c.ledger = coalesce(l.message, l.n)";

/// The facts that contain words. Every message is indexed, so the others are not decoded.
#[derive(Deserialize)]
struct IndexedFacts {
    sender: Sender,
    author_behind_list: Option<ListAuthor>,
    #[serde(default)]
    from_is_list: bool,
    subject: Option<String>,
}
json_columns!(IndexedFacts);

impl IndexedFacts {
    fn sender_for(&self, own_list: Option<&str>) -> &Sender {
        let behind = self.author_behind_list.as_ref();
        choose_sender(&self.sender, behind, self.from_is_list, own_list)
    }
}

struct Unindexed {
    n: i64,
    /// None if they are damaged: the entry has no words, and `doctor` names it.
    facts: Option<IndexedFacts>,
    own_list: Option<String>,
    /// Row of the content, and its size.
    content: Option<(i64, usize)>,
    is_of_stranger: bool,
}

impl FromRow for Unindexed {
    fn from_row(row: &Row) -> Result<Self> {
        let circumstances: Option<Circumstances> = row.get(2).ok().flatten();
        let carrier: Option<i64> = row.get(3)?;
        let size: Option<usize> = row.get(4)?;
        Ok(Self {
            n: row.get(0)?,
            facts: row.get(1).ok(),
            own_list: circumstances.and_then(|then| then.own_list),
            content: carrier.zip(size),
            is_of_stranger: row.get(5)?,
        })
    }
}

impl Unindexed {
    /// Extracts the words.
    fn index(self, tx: &Tx) -> Result<Indexed> {
        let mut indexed = Indexed {
            n: self.n,
            words: Vec::new(),
        };
        if let Some(facts) = &self.facts {
            let name = match self.content {
                Some((carrier, size)) => display_name(&read_header(tx, carrier, size)?),
                None => None,
            };
            let sender = facts.sender_for(self.own_list.as_deref());
            let most = if self.is_of_stranger {
                MAX_OF_STRANGER
            } else {
                MAX_WORDS
            };
            indexed.words = words_of(
                sender.address(),
                name.as_deref(),
                facts.subject.as_deref(),
                most,
            );
        }
        Ok(indexed)
    }
}

/// Reads the header of a message, and little of its body.
pub(crate) fn read_header(tx: &Tx, carrier: i64, size: usize) -> Result<Vec<u8>> {
    let mut header = vec![0; size.min(FIRST_LOOK)];
    tx.read_content(carrier, 0, &mut header)?;
    let is_whole = |raw: &[u8]| {
        memmem::find(raw, b"\r\n\r\n").is_some() || memmem::find(raw, b"\n\n").is_some()
    };
    if header.len() < size && !is_whole(&header) {
        header.resize(size.min(HEADER), 0);
        tx.read_content(carrier, 0, &mut header)?;
    }
    Ok(header)
}

pub(crate) fn has_unused(tx: &Tx) -> Result<bool> {
    Ok(!find_unused(tx, 1)?.is_empty())
}

fn find_unused(tx: &Tx, limit: usize) -> Result<Vec<(i64, String)>> {
    tx.all(
        "SELECT number, word FROM search_word INDEXED BY search_word_unused
         WHERE messages = 0 LIMIT ?",
        &[&limit],
    )
}

/// Writes one row of each kind in turn until the time slice is used up, so that no kind waits for the others.
pub(crate) fn write_batch(tx: &Tx, batch: Batch) -> Result<WorkStep<usize>> {
    let mut slice = TimeSlice::of(usize::MAX);
    let (mut done, mut more, mut words) = (0, batch.more, HashMap::new());
    let mut last = None;
    let mut again = batch.again.into_iter();
    let mut next = batch.next.into_iter();
    let mut unused = batch.unused.into_iter();
    while again.len() + next.len() + unused.len() > 0 {
        if !slice.goes_on() {
            more = true;
            break;
        }
        if let Some((number, word)) = unused.next() {
            words.remove(&word);
            remove(tx, number, &word)?;
        }
        if let Some(n) = again.next() {
            replace(tx, n, &mut words)?;
            done += 1;
        }
        if let Some(entry) = next.next() {
            if is_unchanged(tx, entry.n)? {
                add(tx, &entry, &mut words)?;
                done += 1;
            } else {
                more = true;
            }
            last = Some(entry.n);
        }
    }
    // Entries have ascending numbers, so one update records all of them.
    if let Some(n) = last {
        advance(tx, n)?;
    }
    Ok(slice.step(done, more))
}

/// True if an entry after the one up to which all are indexed was neither erased nor rewritten nor indexed
/// since it was committed. A rewritten one is due, and stays so until it is indexed.
fn is_unchanged(tx: &Tx, n: i64) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM ledger AS l WHERE n = ?1
             AND n > (SELECT ledger FROM search_progress)
             AND NOT EXISTS (SELECT 1 FROM search_due WHERE ledger = ?1)",
        &[&n],
    )
}

/// Extracts and writes the words of an entry that is due, in one transaction.
fn replace(tx: &Tx, n: i64, words: &mut HashMap<String, i64>) -> Result<()> {
    // Another process may have indexed it meanwhile.
    if tx.run("DELETE FROM search_due WHERE ledger = ?", &[&n])? == 0 {
        return Ok(());
    }
    tx.run("DELETE FROM search_entry WHERE ledger = ?", &[&n])?;
    let found: Option<Unindexed> = tx.maybe(&format!("{UNINDEXED} WHERE l.n = ?"), &[&n])?;
    match found {
        Some(entry) => add(tx, &entry.index(tx)?, words),
        None => Ok(()),
    }
}

fn add(tx: &Tx, entry: &Indexed, words: &mut HashMap<String, i64>) -> Result<()> {
    for text in &entry.words {
        let word = if let Some(number) = words.get(text) {
            *number
        } else {
            let number = number_of(tx, text)?;
            words.insert(text.clone(), number);
            number
        };
        let added = insert!(
            tx,
            search_entry {
                word,
                ledger: entry.n
            },
            "ON CONFLICT (word, ledger) DO NOTHING"
        )?;
        if added == 1 {
            let sql = "UPDATE search_word SET messages = messages + 1 WHERE number = ?";
            tx.run(sql, &[&word])?;
        }
    }
    Ok(())
}

/// Finds the number of a word, or adds the word with its suffixes.
fn number_of(tx: &Tx, word: &str) -> Result<i64> {
    if let Some(number) = tx.maybe("SELECT number FROM search_word WHERE word = ?", &[&word])? {
        return Ok(number);
    }
    let number: i64 = tx.one(
        "INSERT INTO search_word (number, word, messages)
             SELECT coalesce(max(number), 0) + 1, ?, 0 FROM search_word RETURNING number",
        &[&word],
    )?;
    for ending in endings(word) {
        insert!(
            tx,
            search_ending {
                ending,
                word: number
            },
            "ON CONFLICT (ending, word) DO NOTHING"
        )?;
    }
    Ok(number)
}

fn advance(tx: &Tx, n: i64) -> Result<()> {
    let sql = "UPDATE search_progress SET ledger = ?1 WHERE ledger < ?1";
    tx.run(sql, &[&n])?;
    Ok(())
}

/// Removes words that no entry uses, until the time slice is used up.
pub(crate) fn remove_unused(tx: &Tx) -> Result<()> {
    let mut slice = TimeSlice::of(UNUSED);
    slice.each(find_unused(tx, UNUSED)?, |(number, word)| {
        remove(tx, number, &word)
    })?;
    Ok(())
}

/// Removes a word, unless an entry has it by now.
fn remove(tx: &Tx, number: i64, word: &str) -> Result<()> {
    let sql = "DELETE FROM search_word WHERE number = ? AND messages = 0";
    let removed = tx.run(sql, &[&number])?;
    if removed == 1 {
        for ending in endings(word) {
            let sql = "DELETE FROM search_ending WHERE ending = ? AND word = ?";
            tx.run(sql, &[&ending, &number])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::sender_for;
    use crate::domain::{Domain, Envelope, ReversePath};
    use crate::mail::{Identity, read};
    use crate::store::sql::sql_types::json;
    use crate::store::sql::{FromSql, SqlValue};

    #[test]
    fn the_indexed_facts_name_the_same_sender_and_subject_as_all_facts() {
        let envelope = Envelope::of_file(ReversePath::Null);
        let own = Identity {
            hostname: Domain::parse("gate.corp.example").expect("a name"),
            authserv_id: None,
            spam: [].into(),
        };
        let list = "users.lists.example";
        let header_of_list = format!("From: Users <users@lists.example>\r\nList-Id: <{list}>\r\n");
        let of_author = "From: Ann <ann@corp.example>\r\nSubject: VPN\r\n\r\n".to_owned();
        let of_list = format!("{header_of_list}Subject: News\r\n\r\n");
        let behind_list = format!("{header_of_list}Reply-To: ann@corp.example\r\n\r\n");
        let of_nobody = "Subject: VPN\r\n\r\n".to_owned();
        for (raw, is_of_list, is_behind_list) in [
            (of_author, false, false),
            (of_list, true, false),
            (behind_list, false, true),
            (of_nobody, false, false),
        ] {
            let facts = read(raw.as_bytes(), &envelope, &own);
            let found = (facts.from_is_list, facts.author_behind_list.is_some());
            assert_eq!(found, (is_of_list, is_behind_list), "{raw}");
            let stored = json(&facts).expect("JSON");
            let indexed = IndexedFacts::from_sql(SqlValue::Text(&stored)).expect(&stored);
            assert_eq!(indexed.subject, facts.subject);
            for own_list in [None, Some(list), Some("others.lists.example")] {
                let sender = sender_for(&facts, own_list);
                assert_eq!(indexed.sender_for(own_list), sender, "{raw} {own_list:?}");
            }
        }
    }
}
