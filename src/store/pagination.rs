//! Long lists in parts, and what narrows them.

use rusqlite::ToSql;

/// A part of a long list: at most `limit` rows after the cursor of the part before.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// 0 means 100.
    pub limit: usize,
    pub after: Option<String>,
}

/// Rows and where the next part begins; no cursor means that this was the end.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
}

impl Page {
    pub(super) fn rows(&self) -> usize {
        if self.limit == 0 { 100 } else { self.limit }
    }
}

impl<T> Listed<T> {
    /// From rows with their cursors, of which one more than `limit` was asked for.
    pub(super) fn cut(mut rows: Vec<(T, String)>, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().map(|(_, cursor)| cursor.clone());
        Self {
            next: last.filter(|_| more),
            rows: rows.into_iter().map(|(row, _)| row).collect(),
        }
    }
}

/// What a list is narrowed by. Only what is asked for stands in the statement, so that an
/// index can be chosen by it; values never do.
pub(super) struct Conditions<'a> {
    sql: Vec<&'static str>,
    values: Vec<(&'static str, &'a dyn ToSql)>,
}

impl<'a> Conditions<'a> {
    pub(super) fn new() -> Self {
        Self {
            sql: Vec::new(),
            values: Vec::new(),
        }
    }

    /// A condition on the parameter `name`, if there is a value for it.
    pub(super) fn ask<T: ToSql>(
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

    /// A condition without a parameter.
    pub(super) fn always(&mut self, sql: &'static str) {
        self.sql.push(sql);
    }

    pub(super) fn bind<T: ToSql>(&mut self, name: &'static str, value: &'a T) {
        self.values.push((name, value));
    }

    /// For `WHERE`.
    pub(super) fn sql(&self) -> String {
        if self.sql.is_empty() {
            "true".to_owned()
        } else {
            self.sql.join(" AND ")
        }
    }

    pub(super) fn values(&self) -> &[(&'static str, &'a dyn ToSql)] {
        &self.values
    }
}
