//! Errors of the server, by their codes (PostgreSQL's documentation, appendix A).

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

use crate::store::StoreError;

/// An error or a notice of the server.
#[derive(Debug, Clone)]
pub(super) struct ServerMessage {
    /// SQLSTATE: five letters or digits.
    pub(super) code: String,
    pub(super) text: String,
    /// The server ends the session.
    pub(super) is_fatal: bool,
}

impl ServerMessage {
    pub(super) fn read(mut fields: ErrorFields<'_>) -> Self {
        let mut message = Self {
            code: String::new(),
            text: String::new(),
            is_fatal: false,
        };
        while let Ok(Some(field)) = fields.next() {
            let value = || String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => message.code = value(),
                b'M' => message.text = value(),
                // The severity. Poolers send only the field that servers translate (`S`), but do not translate it.
                b'S' | b'V' => {
                    message.is_fatal |= matches!(field.value_bytes(), b"FATAL" | b"PANIC");
                }
                _ => {}
            }
        }
        message
    }

    pub(super) fn into_error(self) -> StoreError {
        let text = format!("{} ({})", self.text, self.code);
        match self.code.as_str() {
            // Or a quota is used up.
            "53100" => StoreError::ServerFull(text),
            // A lock, a query or a transaction took too long; a deadlock; a serialization failure.
            "55P03" | "57014" | "40P01" | "40001" | "25P04" => StoreError::Busy(text),
            "25006" => StoreError::ReadOnly(text),
            "XX001" | "XX002" => StoreError::Damaged(text),
            // A prepared statement that the server does not have, or has already: there is a pooler in between.
            "26000" | "42P05" => StoreError::Away(format!(
                "{text}; behind a pooler in transaction mode, set pooler = true"
            )),
            // Malformed JSON, and octets that are not a text.
            "22P02" | "22021" => StoreError::DamagedRow(text),
            // Classes: connection exception, insufficient resources, operator intervention, and system error.
            code if self.is_fatal
                || ["08", "53", "57", "58"]
                    .iter()
                    .any(|class| code.starts_with(class)) =>
            {
                StoreError::Away(text)
            }
            _ => StoreError::Other(text),
        }
    }
}
