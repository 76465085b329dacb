//! Conditions of a list's filter. Only conditions with a value enter the statement, so that the planner can
//! choose an index; the values are always parameters.

use std::fmt::Write as _;

use super::{Row, ToSql, Tx};
use crate::store::StoreError;

/// Conditions with the values of their named parameters.
pub(crate) struct Conditions<'a> {
    sql: Vec<&'static str>,
    names: Vec<&'static str>,
    values: Vec<&'a dyn ToSql>,
}

impl<'a> Conditions<'a> {
    pub(crate) fn new() -> Self {
        Self {
            sql: Vec::new(),
            names: Vec::new(),
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
        self.names.push(name);
        self.values.push(value);
    }

    /// The conditions for `WHERE`.
    pub(crate) fn sql(&self) -> String {
        if self.sql.is_empty() {
            "true".to_owned()
        } else {
            self.sql.join(" AND ")
        }
    }

    /// A statement with the conditions in it, with numbers in place of the names of parameters.
    fn number_parameters(&self, sql: &str) -> String {
        let mut text = String::with_capacity(sql.len());
        let mut left = sql;
        while let Some(place) = left.find(':') {
            let (before, rest) = left.split_at(place);
            let end = rest[1..]
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .map_or(rest.len(), |end| end + 1);
            let (name, after) = rest.split_at(end);
            text.push_str(before);
            match self.names.iter().position(|known| *known == name) {
                Some(number) => {
                    let _ = write!(text, "?{}", number + 1);
                }
                None => text.push_str(name),
            }
            left = after;
        }
        text.push_str(left);
        text
    }

    /// All rows of a statement with these conditions and named parameters, read by `read`.
    ///
    /// # Errors
    /// The statement cannot be run, or those of `read`.
    pub(crate) fn all_with<T>(
        &self,
        tx: &Tx,
        sql: &str,
        read: impl FnMut(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        tx.all_with(&self.number_parameters(sql), &self.values, read)
    }
}
