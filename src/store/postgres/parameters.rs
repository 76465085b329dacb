//! Parameters of statements, as the server takes them: blobs in binary, everything else as text. The server infers
//! the type of each from the statement.

use std::error::Error;
use std::ops::Range;

use bytes::{BufMut, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

use crate::store::Result;
use crate::store::sql::{SqlValue, ToSql};

/// Format code of blobs, and of all columns of results.
const BINARY: i16 = 1;
/// Format code of everything else.
const TEXT: i16 = 0;

/// Parameters of one statement, or of several rows to insert. Those that are equal are the same to the server.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub(super) struct Parameters {
    formats: Vec<i16>,
    /// Ranges of `octets`; None for NULL.
    values: Vec<Option<Range<usize>>>,
    octets: BytesMut,
}

impl Parameters {
    /// # Errors
    /// A value that cannot be written.
    pub(super) fn of(parameters: &[&dyn ToSql]) -> Result<Self> {
        let mut encoded = Self::default();
        for parameter in parameters {
            parameter.bind(&mut |value| {
                encoded.push(value);
                Ok(())
            })?;
        }
        Ok(encoded)
    }

    fn push(&mut self, value: SqlValue<'_>) {
        let begin = self.octets.len();
        let mut format = TEXT;
        match value {
            SqlValue::Null => {}
            SqlValue::Integer(number) => self.octets.put_slice(number.to_string().as_bytes()),
            SqlValue::Blob(octets) => {
                format = BINARY;
                self.octets.put_slice(octets);
            }
            // A text of PostgreSQL cannot contain NUL.
            SqlValue::Text(text) if text.contains('\0') => {
                let text = text.replace('\0', "\u{fffd}");
                self.octets.put_slice(text.as_bytes());
            }
            SqlValue::Text(text) => self.octets.put_slice(text.as_bytes()),
        }
        self.formats.push(format);
        let is_null = value == SqlValue::Null;
        self.values
            .push((!is_null).then(|| begin..self.octets.len()));
    }

    pub(super) fn set_null(&mut self, index: usize) {
        self.values[index] = None;
    }

    pub(super) fn append(&mut self, other: &Self) {
        let begin = self.octets.len();
        let moved = |value: Range<usize>| begin + value.start..begin + value.end;
        self.formats.extend_from_slice(&other.formats);
        self.values
            .extend(other.values.iter().map(|value| value.clone().map(moved)));
        self.octets.extend_from_slice(&other.octets);
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Octets of all values.
    pub(super) fn size(&self) -> usize {
        self.octets.len()
    }

    /// A value as the server takes it; None for NULL.
    pub(super) fn value(&self, index: usize) -> Option<&[u8]> {
        Some(&self.octets[self.values[index].clone()?])
    }

    /// Writes the message that binds the parameters at these indexes to a statement.
    pub(super) fn bind(
        &self,
        portal: &str,
        statement: &str,
        indexes: Range<usize>,
        output: &mut BytesMut,
    ) -> Result<(), std::io::Error> {
        let bound = frontend::bind(
            portal,
            statement,
            self.formats[indexes.clone()].iter().copied(),
            indexes,
            |index, output| {
                let Some(value) = self.value(index) else {
                    return Ok(IsNull::Yes);
                };
                output.put_slice(value);
                Ok::<_, Box<dyn Error + Send + Sync>>(IsNull::No)
            },
            [BINARY],
            output,
        );
        bound.map_err(|error| match error {
            frontend::BindError::Conversion(cause) => std::io::Error::other(cause),
            frontend::BindError::Serialization(cause) => cause,
        })
    }
}
