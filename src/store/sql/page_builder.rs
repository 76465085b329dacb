//! A page that is filled by several scans, each of which reads a bounded range.

use super::pagination::{Listed, Page};
use crate::store::{Result, StoreError};

/// Prefix of a cursor that marks the end of a scan instead of a row.
pub(in crate::store) const SCAN_END: &str = "before-";

/// The error for a cursor that no page ended with.
pub(in crate::store) fn unknown_cursor(cursor: &str) -> StoreError {
    StoreError::not_found("cursor", cursor)
}

/// The cursor of a scan that ended before an entry, with the oldest entry of the period if that is known,
/// because finding it takes long.
pub(in crate::store) fn cursor_before(n: i64, oldest: Option<i64>) -> String {
    let oldest = oldest.map(|oldest| format!("-{oldest}"));
    format!("{SCAN_END}{n}{}", oldest.unwrap_or_default())
}

/// Reads [such a cursor](cursor_before); None if the cursor marks a row.
pub(in crate::store) fn end_of_scan(cursor: &str) -> Result<Option<(i64, Option<i64>)>> {
    let Some(end) = cursor.strip_prefix(SCAN_END) else {
        return Ok(None);
    };
    let read = |number: &str| number.parse().map_err(|_| unknown_cursor(cursor));
    Ok(Some(match end.split_once('-') {
        Some((n, oldest)) => (read(n)?, Some(read(oldest)?)),
        None => (read(end)?, None),
    }))
}

/// A page under construction, filled by several scans.
pub(in crate::store) struct PageBuilder<T> {
    limit: usize,
    rows: Vec<T>,
    /// Cursor after which the next scan starts.
    after: Option<String>,
}

impl<T> PageBuilder<T> {
    pub(in crate::store) fn begin(page: &Page) -> Self {
        Self {
            limit: page.rows(),
            rows: Vec::new(),
            after: page.after.clone(),
        }
    }

    /// Parameters of the next scan.
    pub(in crate::store) fn page(&self) -> Page {
        Page {
            limit: self.limit - self.rows.len(),
            after: self.after.clone(),
        }
    }

    /// Adds the rows of a scan. Returns true if it was the last: the page is full, or there are no more rows.
    pub(in crate::store) fn add(&mut self, part: Listed<T>) -> bool {
        self.rows.extend(part.rows);
        self.after = part.next;
        self.rows.len() >= self.limit || self.after.is_none()
    }

    /// Ends the page. The next page continues where the last scan ended.
    pub(in crate::store) fn finish_at_scan_end(self) -> Listed<T> {
        Listed {
            next: self.after,
            rows: self.rows,
        }
    }

    /// Ends the page. The next page continues after its last row, wherever the last scan ended.
    pub(in crate::store) fn end(self, cursor: impl Fn(&T) -> String) -> Listed<T> {
        let last = self.rows.last().map(cursor);
        Listed {
            next: self.after.and(last),
            rows: self.rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LedgerId;

    #[test]
    fn a_list_continues_until_the_page_is_full_or_at_the_end() {
        // Limit, matches of each scan; then the expected numbers of rows and of scans, and whether there are more.
        for (limit, looks, rows, taken, more) in [
            (5, &[5, 1][..], 5, 1, true),
            (5, &[0, 0, 3, 2, 7], 5, 4, true),
            (5, &[0, 0, 3, 2], 5, 4, false),
            (5, &[1, 0, 0], 1, 3, false),
            (5, &[0], 0, 1, false),
        ] {
            let mut builder = PageBuilder::begin(&Page {
                limit,
                after: Some("before-0".to_owned()),
            });
            let mut asked = 0;
            loop {
                let page = builder.page();
                assert_eq!(page.after, Some(format!("before-{asked}")));
                let rows = looks[asked].min(page.limit);
                asked += 1;
                let part = Listed {
                    rows: (0..rows).map(|_| LedgerId::new()).collect(),
                    next: (asked < looks.len()).then(|| format!("before-{asked}")),
                };
                if builder.add(part) {
                    break;
                }
            }
            let listed = builder.end(|id: &LedgerId| id.to_string());
            assert_eq!((listed.rows.len(), asked), (rows, taken), "{looks:?}");
            let last = listed.rows.last().map(ToString::to_string);
            assert_eq!(listed.next, last.filter(|_| more), "{looks:?}");
        }
    }
}
