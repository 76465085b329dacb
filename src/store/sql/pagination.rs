//! Pagination of long lists.

/// A page of a long list: at most `limit` rows after the cursor of the previous page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// 0 means 100.
    pub limit: usize,
    pub after: Option<String>,
}

/// The rows of a page with the cursor of the next; without a cursor it was the last page.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
}

impl Page {
    pub(in crate::store) fn rows(&self) -> usize {
        if self.limit == 0 { 100 } else { self.limit }
    }
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            next: None,
        }
    }
}

impl<T> Listed<T> {
    /// Cuts rows with their cursors, of which one more than `limit` was selected.
    pub(in crate::store) fn cut(mut rows: Vec<(T, String)>, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().map(|(_, cursor)| cursor.clone());
        Self {
            next: last.filter(|_| more),
            rows: rows.into_iter().map(|(row, _)| row).collect(),
        }
    }
}
