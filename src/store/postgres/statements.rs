//! Prepared statements of a session, and the translation of portable SQL, with `?` or `?1` as parameters, into the
//! server's, with `$1`.
//!
//! `?` is one more than the highest number so far, as in `SQLite`. Hints for `SQLite`'s planner are removed. Quoted
//! text is copied unchanged.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use postgres_protocol::message::frontend;

use super::insert_batches::InsertBatch;
use super::parameters::Parameters;
use super::pipeline::UNNAMED_PORTAL;
use super::rows::ResultColumns;
use super::wire::{ProtocolConnection, ServerAnswer};
use crate::store::{Result, StoreError};

/// Maximum number of statements that a session keeps prepared. Beyond it, all are dropped and prepared anew: a list
/// with filters has many forms.
const MAX_STATEMENTS: usize = 400;

/// A statement as the server knows it.
#[derive(Debug)]
pub(super) struct Statement {
    /// Empty where the server prepares it each time.
    name: String,
    text: Arc<str>,
    parameters: usize,
    /// True for a SELECT.
    pub(super) only_reads: bool,
    /// Known once the statement was described.
    columns: Option<Arc<ResultColumns>>,
    is_prepared: bool,
}

impl Statement {
    /// Takes the columns from an answer that has them, or adds them to an answer that does not.
    pub(super) fn learn_columns(&mut self, answer: &mut ServerAnswer) {
        if answer.columns.is_some() {
            self.columns.clone_from(&answer.columns);
        } else {
            answer.columns.clone_from(&self.columns);
        }
    }
}

/// The statements of a session, by their keys: the portable text, or for several rows their number with it.
#[derive(Debug)]
pub(super) struct Statements {
    /// False behind a pooler: each statement is prepared each time.
    have_names: bool,
    known: HashMap<Box<str>, Statement>,
    /// Number for the name of the next one. Names are not used again.
    next: u64,
    /// Names that the server may still know.
    forgotten: Vec<String>,
}

impl Statements {
    pub(super) fn new(have_names: bool) -> Self {
        Self {
            have_names,
            known: HashMap::new(),
            next: 0,
            forgotten: Vec::new(),
        }
    }

    /// True if the statement is known, or can be added without dropping the others.
    pub(super) fn have_room_for(&self, sql: &str) -> bool {
        self.known.len() < MAX_STATEMENTS || self.known.contains_key(sql)
    }

    pub(super) fn have_names(&self) -> bool {
        self.have_names
    }

    /// Writes the messages that run a statement and fetch the first rows of its result, or none of them if the number
    /// of parameters is wrong. The statement counts as prepared from then on.
    pub(super) fn write(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        portal: &str,
        rows: i32,
        wire: &mut ProtocolConnection,
    ) -> Result<&mut Statement> {
        let indexes = 0..parameters.len();
        self.add(sql, || translate(sql, 0));
        self.write_added(sql, (parameters, indexes), portal, rows, wire)
    }

    /// Writes the messages that insert `rows` rows of a batch, beginning with row `from`. Returns the key of their
    /// statement.
    pub(super) fn write_rows(
        &mut self,
        batch: &InsertBatch,
        from: usize,
        rows: usize,
        wire: &mut ProtocolConnection,
    ) -> Result<Box<str>> {
        let width = batch.width();
        let indexes = from * width..(from + rows) * width;
        let key = format!("{rows} rows: {}", batch.sql);
        self.add(&key, || translate_rows(&batch.sql, rows));
        self.write_added(&key, (&batch.parameters, indexes), UNNAMED_PORTAL, 0, wire)?;
        Ok(key.into())
    }

    fn write_added(
        &mut self,
        key: &str,
        (parameters, indexes): (&Parameters, Range<usize>),
        portal: &str,
        rows: i32,
        wire: &mut ProtocolConnection,
    ) -> Result<&mut Statement> {
        let statement = self.known.get_mut(key).expect("it was added");
        if statement.parameters != indexes.len() {
            return Err(StoreError::Other(format!(
                "{} parameters for a statement with {}",
                indexes.len(),
                statement.parameters
            )));
        }
        let forgotten = std::mem::take(&mut self.forgotten);
        let is_new = !statement.is_prepared || statement.name.is_empty();
        let needs_columns = rows > 0 && (is_new || statement.columns.is_none());
        let output = wire.output();
        let begin = output.len();
        let written = (|| {
            for name in forgotten {
                frontend::close(b'S', &name, output)?;
            }
            if is_new {
                frontend::parse(&statement.name, &statement.text, [], output)?;
            }
            // A portal that was not read to its end still exists.
            if portal != UNNAMED_PORTAL {
                frontend::close(b'P', portal, output)?;
            }
            parameters.bind(portal, &statement.name, indexes, output)?;
            if needs_columns {
                frontend::describe(b'P', portal, output)?;
            }
            frontend::execute(portal, rows, output)
        })();
        if let Err(cause) = written {
            // Earlier messages remain.
            output.truncate(begin);
            return Err(StoreError::Other(cause.to_string()));
        }
        statement.is_prepared = true;
        Ok(statement)
    }

