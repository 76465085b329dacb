//! One window of a search: a range of entry numbers that one statement searches.

use super::FindFilter;
use super::parts::{Parts, SearchPart};
use crate::store::Result;
use crate::store::sql::{Conditions, Tx};

/// A range of numbers, and bounds on the work in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// The first and the last number of the range.
    pub(super) first: i64,
    pub(super) last: i64,
    /// Maximum entries to compare, and maximum hits to return.
    pub(super) compared: usize,
    pub(super) wanted: usize,
}

/// Outcome of a window.
pub(super) struct Searched {
    /// Numbers of entries, the newest first.
    pub(super) hits: Vec<i64>,
    pub(super) compared: usize,
    /// The number down to which the search is complete.
    pub(super) end: i64,
}

impl Window {
    /// Finds the entries that have all parts and pass the filter.
    ///
    /// The statement leaves the planner no choice, because it knows little about the tables: each comparison is a
    /// subquery for one entry, not a join.
    pub(super) fn search(self, tx: &Tx, parts: &Parts, filter: &FindFilter) -> Result<Searched> {
        let mut values = Conditions::default();
        values.ask("l.received_at >= ?", filter.since.as_ref());
        values.ask("l.received_at < ?", filter.until.as_ref());
        values.ask("l.verdict = ?", filter.verdict.as_ref());
        values.ask("l.rule = ?", filter.reason.as_ref());
        values.ask("l.portal = ?", filter.portal.as_ref());
        let mut conditions = Vec::new();
        if values.len() > 0 {
            conditions.push(format!(
                "(SELECT 1 FROM ledger AS l WHERE l.n = candidates.ledger AND {}) = 1",
                values.sql()
            ));
        }
        let [first, last] = [&self.first, &self.last].map(|n| values.bind(n));
        let [compared, wanted] = [&self.compared, &self.wanted].map(|n| values.bind(n));
        let mut sets = Vec::new();
        for words in parts.read_words() {
            sets.push(format!(
                "SELECT e.ledger FROM search_entry AS e
                 WHERE {} AND e.ledger BETWEEN {first} AND {last}",
                tx.is_among("e.word", &values.bind(&words.list))
            ));
        }
        let candidates = match sets.as_slice() {
            [] => format!("SELECT n FROM ledger WHERE n BETWEEN {first} AND {last}"),
            [alone] => alone.replacen("SELECT", "SELECT DISTINCT", 1),
            several => several.join(" INTERSECT "),
        };
        for part in parts.to_compare() {
            conditions.push(condition_of_part(tx, &mut values, part));
        }
        let sql = format!(
            "WITH candidates (ledger) AS MATERIALIZED ({candidates} ORDER BY 1 DESC LIMIT {compared})
             SELECT count(*), min(ledger) FROM candidates
             UNION ALL
             SELECT -1, hits.ledger FROM (
                 SELECT candidates.ledger FROM candidates WHERE {}
                 ORDER BY candidates.ledger DESC LIMIT {wanted}
             ) AS hits",
            match conditions.as_slice() {
                [] => "true".to_owned(),
                all => all.join(" AND "),
            }
        );
        let mut searched = Searched {
            hits: Vec::new(),
            compared: 0,
            end: self.first,
        };
        tx.each(&sql, values.values(), |row| {
            let (count, n): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
            match (usize::try_from(count), n) {
                (Err(_), Some(hit)) => searched.hits.push(hit),
                (Ok(count), Some(oldest)) => {
                    searched.compared = count;
                    if count == self.compared {
                        searched.end = oldest;
                    }
                }
                (_, None) => {}
            }
            Ok(())
        })?;
        searched.hits.sort_unstable_by(|one, other| other.cmp(one));
        if searched.hits.len() == self.wanted {
            searched.end = searched.hits.last().copied().unwrap_or(self.first);
        }
        Ok(searched)
    }
}

/// Condition that a word of an entry contains a part. The unary plus keeps the planner from looking up the words of
/// the part one by one: an entry has only a few words itself.
fn condition_of_part<'a>(tx: &Tx, values: &mut Conditions<'a>, part: &'a SearchPart) -> String {
    let has_part = match part.words.as_ref().filter(|words| words.are_few()) {
        Some(words) => tx.is_among("+e.word", &values.bind(&words.list)),
        None => format!(
            "(SELECT w.word FROM search_word AS w WHERE w.number = e.word) LIKE {} ESCAPE '!'",
            values.bind(&part.pattern)
        ),
    };
    format!(
        "(SELECT 1 FROM search_entry AS e INDEXED BY search_entry_ledger
          WHERE e.ledger = candidates.ledger AND {has_part} LIMIT 1) = 1"
    )
}
