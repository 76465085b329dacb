//! Finds entries by parts of the sender's address and name and of the subject, newest first.
//!
//! A question is answered by the index of [`search_index`](super::search_index), in one bounded look: the
//! part that the fewest entries have leads, and the words of each of its entries are compared with the other
//! parts. A part that very many words have is compared with the newest entries instead. A look that ends
//! before its page is full has a cursor from which the search continues.

use super::search_words::{fold, parts_of};
use super::{entries, lists};
use crate::domain::{PortalName, Reason, Timestamp, Verdict};
use crate::store::error::readable;
use crate::store::rows::entry_ids::n_of;
use crate::store::sql::Tx;
use crate::store::sql::page_builder::{STRETCH_END, unknown_cursor};
use crate::store::sql::sql_types::Millis;
use crate::store::{LedgerEntry, LedgerFilter, Listed, Page, Store, StoreError};

/// Words that a part may be in, to lead.
const MOST_WORDS: usize = 2_000;

/// Entries that a look compares.
const MOST_COMPARED: usize = 2_000;

/// Entries that are read at a time, of one word or of the newest.
const CHUNK: usize = 100;

/// Entries that are not indexed are counted up to this number.
pub const MOST_NOT_INDEXED: u64 = 1000;

/// Search for entries.
#[derive(Debug, Clone, Default)]
pub struct FindFilter {
    /// Parts of the sender's address and name and words of the subject; each must match.
    pub question: String,
    /// Part of the sender's address, in addition.
    pub sender: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub verdict: Option<Verdict>,
    pub reason: Option<Reason>,
    pub portal: Option<PortalName>,
    pub page: Page,
}

impl From<LedgerFilter> for FindFilter {
    /// The list of a part of the sender's address.
    fn from(filter: LedgerFilter) -> Self {
        Self {
            question: String::new(),
            sender: filter.sender_part,
            since: filter.received_after,
            until: filter.received_before,
            verdict: filter.verdict,
            reason: filter.reason,
            portal: filter.portal,
            page: filter.page,
        }
    }
}

impl Store {
    /// Entries of one look, in the order of their commits, newest first; possibly fewer than there are.
    /// Without anything to search for there are none.
    pub async fn find_entries(
        &self,
        filter: FindFilter,
    ) -> Result<Listed<LedgerEntry>, StoreError> {
        self.read(move |tx| find(tx, &filter)).await
    }

    /// Number of entries that are not indexed yet or changed since, up to [`MOST_NOT_INDEXED`].
    pub async fn not_indexed(&self) -> Result<u64, StoreError> {
        self.read(not_indexed).await
    }
}

pub(crate) fn not_indexed(tx: &Tx) -> Result<u64, StoreError> {
    tx.one(
        "SELECT count(*) FROM (
             SELECT n FROM ledger WHERE n > (SELECT ledger FROM search_progress)
             UNION ALL
             SELECT ledger FROM search_due AS due
             WHERE ledger <= (SELECT ledger FROM search_progress)
             LIMIT ?
         ) AS unindexed",
        &[&MOST_NOT_INDEXED],
    )
}

/// A part of the question, with the words that have it.
struct Part {
    text: String,
    words: Vec<i64>,
    /// Entries that have one of these words, if there are not too many words.
    messages: Option<u64>,
}

pub(crate) fn find(tx: &Tx, filter: &FindFilter) -> Result<Listed<LedgerEntry>, StoreError> {
    let limit = filter.page.rows();
    let none = Listed {
        rows: Vec::new(),
        next: None,
    };
    let sender = filter.sender.as_deref().map(fold);
    let question = format!(
        "{} {}",
        filter.question,
        filter.sender.as_deref().unwrap_or("")
    );
    let texts = parts_of(&question);
    let mut parts = Vec::with_capacity(texts.len());
    for text in texts {
        parts.push(Part::read(tx, text)?);
    }
    if parts.is_empty() || parts.iter().any(|part| part.messages == Some(0)) {
        return Ok(none);
    }
    let lead = parts
        .iter()
        .filter(|part| part.messages.is_some())
        .min_by_key(|part| part.messages);
    let mut before = match &filter.page.after {
        Some(cursor) => match cursor.strip_prefix(STRETCH_END) {
            Some(n) => n.parse().map_err(|_| unknown_cursor(cursor))?,
            None => n_of(tx, cursor)?,
        },
        None => i64::MAX,
    };
    if let Some(until) = filter.until {
        before = before.min(lists::after_all_before(tx, until)?);
    }
    let oldest = match filter.since {
        Some(since) => lists::before_all_since(tx, since)?,
        None => 0,
    };
    let alone = parts.len() == 1 && lead.is_some();
    let (mut rows, mut compared) = (Vec::new(), 0);
    let mut candidates = lead.map_or_else(|| Candidates::All(Vec::new()), Part::candidates);
    while let Some(n) = candidates.next(tx, before)? {
        if n < oldest {
            break;
        }
        if compared == MOST_COMPARED {
            let next = Some(format!("{STRETCH_END}{before}"));
            return Ok(Listed { rows, next });
        }
        compared += 1;
        if passes(tx, n, filter)?
            && (alone || has_all(tx, n, &parts)?)
            && let Some(entry) = read(tx, n)?
            && sender.as_ref().is_none_or(|part| is_sent_by(&entry, part))
        {
            if rows.len() == limit {
                let next = Some(format!("{STRETCH_END}{before}"));
                return Ok(Listed { rows, next });
            }
            rows.push(entry);
        }
        before = n;
    }
    Ok(Listed { rows, next: None })
}

