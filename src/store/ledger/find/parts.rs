//! The parts of a question: in which words each is, and how many entries have one of these.

use std::fmt::Write as _;

use super::SearchBounds;
use crate::store::Result;
use crate::store::sql::{ToSql, Tx};

/// Entries of another part that are read in the time in which one entry is compared.
const AS_LONG: i64 = 16;

/// The parts of a question, and the numbers of the entries that are indexed.
pub(super) struct Parts {
    /// The rarest first; those in too many words last.
    all: Vec<QuestionPart>,
    /// Number of the leading parts, whose entries are read and intersected; the result is compared with the rest.
    read: usize,
    /// Numbers of the oldest entry, and of the one up to which all are indexed.
    pub(super) oldest: i64,
    pub(super) newest: i64,
}

/// A part of a question.
pub(super) struct QuestionPart {
    /// Pattern for `LIKE` that finds the part in any place; `!` escapes wildcards.
    pub(super) pattern: String,
    /// None if it is in more words than are looked up.
    pub(super) words: Option<Words>,
}

/// Words of a part up to which those of an entry are compared by number; with more, reading their texts is as fast.
const FEW_WORDS: i64 = 16;

/// The words that have a part.
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
            // The words in the order of the index, so that no more of it are read; and their entries only if
            // there are not too many.
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
                found.all.push(QuestionPart {
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

    /// Decides which of the parts are read, and which are compared.
    fn plan(&mut self, few: i64) {
        self.all.sort_by_key(QuestionPart::entries);
        let rarest = self.all.first().map_or(0, QuestionPart::entries);
        let most = if rarest > few {
            rarest.saturating_mul(AS_LONG)
        } else {
            rarest
        };
        let is_read = |part: &&QuestionPart| part.words.is_some() && part.entries() <= most;
        self.read = self.all.iter().take_while(is_read).count();
    }

    /// Number of words of which entries are read: each of them takes as long as an entry, in each window.
    pub(super) fn words(&self) -> i64 {
        self.read_words().map(|words| words.count).sum()
    }

    /// True if the question has one part.
    pub(super) fn are_one(&self) -> bool {
        self.all.len() == 1
    }

    /// True if a part is in no word, or there is no part.
    pub(super) fn find_nothing(&self) -> bool {
        self.all.first().is_none_or(|part| part.entries() == 0)
    }

    /// Those whose entries are read. None where each part is in too many words: then all entries are compared.
    pub(super) fn read_words(&self) -> impl Iterator<Item = &Words> {
        let read = self.all[..self.read].iter();
        read.filter_map(|part| part.words.as_ref())
    }

    /// Those that the entries are compared with.
    pub(super) fn to_compare(&self) -> &[QuestionPart] {
        &self.all[self.read..]
    }

    /// Entries of the parts that are read.
    pub(super) fn entries(&self) -> i64 {
        self.all[..self.read]
            .iter()
            .map(QuestionPart::entries)
            .sum()
    }
}

impl Words {
    /// True if they are quickly compared with another word.
    pub(super) fn are_few(&self) -> bool {
        self.count <= FEW_WORDS
    }
}

impl QuestionPart {
    fn entries(&self) -> i64 {
        self.words.as_ref().map_or(i64::MAX, |words| words.entries)
    }
}

/// The pattern of a text in any place.
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
