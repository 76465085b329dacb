//! Finds entries by parts of the sender's address and name and of the subject, newest first.
//!
//! A search is answered from the index of [`search_index`](super::search_index) by one bounded scan, which needs few
//! statements however many words and entries there are. The scan goes through [windows](window) of entry numbers,
//! from the newest down, until its page is full or its bounds are reached. In each window it intersects the entries
//! of the rarest parts, and compares the remaining entries with the other parts. A scan that ends before its page
//! is full has a cursor from which the search continues.

mod parts;
mod window;

use self::parts::Parts;
use self::window::Window;
use super::search_words::{fold, parts_of};
use super::{entries, lists};
use crate::domain::{PortalName, Reason, Timestamp, Verdict};
use crate::store::rows::entry_ids::n_of;
use crate::store::sql::Tx;
use crate::store::sql::page_builder::{cursor_before, end_of_scan};
use crate::store::{LedgerEntry, LedgerFilter, Listed, Page, Result, Store};

/// Bounds on the work of one scan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SearchBounds {
    /// Maximum words that contain a part; with more, their entries are not looked up.
    words: usize,
    /// If the rarest part has at most this many entries, all of them are compared with the more frequent parts,
    /// whose entries are then not read.
    few: i64,
    /// Approximate numbers of entries that are read and compared, each in the whole scan and in its first window.
    read: i64,
    first_read: i64,
    compared: usize,
    first_compared: usize,
    /// Maximum size of the first window if there are more entries than may be read: a word may have come into use
    /// only recently.
    first_width: i64,
}

impl SearchBounds {
    const OF_A_SCAN: Self = Self {
        words: 3_000,
        few: 1_000,
        read: 60_000,
        first_read: 4_000,
        compared: 2_000,
        first_compared: 250,
        first_width: 50_000,
    };
}

/// Factor by which each window is larger than the one before.
const GROWTH: u8 = 4;

/// Entries that are not indexed are counted up to this number.
pub const MAX_NOT_INDEXED: u64 = 1000;

/// Search for entries.
#[derive(Debug, Clone, Default)]
pub struct FindFilter {
    /// Parts of the sender's address and name and words of the subject; each must match.
    pub search_text: String,
    /// Part of the sender's address, in addition.
    pub sender: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub verdict: Option<Verdict>,
    pub reason: Option<Reason>,
    pub portal: Option<PortalName>,
    pub page: Page,
}

impl FindFilter {
    /// True if the filter has conditions besides the parts.
    fn is_narrowed(&self) -> bool {
        self.since.is_some()
            || self.until.is_some()
            || self.verdict.is_some()
            || self.reason.is_some()
            || self.portal.is_some()
    }
}