/// The next entries of one word, newest first.
struct Postings {
    word: i64,
    /// Oldest first, so that the newest is at the end.
    entries: Vec<i64>,
    /// The rows after these were not read.
    more: bool,
}

/// The entries to compare, newest first.
enum Candidates {
    /// Those that have one of the words of a part.
    OfPart(Vec<Postings>),
    /// Those that have words at all.
    All(Vec<i64>),
}

impl Candidates {
    fn next(&mut self, tx: &Tx, before: i64) -> Result<Option<i64>, StoreError> {
        match self {
            Self::OfPart(words) => {
                let mut newest = None;
                for word in words.iter_mut() {
                    while word.entries.last().is_some_and(|n| *n >= before) {
                        word.entries.pop();
                    }
                    if word.entries.is_empty() && word.more {
                        word.read(tx, before)?;
                    }
                    newest = newest.max(word.entries.last().copied());
                }
                words.retain(|word| word.more || !word.entries.is_empty());
                Ok(newest)
            }
            Self::All(entries) => {
                if entries.is_empty() {
                    *entries = tx.all(
                        "SELECT DISTINCT ledger FROM search_entry INDEXED BY search_entry_ledger
                         WHERE ledger < ?1 ORDER BY ledger DESC LIMIT ?2",
                        &[&before, &CHUNK],
                    )?;
                    entries.reverse();
                }
                Ok(entries.pop())
            }
        }
    }
}

impl Postings {
    fn read(&mut self, tx: &Tx, before: i64) -> Result<(), StoreError> {
        self.entries = tx.all(
            "SELECT ledger FROM search_entry WHERE word = ?1 AND ledger < ?2
             ORDER BY ledger DESC LIMIT ?3",
            &[&self.word, &before, &CHUNK],
        )?;
        self.more = self.entries.len() == CHUNK;
        self.entries.reverse();
        Ok(())
    }
}

impl Part {
    fn read(tx: &Tx, text: String) -> Result<Self, StoreError> {
        let end = format!("{text}{}", char::MAX);
        let found: Vec<(i64, u64)> = tx.all(
            "SELECT DISTINCT e.word, w.messages FROM search_ending AS e
                 CROSS JOIN search_word AS w
             WHERE w.number = e.word AND e.ending >= ?1 AND e.ending < ?2 LIMIT ?3",
            &[&text, &end, &(MOST_WORDS + 1)],
        )?;
        let messages = found.iter().map(|(_, messages)| messages).sum();
        Ok(Self {
            text,
            messages: (found.len() <= MOST_WORDS).then_some(messages),
            words: found.into_iter().map(|(word, _)| word).collect(),
        })
    }

    fn candidates(&self) -> Candidates {
        let postings = self.words.iter().map(|word| Postings {
            word: *word,
            entries: Vec::new(),
            more: true,
        });
        Candidates::OfPart(postings.collect())
    }
}

/// True if each part is in a word of the entry.
fn has_all(tx: &Tx, n: i64, parts: &[Part]) -> Result<bool, StoreError> {
    let words: Vec<String> = tx.all(
        "SELECT w.word FROM search_entry AS e INDEXED BY search_entry_ledger
             CROSS JOIN search_word AS w
         WHERE w.number = e.word AND e.ledger = ?",
        &[&n],
    )?;
    let has = |part: &Part| words.iter().any(|word| word.contains(&part.text));
    Ok(parts.iter().all(has))
}

/// True if an entry passes the other filters. The entry as a whole is read only then, and if it has all parts.
fn passes(tx: &Tx, n: i64, filter: &FindFilter) -> Result<bool, StoreError> {
    let all = filter.since.is_none()
        && filter.until.is_none()
        && filter.verdict.is_none()
        && filter.reason.is_none()
        && filter.portal.is_none();
    if all {
        return Ok(true);
    }
    let found = tx.maybe_with(
        "SELECT received_at, verdict, rule, portal FROM ledger WHERE n = ?",
        &[&n],
        |row| {
            let received_at = row.get::<_, Millis>(0)?.timestamp();
            let (verdict, reason): (Verdict, Reason) = (row.get(1)?, row.get(2)?);
            let portal: Option<PortalName> = row.get(3)?;
            Ok(filter.since.is_none_or(|since| received_at >= since)
                && filter.until.is_none_or(|until| received_at < until)
                && filter.verdict.is_none_or(|wanted| verdict == wanted)
                && filter.reason.is_none_or(|wanted| reason == wanted)
                && (filter.portal.is_none() || portal == filter.portal))
        },
    );
    Ok(readable(found)?.flatten().unwrap_or(false))
}

/// True if the sender's address has this folded part.
fn is_sent_by(entry: &LedgerEntry, part: &str) -> bool {
    let sender = entry.sender.as_ref();
    sender.is_some_and(|sender| fold(&sender.to_string()).contains(part.trim()))
}

/// Reads an entry.
fn read(tx: &Tx, n: i64) -> Result<Option<LedgerEntry>, StoreError> {
    match entries::by_n(tx, n) {
        // It is not shown; `doctor` names it.
        Err(cause) if cause.is_of_row() => Ok(None),
        entry => entry.map(Some),
    }
}

#[cfg(test)]
mod tests;
