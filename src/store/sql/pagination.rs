//! Pagination of long lists.

/// A page of a long list: at most `limit` rows after the cursor of the previous page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// 0 means 100.
    pub limit: usize,
    pub after: Option<String>,
}

/// Order of a list by time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListOrder {
    #[default]
    NewestFirst,
    OldestFirst,
}

impl ListOrder {
    /// The direction of `ORDER BY`.
    pub(in crate::store) fn direction(self) -> &'static str {
        match self {
            Self::NewestFirst => "DESC",
            Self::OldestFirst => "ASC",
        }
    }
}

/// The rows of a page with the cursor of the next; without a cursor it was the last page.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
}

impl Page {
    /// The first page of a list.
    pub fn first(limit: usize) -> Self {
        Self { limit, after: None }
    }

    pub(crate) fn rows(&self) -> usize {
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
    /// Makes a page of rows with their cursors, of which up to one more than `limit` was selected.
    pub(in crate::store) fn cut(rows: Vec<(T, String)>, limit: usize) -> Self {
        Self::cut_at(rows, limit, None)
    }

    /// Like [`cut`](Self::cut), for a scan that ended at the cursor `end`: None if it reached the end of the list.
    pub(in crate::store) fn cut_at(
        mut rows: Vec<(T, String)>,
        limit: usize,
        end: Option<String>,
    ) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().map(|(_, cursor)| cursor.clone());
        Self {
            next: if more { last } else { end },
            rows: rows.into_iter().map(|(row, _)| row).collect(),
        }
    }
}
