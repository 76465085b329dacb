//! Rows of a result, as the server sends them: takes octets and the types of their columns, and returns values.

use std::ops::Range;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, RowDescriptionBody};

use crate::store::sql::{Columns, SqlValue};
use crate::store::{Result, StoreError};

/// Names and types of the columns of a result.
#[derive(Debug)]
pub(super) struct ResultColumns(pub(super) Vec<(String, u32)>);

impl ResultColumns {
    pub(super) fn read(body: &RowDescriptionBody) -> std::io::Result<Self> {
        let fields = body.fields();
        fields
            .map(|field| Ok((field.name().to_owned(), field.type_oid())))
            .collect()
            .map(Self)
    }
}

/// Numbers of types, fixed by the server's catalogue (`pg_type.dat`).
pub(super) mod oid {
    pub(in crate::store::postgres) const BOOL: u32 = 16;
    pub(in crate::store::postgres) const BYTEA: u32 = 17;
    pub(in crate::store::postgres) const NAME: u32 = 19;
    pub(in crate::store::postgres) const INT8: u32 = 20;
    pub(in crate::store::postgres) const INT2: u32 = 21;
    pub(in crate::store::postgres) const INT4: u32 = 23;
    pub(in crate::store::postgres) const TEXT: u32 = 25;
    pub(in crate::store::postgres) const UNKNOWN: u32 = 705;
    pub(in crate::store::postgres) const VARCHAR: u32 = 1043;
}

/// A row with its columns, in binary format.
pub(super) struct ResultRow<'a> {
    columns: &'a ResultColumns,
    row: &'a DataRowBody,
    /// Places of the values in the row.
    places: Vec<Option<Range<usize>>>,
}

impl<'a> ResultRow<'a> {
    pub(super) fn of(columns: &'a ResultColumns, row: &'a DataRowBody) -> Result<Self> {
        let places = row
            .ranges()
            .collect()
            .map_err(|cause| StoreError::Away(cause.to_string()))?;
        Ok(Self {
            columns,
            row,
            places,
        })
    }
}

/// The text of a column of a simple query's row.
pub(super) fn text_of(row: &DataRowBody, column: usize) -> Option<String> {
    let place = row.ranges().nth(column).ok()???;
    let octets = row.buffer().get(place)?;
    std::str::from_utf8(octets).ok().map(ToOwned::to_owned)
}

impl Columns for ResultRow<'_> {
    fn value(&self, column: usize) -> Result<SqlValue<'_>> {
        let none = || StoreError::Other(format!("the result has no column {column}"));
        let place = self.places.get(column).ok_or_else(none)?;
        let (name, kind) = self.columns.0.get(column).ok_or_else(none)?;
        let Some(place) = place else {
            return Ok(SqlValue::Null);
        };
        let octets = self.row.buffer().get(place.clone()).ok_or_else(none)?;
        let value = match (*kind, octets) {
            (oid::INT8, octets) => octets.try_into().ok().map(i64::from_be_bytes),
            (oid::INT4, octets) => octets
                .try_into()
                .ok()
                .map(i32::from_be_bytes)
                .map(i64::from),
            (oid::INT2, octets) => octets
                .try_into()
                .ok()
                .map(i16::from_be_bytes)
                .map(i64::from),
            (oid::BOOL, [octet]) => Some(i64::from(*octet != 0)),
            (oid::BYTEA, octets) => return Ok(SqlValue::Blob(octets)),
            (oid::TEXT | oid::VARCHAR | oid::NAME | oid::UNKNOWN, octets) => {
                let text = std::str::from_utf8(octets);
                return text
                    .map(SqlValue::Text)
                    .map_err(|_| StoreError::DamagedRow("a text is not UTF-8".to_owned()));
            }
            _ => None,
        };
        value.map(SqlValue::Integer).ok_or_else(|| {
            StoreError::Other(format!("column {name} has the unsupported type {kind}"))
        })
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.columns.0.iter().position(|(known, _)| known == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use postgres_protocol::message::backend::Message;

    #[test]
    fn a_value_of_another_length_or_type_is_refused() {
        for (kind, octets, expected) in [
            (oid::INT4, &[0, 0, 0, 5][..], Some(SqlValue::Integer(5))),
            (oid::INT2, &[0, 5], Some(SqlValue::Integer(5))),
            (oid::BOOL, &[1], Some(SqlValue::Integer(1))),
            (oid::BYTEA, &[1, 2], Some(SqlValue::Blob(&[1, 2]))),
            (oid::TEXT, "é".as_bytes(), Some(SqlValue::Text("é"))),
            (oid::TEXT, &[0xff], None),
            (oid::INT8, &[0, 5], None),
            (oid::BOOL, &[], None),
            (1700, &[0, 5], None),
        ] {
            let length = |octets: &[u8]| u32::try_from(octets.len()).expect("short").to_be_bytes();
            let body = [&1_u16.to_be_bytes()[..], &length(octets), octets].concat();
            // The length of a message counts itself.
            let whole = length(&[&body[..], &[0; 4]].concat());
            let mut buffer = BytesMut::from([b"D", &whole[..], &body].concat().as_slice());
            let Ok(Some(Message::DataRow(row))) = Message::parse(&mut buffer) else {
                panic!("a row");
            };
            let columns = ResultColumns(vec![("n".to_owned(), kind)]);
            let row = ResultRow::of(&columns, &row).expect("a row");
            assert_eq!(row.value(0).ok(), expected, "{kind}");
        }
    }
}
