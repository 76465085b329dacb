//! Values of columns and parameters, and their conversion from and to the types of the program.

use crate::store::{Result, StoreError};

/// A value of a column or a parameter. Both engines store these and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SqlValue<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl<'a> SqlValue<'a> {
    /// # Errors
    /// `DamagedRow` for a value of another type.
    pub(crate) fn text(self) -> Result<&'a str> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(other.mismatch("a text")),
        }
    }

    /// # Errors
    /// `DamagedRow` for a value of another type.
    pub(crate) fn integer(self) -> Result<i64> {
        match self {
            Self::Integer(number) => Ok(number),
            other => Err(other.mismatch("a number")),
        }
    }

    /// The text; empty for any other value.
    pub(crate) fn text_or_empty(self) -> &'a str {
        self.text().unwrap_or_default()
    }

    /// The error for a value that cannot be decoded.
    pub(crate) fn mismatch(self, expected: &str) -> StoreError {
        let found = match self {
            Self::Null => "NULL".to_owned(),
            Self::Integer(number) => number.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::Blob(octets) => format!("{} octets", octets.len()),
        };
        StoreError::DamagedRow(format!("{found} is not {expected}"))
    }
}

/// A list of numbers as a parameter, for [`is_among`](super::EngineSession::is_among).
pub(crate) fn list_of(numbers: &[i64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(",")
}

/// A parameter of a statement.
pub(crate) trait ToSql {
    /// Passes the value to `bind`, which copies it.
    ///
    /// # Errors
    /// Those of `bind`.
    fn bind(&self, bind: &mut Bind<'_>) -> Result<()>;
}

/// Receives the value of a parameter.
pub(crate) type Bind<'a> = dyn FnMut(SqlValue<'_>) -> Result<()> + 'a;

/// The type of a column.
pub(crate) trait FromSql: Sized {
    /// # Errors
    /// `DamagedRow` for a value that the column should not have.
    fn from_sql(value: SqlValue<'_>) -> Result<Self>;
}

macro_rules! integers {
    ($($number:ty),+) => {$(
        impl ToSql for $number {
            fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
                bind(SqlValue::Integer(i64::try_from(*self).unwrap_or(i64::MAX)))
            }
        }

        impl FromSql for $number {
            fn from_sql(value: SqlValue<'_>) -> Result<Self> {
                let number = value.integer()?;
                Self::try_from(number).map_err(|_| value.mismatch("in the range of its column"))
            }
        }
    )+};
}
integers!(u8, u16, u32, u64, usize);

/// Implements [`ToSql`] by an expression for the value of each type:
/// `to_sql!(bool: is => SqlValue::Integer(i64::from(*is)))`.
macro_rules! to_sql {
    ($($type:ty: $parameter:ident => $value:expr);+ $(;)?) => {$(
        impl ToSql for $type {
            fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
                let $parameter = self;
                bind($value)
            }
        }
    )+};
}
to_sql!(
    i64: number => SqlValue::Integer(*number);
    bool: is => SqlValue::Integer(i64::from(*is));
    str: text => SqlValue::Text(text);
    String: text => SqlValue::Text(text);
    Vec<u8>: octets => SqlValue::Blob(octets);
);

impl FromSql for i64 {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        value.integer()
    }
}

impl FromSql for bool {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        Ok(value.integer()? != 0)
    }
}

impl FromSql for String {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        Ok(value.text()?.to_owned())
    }
}

impl FromSql for Vec<u8> {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        match value {
            SqlValue::Blob(octets) => Ok(octets.to_vec()),
            other => Err(other.mismatch("octets")),
        }
    }
}

impl<const N: usize> ToSql for [u8; N] {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
        bind(SqlValue::Blob(self))
    }
}

impl<const N: usize> FromSql for [u8; N] {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        match value {
            SqlValue::Blob(octets) => octets.try_into().ok(),
            _ => None,
        }
        .ok_or_else(|| value.mismatch(&format!("{N} octets")))
    }
}

impl<T: ToSql + ?Sized> ToSql for &T {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
        (**self).bind(bind)
    }
}

impl<T: ToSql> ToSql for Option<T> {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
        match self {
            Some(value) => value.bind(bind),
            None => bind(SqlValue::Null),
        }
    }
}

impl<T: FromSql> FromSql for Option<T> {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        match value {
            SqlValue::Null => Ok(None),
            value => T::from_sql(value).map(Some),
        }
    }
}