    /// Adds a statement unless it is known. Behind a pooler it has no name.
    fn add(&mut self, key: &str, translate: impl FnOnce() -> (String, usize)) {
        if self.known.contains_key(key) {
            return;
        }
        let (text, parameters) = translate();
        self.next += 1;
        let name = if self.have_names {
            format!("s{}", self.next)
        } else {
            String::new()
        };
        let statement = Statement {
            name,
            only_reads: text
                .trim_start()
                .get(..6)
                .is_some_and(|word| word.eq_ignore_ascii_case("SELECT")),
            text: text.into(),
            parameters,
            columns: None,
            is_prepared: false,
        };
        self.known.insert(key.into(), statement);
    }

    /// Finds a statement by its text.
    pub(super) fn get(&mut self, sql: &str) -> Option<&mut Statement> {
        self.known.get_mut(sql)
    }

    /// Removes a statement: it is prepared anew when it is next used.
    pub(super) fn remove(&mut self, sql: &str) {
        if let Some(statement) = self.known.remove(sql)
            && !statement.name.is_empty()
        {
            self.forgotten.push(statement.name);
        }
    }

    /// Removes all statements, after the server did.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.forgotten.clear();
    }
}

/// Translates a statement that inserts one row, `INSERT INTO … VALUES (…)`, into one that inserts several.
fn translate_rows(sql: &str, rows: usize) -> (String, usize) {
    const VALUES: &str = " VALUES ";
    let head = sql.find(VALUES).map_or(sql.len(), |at| at + VALUES.len());
    let (mut text, mut parameters) = translate(&sql[..head], 0);
    for row in 0..rows {
        let (values, highest) = translate(&sql[head..], parameters);
        if row > 0 {
            text.push_str(", ");
        }
        text.push_str(&values);
        parameters = highest;
    }
    (text, parameters)
}

/// Translates a statement whose parameters are numbered after `before`. Also returns the highest number.
fn translate(sql: &str, before: usize) -> (String, usize) {
    let mut text = String::with_capacity(sql.len() + 16);
    let mut highest = before;
    let mut rest = sql;
    while let Some(place) = rest.find(['?', '\'', '"', 'I', 'N']) {
        text.push_str(&rest[..place]);
        rest = &rest[place..];
        let mark = rest.as_bytes()[0];
        let is_word = !text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if mark == b'?' {
            let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
            let number: Option<usize> = rest[1..=digits].parse().ok();
            let number = number.map_or(highest + 1, |number| before + number);
            highest = highest.max(number);
            let _ = write!(text, "${number}");
            rest = &rest[1 + digits..];
        } else if mark == b'\'' || mark == b'"' {
            let end = rest[1..]
                .find(char::from(mark))
                .map_or(rest.len(), |end| end + 2);
            text.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if let Some(after) = rest.strip_prefix("NOT INDEXED").filter(|_| is_word) {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("INDEXED BY").filter(|_| is_word) {
            let name = after.trim_start();
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            rest = &name[end.unwrap_or(name.len())..];
        } else {
            text.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    (text, highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_and_hints_left_out() {
        for (sql, text, parameters) in [
            ("SELECT 1", "SELECT 1", 0),
            ("a = ? AND b = ?", "a = $1 AND b = $2", 2),
            (
                "a = ?2 AND b = ?1 AND c = ?",
                "a = $2 AND b = $1 AND c = $3",
                3,
            ),
            ("a = ?1 OR b = ?1", "a = $1 OR b = $1", 1),
            (
                "'?' || ? || 'it''s ?' || \"?\"",
                "'?' || $1 || 'it''s ?' || \"?\"",
                1,
            ),
            (
                "FROM letter INDEXED BY letter_due WHERE n = ?",
                "FROM letter  WHERE n = $1",
                1,
            ),
            ("FROM letter INDEXED BY\n  letter_due", "FROM letter ", 0),
            ("FROM a NOT INDEXED, b", "FROM a , b", 0),
            ("NOT IN (?) AND INDEX", "NOT IN ($1) AND INDEX", 1),
            ("'unfinished ?", "'unfinished ?", 0),
            ("é = ? -- ñ", "é = $1 -- ñ", 1),
        ] {
            assert_eq!(translate(sql, 0), (text.to_owned(), parameters), "{sql}");
        }
    }

    #[test]
    fn a_row_is_repeated_with_parameters_of_its_own() {
        let inserted = translate_rows("INSERT INTO a (b, c) VALUES (?, ?)", 2);
        let text = "INSERT INTO a (b, c) VALUES ($1, $2), ($3, $4)";
        assert_eq!(inserted, (text.to_owned(), 4));
        let inserted = translate_rows("INSERT INTO a (b, c) VALUES (?2, '?' || ?1 || ?2)", 2);
        let text = "INSERT INTO a (b, c) VALUES ($2, '?' || $1 || $2), ($4, '?' || $3 || $4)";
        assert_eq!(inserted, (text.to_owned(), 4));
        let one = "INSERT INTO a (b) VALUES (?)";
        assert_eq!(translate_rows(one, 1), translate(one, 0));
    }
}
