//! Parameters of statements, as the server takes them: texts, except for octets. The server takes the type of each
//! from the statement.

use std::error::Error;
use std::ops::Range;

use bytes::{BufMut, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

use crate::store::Result;
use crate::store::sql::{SqlValue, ToSql};

/// Format code of octets, and of everything else.
const BINARY: i16 = 1;
const TEXT: i16 = 0;

/// Parameters of one statement, or of several rows to insert.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    formats: Vec<i16>,
    /// Places in the octets; None for NULL.
    values: Vec<Option<Range<usize>>>,
    octets: BytesMut,
}

impl Parameters {
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
            // The server has no NUL in a text.
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

    pub(super) fn set_null(&mut self, place: usize) {
        self.values[place] = None;
    }

    pub(super) fn append(&mut self, others: &Self) {
        let begin = self.octets.len();
        let moved = |value: Range<usize>| begin + value.start..begin + value.end;
        self.formats.extend_from_slice(&others.formats);
        self.values
            .extend(others.values.iter().map(|value| value.clone().map(moved)));
        self.octets.extend_from_slice(&others.octets);
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Octets of all values.
    pub(super) fn octets(&self) -> usize {
        self.octets.len()
    }

    /// A value as the server takes it; None for NULL.
    pub(super) fn value(&self, place: usize) -> Option<&[u8]> {
        Some(&self.octets[self.values[place].clone()?])
    }

    /// Writes the message that binds some of them to a statement.
    pub(super) fn bind(
        &self,
        portal: &str,
        statement: &str,
        places: Range<usize>,
        output: &mut BytesMut,
    ) -> Result<(), std::io::Error> {
        let bound = frontend::bind(
            portal,
            statement,
            self.formats[places.clone()].iter().copied(),
            places,
            |place, output| {
                let Some(value) = self.value(place) else {
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
