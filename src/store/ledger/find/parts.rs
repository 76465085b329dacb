//! The parts of a search text: the words that contain each part, and the number of their entries.

use std::fmt::Write as _;

use super::SearchBounds;
use crate::store::Result;
use crate::store::sql::{ToSql, Tx};

/// Entries of another part that can be read in the time that comparing one entry takes.
const AS_LONG: i64 = 16;

/// The parts of a search text, and the range of the numbers of indexed entries.
pub(super) struct Parts {
    /// Rarest first; parts that are in too many words last.
    all: Vec<SearchPart>,
    /// Number of leading parts whose entries are read and intersected; the result is compared with the other parts.
    read: usize,
    /// Number of the oldest entry, and the number up to which all entries are indexed.
    pub(super) oldest: i64,
    pub(super) newest: i64,
}

/// A part of a search text.
pub(super) struct SearchPart {
    /// Pattern for `LIKE` that finds the part anywhere; `!` escapes wildcards.
    pub(super) pattern: String,
    /// None if it is in more words than are looked up.
    pub(super) words: Option<Words>,
}

/// Maximum words of a part for which the words of an entry are compared by number; with more, comparing their texts
/// is as fast.
const FEW_WORDS: i64 = 16;

/// The words that contain a part.
pub(super) struct Words {
    /// Their numbers, as the parameter of `is_among`.
    pub(super) list: String,
    count: i64,
    /// Entries that have one of them; those with several count several times.
    entries: i64,
}

impl Parts {
    /// Finds the words of all parts, in one statement.
    pub(super) fn read(tx: &Tx, texts: &[String], bounds: &SearchBounds) -> Result<Self> {
        let limit = bounds.words + 1;
        let among = tx.is_among("w.number", "counted.list");
        let mut sql =
            "SELECT -1, ledger, (SELECT min(n) FROM ledger), '' FROM search_progress".to_owned();
        let ends: Vec<_> = texts
            .iter()
            .map(|text| format!("{text}{}", char::MAX))
            .collect();
        let mut parameters: Vec<&dyn ToSql> = Vec::with_capacity(2 * texts.len());
        for (place, (text, end)) in texts.iter().zip(&ends).enumerate() {
            // Words in index order, so that no more of them are read than needed; their entries only if there are
            // not too many words.
            let _ = write!(
                sql,
                " UNION ALL
                 SELECT {place}, counted.words, CASE WHEN counted.words < {limit} THEN CAST((
                     SELECT sum(w.messages) FROM search_word AS w WHERE {among}
                 ) AS bigint) END, counted.list
                 FROM (
                     SELECT count(*) AS words, string_agg(CAST(found.word AS text), ',') AS list
                     FROM (
                         SELECT word FROM search_ending WHERE ending >= ? AND ending < ?
                         ORDER BY ending, word LIMIT {limit}
                     ) AS found
                 ) AS counted",
            );
            parameters.extend([text as &dyn ToSql, end]);
        }
        let mut found = Self {
            all: Vec::new(),
            read: 0,
            oldest: 0,
            newest: 0,
        };
        tx.each(&sql, &parameters, |row| {
            let (place, count): (i64, i64) = (row.get(0)?, row.get(1)?);
            let entries: Option<i64> = row.get(2)?;
            let list: Option<String> = row.get(3)?;
            let text = usize::try_from(place).ok();
            if let Some(text) = text.and_then(|place| texts.get(place)) {
                let words = Words {
                    list: list.unwrap_or_default(),
                    count,
                    entries: entries.unwrap_or(0),
                };
                let is_in_few = usize::try_from(count).is_ok_and(|count| count <= bounds.words);
                found.all.push(SearchPart {
                    pattern: pattern_of(text),
                    words: Some(words).filter(|_| is_in_few),
                });
            } else {
                (found.newest, found.oldest) = (count, entries.unwrap_or(0));
            }
            Ok(())
        })?;
        found.plan(bounds.few);
        Ok(found)
    }

    /// Decides which parts are read and which are compared.
    fn plan(&mut self, few: i64) {
        self.all.sort_by_key(SearchPart::entries);
        let rarest = self.all.first().map_or(0, SearchPart::entries);
        let most = if rarest > few {
            rarest.saturating_mul(AS_LONG)
        } else {
            rarest
        };
        let is_read = |part: &&SearchPart| part.words.is_some() && part.entries() <= most;
        self.read = self.all.iter().take_while(is_read).count();
    }

    /// Number of words whose entries are read: in each window, a word costs as much as an entry.
    pub(super) fn words(&self) -> i64 {
        self.read_words().map(|words| words.count).sum()
    }

    /// True if the search text has exactly one part.
    pub(super) fn are_one(&self) -> bool {
        self.all.len() == 1
    }

    /// True if a part is in no word, or there is no part.
    pub(super) fn find_nothing(&self) -> bool {
        self.all.first().is_none_or(|part| part.entries() == 0)
    }

    /// Words of the parts whose entries are read. Empty if every part is in too many words: then all entries are
    /// compared.
    pub(super) fn read_words(&self) -> impl Iterator<Item = &Words> {
        let read = self.all[..self.read].iter();
        read.filter_map(|part| part.words.as_ref())
    }

    /// Parts that the entries are compared with.
    pub(super) fn to_compare(&self) -> &[SearchPart] {
        &self.all[self.read..]
    }

    /// Number of entries of the parts that are read.
    pub(super) fn entries(&self) -> i64 {
        self.all[..self.read].iter().map(SearchPart::entries).sum()
    }
}

impl Words {
    /// True if comparing another word with them is fast.
    pub(super) fn are_few(&self) -> bool {
        self.count <= FEW_WORDS
    }
}

impl SearchPart {
    fn entries(&self) -> i64 {
        self.words.as_ref().map_or(i64::MAX, |words| words.entries)
    }
}

/// The pattern that finds a text anywhere.
fn pattern_of(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
