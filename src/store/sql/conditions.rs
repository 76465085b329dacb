//! Conditions of a list's filter. Only conditions with a value enter the statement, so that the planner can
//! choose an index; the values are always parameters.

use super::time_cursor::TimeCursor;
use super::{Row, ToSql, Tx};
use crate::store::{Listed, Page, Result};

/// Conditions with the values of their numbered parameters.
#[derive(Default)]
pub(crate) struct Conditions<'a> {
    sql: Vec<String>,
    values: Vec<&'a dyn ToSql>,
}

impl<'a> Conditions<'a> {
    /// Adds a value, and returns the parameter that stands for it.
    pub(crate) fn bind(&mut self, value: &'a dyn ToSql) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    /// Adds a condition in which `?` stands for the value, if there is one.
    pub(crate) fn ask<T: ToSql>(&mut self, sql: &str, value: Option<&'a T>) {
        if let Some(value) = value {
            let parameter = self.bind(value);
            self.sql.push(sql.replace('?', &parameter));
        }
    }

    /// Adds a comparison with a place, if there is one: `ask_place("(e.at, e.n) <", after)`.
    pub(crate) fn ask_place(&mut self, sql: &str, place: Option<&'a TimeCursor>) {
        if let Some(place) = place {
            let (at, n) = (self.bind(&place.at), self.bind(&place.n));
            self.sql.push(format!("{sql} ({at}, {n})"));
        }
    }

    /// Adds a condition as it is.
    pub(crate) fn always(&mut self, sql: &str) {
        self.sql.push(sql.to_owned());
    }

    /// Number of conditions.
    pub(crate) fn len(&self) -> usize {
        self.sql.len()
    }

    /// The conditions for `WHERE`.
    pub(crate) fn sql(&self) -> String {
        if self.sql.is_empty() {
            "true".to_owned()
        } else {
            self.sql.join(" AND ")
        }
    }

    /// The parameters of a statement with these conditions.
    pub(crate) fn values(&self) -> &[&'a dyn ToSql] {
        &self.values
    }

    /// Reads a page of the rows of a statement that has these conditions and no LIMIT. `read` returns each row with
    /// its cursor.
    pub(crate) fn page<T>(
        self,
        tx: &Tx,
        sql: &str,
        page: &Page,
        read: impl FnMut(&Row) -> Result<(T, String)>,
    ) -> Result<Listed<T>> {
        let limit = page.rows() + 1;
        let mut values: Vec<&dyn ToSql> = self.values;
        values.push(&limit);
        let rows = tx.all_with(&format!("{sql} LIMIT ?{}", values.len()), &values, read)?;
        Ok(Listed::cut(rows, page.rows()))
    }
}
