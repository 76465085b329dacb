//! Texts of statements: takes portable SQL with `?` or `?1` as parameters, and gives the server's, with `$1`.
//!
//! `?` is one more than the highest number so far, as in `SQLite`. Hints for the other engine's planner are left
//! out. What is in quotes stays as it is.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::rows::ResultColumns;

/// Statements that a session keeps prepared. Beyond, all are prepared anew: texts with lists of conditions come
/// in many forms.
const MOST: usize = 400;

/// A statement as the server knows it.
#[derive(Debug)]
pub(super) struct Statement {
    /// Empty where the server prepares it each time.
    pub(super) name: String,
    pub(super) text: Arc<str>,
    pub(super) parameters: usize,
    /// It changes nothing.
    pub(super) only_reads: bool,
    /// Once it was prepared.
    pub(super) columns: Option<Arc<ResultColumns>>,
    pub(super) is_prepared: bool,
}

/// The statements of a session, by their portable texts.
#[derive(Debug, Default)]
pub(super) struct Statements {
    known: HashMap<Box<str>, Statement>,
    /// Number for the name of the next one. Names are not used again.
    next: u64,
    /// Names that the server may still know.
    forgotten: Vec<String>,
}

impl Statements {
    /// The statement of a text. Behind a pooler it has no name. Sets `is_full` once all have to be forgotten by
    /// the server, too.
    pub(super) fn find(&mut self, sql: &str, has_name: bool, is_full: &mut bool) -> &mut Statement {
        if !self.known.contains_key(sql) {
            if self.known.len() >= MOST {
                self.known.clear();
                *is_full = true;
            }
            let (text, parameters) = translate(sql);
            self.next += 1;
            let name = if has_name {
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
            self.known.insert(sql.into(), statement);
        }
        self.known.get_mut(sql).expect("it was inserted")
    }

    /// Forgets one: it is prepared anew when it is needed again.
    pub(super) fn forget(&mut self, sql: &str) {
        if let Some(statement) = self.known.remove(sql)
            && !statement.name.is_empty()
        {
            self.forgotten.push(statement.name);
        }
    }

    /// Names that the server has to forget, too.
    pub(super) fn take_forgotten(&mut self) -> Vec<String> {
        std::mem::take(&mut self.forgotten)
    }

    /// Forgets all, after the server did.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.forgotten.clear();
    }
}

/// Translates a statement. Returns the number of its parameters, too.
fn translate(sql: &str) -> (String, usize) {
    let mut text = String::with_capacity(sql.len() + 16);
    let mut highest = 0;
    let mut rest = sql;
    while let Some(place) = rest.find(['?', '\'', '"', 'I', 'N']) {
        text.push_str(&rest[..place]);
        rest = &rest[place..];
        let mark = rest.as_bytes()[0];
        let is_word = !text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if mark == b'?' {
            let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
            let number = rest[1..=digits].parse().unwrap_or(highest + 1);
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
            assert_eq!(translate(sql), (text.to_owned(), parameters), "{sql}");
        }
    }
}