impl From<LedgerFilter> for FindFilter {
    /// Converts a list filtered by a part of the sender's address.
    fn from(filter: LedgerFilter) -> Self {
        Self {
            search_text: String::new(),
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
    /// Entries found by one scan, in the order of their commits, newest first; the page may be short although more
    /// entries match. Without anything to search for, it is empty.
    pub async fn find_entries(&self, filter: FindFilter) -> Result<Listed<LedgerEntry>> {
        self.read(move |tx| find(tx, &filter)).await
    }

    /// Number of entries that are not indexed yet or changed since, up to [`MAX_NOT_INDEXED`].
    pub async fn not_indexed(&self) -> Result<u64> {
        self.read(not_indexed).await
    }
}

pub(crate) fn not_indexed(tx: &Tx) -> Result<u64> {
    tx.one(
        "SELECT count(*) FROM (
             SELECT n FROM ledger WHERE n > (SELECT ledger FROM search_progress)
             UNION ALL
             SELECT ledger FROM search_due AS due
             WHERE ledger <= (SELECT ledger FROM search_progress)
             LIMIT ?
         ) AS unindexed",
        &[&MAX_NOT_INDEXED],
    )
}

pub(crate) fn find(tx: &Tx, filter: &FindFilter) -> Result<Listed<LedgerEntry>> {
    find_within(tx, filter, &SearchBounds::OF_A_SCAN)
}

fn find_within(tx: &Tx, filter: &FindFilter, bounds: &SearchBounds) -> Result<Listed<LedgerEntry>> {
    let sender = filter.sender.as_deref();
    let search_text = format!("{} {}", filter.search_text, sender.unwrap_or(""));
    let texts = parts_of(&search_text);
    if texts.is_empty() {
        return Ok(Listed::default());
    }
    let parts = Parts::read(tx, &texts, bounds)?;
    if parts.find_nothing() {
        return Ok(Listed::default());
    }
    let mut scan = Scan::begin(tx, filter, &parts, bounds)?;
    let wanted = filter.page.rows() + 1;
    let sender = sender.map(fold);
    let sender = sender.as_deref().map(str::trim);
    let mut found: Vec<(i64, LedgerEntry)> = Vec::new();
    while let Some(window) = scan.next_window(wanted - found.len()) {
        let searched = window.search(tx, &parts, filter)?;
        let mut read = entries::by_numbers(tx, &searched.hits)?;
        let compared = match sender {
            _ if scan.compares => searched.compared,
            // Hits must be checked: anybody can write the part into a subject.
            Some(_) => searched.hits.len(),
            None => 0,
        };
        scan.go_on(searched.end, compared);
        if let Some(part) = sender {
            read.retain(|(_, entry)| is_sent_by(entry, part));
        }
        found.extend(read);
    }
    let next = if found.len() == wanted {
        found.pop();
        found.last().map(|(n, _)| *n)
    } else {
        Some(scan.before).filter(|_| !scan.is_at_end())
    };
    Ok(Listed {
        rows: found.into_iter().map(|(_, entry)| entry).collect(),
        next: next.map(|n| cursor_before(n, scan.oldest)),
    })
}

/// Progress of one scan: the remaining entries, and the work that it may still do.
struct Scan {
    /// Exclusive upper end of the remaining numbers, and their lower end if the period has one.
    before: i64,
    oldest: Option<i64>,
    /// Number of the oldest entry; size of the range from there to the newest; estimated entries of the parts that
    /// are read.
    first: i64,
    span: i64,
    entries: i64,
    /// Numbers in the next window.
    width: i64,
    left_to_read: i64,
    compares: bool,
    compared_next: usize,
    left_to_compare: usize,
}

impl Scan {
    fn begin(tx: &Tx, filter: &FindFilter, parts: &Parts, bounds: &SearchBounds) -> Result<Self> {
        let (before, oldest) = match filter.page.after.as_deref() {
            Some(cursor) => match end_of_scan(cursor)? {
                Some(end) => end,
                None => (n_of(tx, cursor)?, None),
            },
            None => (i64::MAX, None),
        };
        let mut scan = Self {
            before: before.min(parts.newest.saturating_add(1)),
            oldest,
            first: parts.oldest,
            span: parts.newest.saturating_sub(parts.oldest).max(0) + 1,
            entries: parts.entries(),
            width: i64::MAX,
            left_to_read: bounds.read,
            compares: filter.is_narrowed() || !parts.to_compare().is_empty(),
            compared_next: bounds.first_compared,
            left_to_compare: bounds.compared,
        };
        // If there is only one part, each of its entries is a hit.
        let first_read = if parts.are_one() && !scan.compares {
            let wanted = i64::try_from(filter.page.rows() + 1).unwrap_or(bounds.read);
            (2 * wanted).max(parts.words())
        } else {
            bounds.first_read
        };
        // One scan can read and compare all of them, whatever the period is.
        let can_be_compared = i64::try_from(bounds.compared).unwrap_or(i64::MAX);
        if (1..=first_read.min(can_be_compared)).contains(&scan.entries) {
            return Ok(scan);
        }
        scan.width = scan.numbers_with(first_read);
        if scan.entries > bounds.read {
            scan.width = scan.width.min(bounds.first_width);
        }
        scan.keep_within(tx, filter)?;
        Ok(scan)
    }

    /// Excludes numbers that are certainly outside the period.
    fn keep_within(&mut self, tx: &Tx, filter: &FindFilter) -> Result<()> {
        // An earlier scan did this.
        if self.oldest.is_some() {
            return Ok(());
        }
        // Later pages begin before this end.
        if let Some(until) = filter.until.filter(|_| filter.page.after.is_none()) {
            self.before = self.before.min(lists::after_all_before(tx, until)?);
        }
        if let Some(since) = filter.since {
            self.oldest = Some(lists::before_all_since(tx, since)?);
        }
        Ok(())
    }

    /// Estimated size of a range of numbers in which the parts have `entries` entries.
    fn numbers_with(&self, entries: i64) -> i64 {
        let numbers = self.span.saturating_mul(entries).checked_div(self.entries);
        numbers.map_or(i64::MAX, |numbers| numbers.max(1))
    }

    fn is_at_end(&self) -> bool {
        self.before <= self.oldest.unwrap_or(self.first).max(self.first)
    }

    /// The next window; None at the end of the search or of the scan, or if nothing more is wanted.
    fn next_window(&self, wanted: usize) -> Option<Window> {
        let may_go_on = self.left_to_read > 0 && self.left_to_compare > 0;
        if wanted == 0 || !may_go_on || self.is_at_end() {
            return None;
        }
        let width = self.width.min(self.numbers_with(self.left_to_read));
        let first = self.before.saturating_sub(width);
        Some(Window {
            first: first.max(self.oldest.unwrap_or(self.first)),
            last: self.before - 1,
            compared: if self.compares {
                self.compared_next.min(self.left_to_compare)
            } else {
                wanted
            },
            wanted,
        })
    }

    /// Continues after a window that was searched down to `end`.
    fn go_on(&mut self, end: i64, compared: usize) {
        let numbers = self.before.saturating_sub(end);
        let read = self.entries.saturating_mul(numbers) / self.span;
        self.left_to_read -= read.max(1);
        self.left_to_compare = self.left_to_compare.saturating_sub(compared);
        self.before = end;
        self.width = self.width.saturating_mul(GROWTH.into());
        self.compared_next = self.compared_next.saturating_mul(GROWTH.into());
    }
}

/// True if the sender's address contains this folded part.
fn is_sent_by(entry: &LedgerEntry, part: &str) -> bool {
    let sender = entry.sender.as_ref();
    sender.is_some_and(|sender| fold(&sender.to_string()).contains(part))
}

#[cfg(test)]
mod tests;
