//! `--expect`: expected results of messages, one JSON object a line, by the name of the file.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use super::decider::ReplayRow;
use crate::cli::failure::CommandError;

/// The expectations of a file.
pub struct Expectations(HashMap<String, Map<String, Value>>);

impl Expectations {
    /// # Errors
    /// A missing file, one that cannot be read, or one that has a line without a `file`; with the line number.
    pub fn read(path: &Path) -> Result<Self, CommandError> {
        let wrong = |line: usize, what: &dyn std::fmt::Display| {
            CommandError::Usage(format!("{}:{line}: {what}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|cause| match cause.kind() {
            ErrorKind::NotFound => CommandError::not_found("file", path.display()),
            _ => CommandError::Usage(format!("{}: {cause}", path.display())),
        })?;
        let mut expected = HashMap::new();
        for (place, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let mut row: Map<String, Value> =
                serde_json::from_str(line).map_err(|cause| wrong(place + 1, &cause))?;
            let Some(Value::String(file)) = row.remove("file") else {
                return Err(wrong(place + 1, &"\"file\" is missing"));
            };
            if expected.contains_key(&file) {
                return Err(wrong(place + 1, &format_args!("{file} is listed twice")));
            }
            expected.insert(file, row);
        }
        Ok(Self(expected))
    }

    /// Number of messages with expectations.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Names of the messages with expectations.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Differences: the field, the expected value, the actual value. `None` if there is no expectation for this
    /// message. Expected fields that a row does not have are remarks and are not compared.
    pub fn differences(&self, row: &ReplayRow) -> Option<Vec<Difference>> {
        let expected = self.0.get(&row.file)?;
        let Ok(Value::Object(found)) = serde_json::to_value(row) else {
            return Some(Vec::new());
        };
        let differs = |(field, expected): (&String, &Value)| {
            let found = found.get(field)?;
            (found != expected).then(|| Difference {
                field: field.clone(),
                expected: expected.clone(),
                found: found.clone(),
            })
        };
        Some(expected.iter().filter_map(differs).collect())
    }
}

/// One field that differs from the expectation.
#[derive(Debug, serde::Serialize)]
pub struct Difference {
    pub field: String,
    pub expected: Value,
    pub found: Value,
}
