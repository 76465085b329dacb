//! Rows: columns by number or name, decoded into the types of the program.

use super::{FromSql, SqlValue};
use crate::store::{Result, StoreError};

/// The columns of a row as an engine offers them.
pub(crate) trait Columns {
    /// Value of the column with this number, from 0.
    ///
    /// # Errors
    /// There is no such column, or the value has an unsupported type.
    fn value(&self, column: usize) -> Result<SqlValue<'_>>;

    /// Number of the column with this name.
    fn number(&self, name: &str) -> Option<usize>;
}

/// A row of a result, valid until the next one is read.
pub(crate) struct Row<'a>(&'a dyn Columns);

/// The number or the name of a column.
pub(crate) trait ColumnKey: Copy {
    fn number(self, columns: &dyn Columns) -> Result<usize>;
}

impl ColumnKey for usize {
    fn number(self, _: &dyn Columns) -> Result<usize> {
        Ok(self)
    }
}

impl ColumnKey for &str {
    fn number(self, columns: &dyn Columns) -> Result<usize> {
        let unknown = || StoreError::Other(format!("the result has no column {self}"));
        columns.number(self).ok_or_else(unknown)
    }
}

impl<'a> Row<'a> {
    pub(crate) fn of(columns: &'a dyn Columns) -> Self {
        Self(columns)
    }

    /// Decodes a column.
    ///
    /// # Errors
    /// `DamagedRow` for a value of the wrong type.
    pub(crate) fn get<C: ColumnKey, T: FromSql>(&self, column: C) -> Result<T> {
        T::from_sql(self.value(column)?)
    }

    /// The value of a column as it is.
    ///
    /// # Errors
    /// There is no such column.
    pub(crate) fn value<C: ColumnKey>(&self, column: C) -> Result<SqlValue<'_>> {
        self.0.value(column.number(self.0)?)
    }
}

/// A type that a row is decoded into: that of a column, a tuple of columns, or a struct of an operation.
pub(crate) trait FromRow: Sized {
    /// # Errors
    /// `DamagedRow` for a value of the wrong type.
    fn from_row(row: &Row) -> Result<Self>;
}

impl<T: FromSql> FromRow for T {
    fn from_row(row: &Row) -> Result<Self> {
        row.get(0)
    }
}

macro_rules! tuples {
    ($($($column:ident $number:literal),+;)+) => {$(
        impl<$($column: FromSql),+> FromRow for ($($column,)+) {
            fn from_row(row: &Row) -> Result<Self> {
                Ok(($(row.get::<usize, $column>($number)?,)+))
            }
        }
    )+};
}
tuples!(
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
);
