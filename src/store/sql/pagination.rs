//! Pagination and filters of long lists.

use rusqlite::ToSql;

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

/// Conditions of a list's filter. Only conditions with a value enter the statement, so that the planner can
/// choose an index; the values are always parameters.
pub(crate) struct Conditions<'a> {
    sql: Vec<&'static str>,
    values: Vec<(&'static str, &'a dyn ToSql)>,
}

impl<'a> Conditions<'a> {
    pub(crate) fn new() -> Self {
        Self {
            sql: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Adds a condition on the parameter `name`, if it has a value.
    pub(crate) fn ask<T: ToSql>(
        &mut self,
        sql: &'static str,
        name: &'static str,
        value: Option<&'a T>,
    ) {
        if let Some(value) = value {
            self.sql.push(sql);
            self.bind(name, value);
        }
    }

    /// Adds a condition without a parameter.
    pub(crate) fn always(&mut self, sql: &'static str) {
        self.sql.push(sql);
    }

    pub(crate) fn bind<T: ToSql>(&mut self, name: &'static str, value: &'a T) {
        self.values.push((name, value));
    }

    /// The conditions for `WHERE`.
    pub(crate) fn sql(&self) -> String {
        if self.sql.is_empty() {
            "true".to_owned()
        } else {
            self.sql.join(" AND ")
        }
    }

    pub(crate) fn values(&self) -> &[(&'static str, &'a dyn ToSql)] {
        &self.values
    }
}
