//! Column types: ids as 16 octets, times as milliseconds, enums as words, structures as compact JSON.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::value::Bind;
use super::{FromSql, SqlValue, ToSql};
use crate::access::{AccessSettings, Circumstances, Standing};
use crate::domain::{
    AccountId, AccountKind, AccountOrigin, AccountStatus, Actor, DestinationName, EmailAddress,
    Envelope, EventPattern, HookCallId, LedgerId, MailId, OperatorName, PortalName, RequestId,
    RequestState, Role, Timestamp, TokenHash, TokenScope, UserId, Verdict,
};
use crate::domain::{MailCause, MailKind};
use crate::mail::Facts;
use crate::store::{Result, StoreError};

macro_rules! ids {
    ($($id:ty),+) => {$(
        impl ToSql for $id {
            fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
                bind(SqlValue::Blob(&self.to_bytes()))
            }
        }

        impl FromSql for $id {
            fn from_sql(value: SqlValue<'_>) -> Result<Self> {
                <[u8; 16]>::from_sql(value).map(Self::from_bytes)
            }
        }
    )+};
}
ids!(LedgerId, AccountId, HookCallId, MailId, RequestId, UserId);

/// Implements column values for enums, which are stored by the names of their variants.
macro_rules! words {
    ($($word:ty),+) => {$(
        impl $crate::store::sql::ToSql for $word {
            fn bind(&self, bind: &mut $crate::store::sql::Bind<'_>) -> $crate::store::Result<()> {
                bind($crate::store::sql::SqlValue::Text(self.as_str()))
            }
        }

        impl $crate::store::sql::FromSql for $word {
            fn from_sql(value: $crate::store::sql::SqlValue<'_>) -> $crate::store::Result<Self> {
                Self::from_name(value.text()?).ok_or_else(|| value.mismatch("a value of its column"))
            }
        }
    )+};
}
pub(crate) use words;
words!(
    TokenScope,
    AccountKind,
    AccountStatus,
    AccountOrigin,
    Verdict,
    RequestState,
    Role,
    MailKind,
    MailCause
);

macro_rules! names {
    ($($name:ty),+) => {$(
        impl ToSql for $name {
            fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
                bind(SqlValue::Text(self.as_str()))
            }
        }

        impl FromSql for $name {
            fn from_sql(value: SqlValue<'_>) -> Result<Self> {
                Self::parse(value.text()?).map_err(|_| value.mismatch("a name"))
            }
        }
    )+};
}
names!(PortalName, DestinationName, OperatorName);

impl FromSql for EmailAddress {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        Self::parse_stored(value.text()?).map_err(|_| value.mismatch("an address"))
    }
}

impl ToSql for Actor {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
        bind(SqlValue::Text(&self.to_string()))
    }
}

impl ToSql for TokenHash {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
        bind(SqlValue::Blob(self.as_bytes()))
    }
}

/// A time as stored in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Millis(pub(crate) i64);

impl Millis {
    pub(crate) const SECOND: i64 = 1000;
    pub(crate) const MINUTE: i64 = 60 * Self::SECOND;
    pub(crate) const HOUR: i64 = 60 * Self::MINUTE;
    pub(crate) const DAY: i64 = 24 * Self::HOUR;

    pub(crate) fn plus(self, duration: std::time::Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    pub(crate) fn minus(self, duration: std::time::Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// The time of a clock that is this many milliseconds behind, or ahead if the number is negative.
    pub(crate) fn behind(self, offset: i64) -> Self {
        Self(self.0.saturating_sub(offset))
    }

    /// The last midnight in UTC: the day to which this time belongs.
    pub(crate) fn midnight_before(self) -> Self {
        Self(self.0.div_euclid(Self::DAY) * Self::DAY)
    }

    pub(crate) fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }
}

impl From<Timestamp> for Millis {
    fn from(at: Timestamp) -> Self {
        Self(at.as_millisecond())
    }
}

impl ToSql for Millis {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
        bind(SqlValue::Integer(self.0))
    }
}

impl FromSql for Millis {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        i64::from_sql(value).map(Self)
    }
}

impl ToSql for Timestamp {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
        Millis::from(*self).bind(bind)
    }
}

impl FromSql for Timestamp {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        Millis::from_sql(value).map(Millis::timestamp)
    }
}

/// Octets of JSON for which memory is reserved: the facts of most messages fit.
const JSON_CAPACITY: usize = 1024;

/// Encodes a structure for a column.
pub(crate) fn json(value: &impl Serialize) -> Result<String> {
    let mut json = Vec::with_capacity(JSON_CAPACITY);
    serde_json::to_writer(&mut json, value).map_err(StoreError::other)?;
    String::from_utf8(json).map_err(StoreError::other)
}

/// A JSON object in which some fields are replaced. All others stay as they are stored, including those that only a
/// newer version knows, which may run beside this one.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct JsonFields(serde_json::Map<String, serde_json::Value>);

impl JsonFields {
    pub(crate) fn set(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        let value = serde_json::to_value(value).map_err(StoreError::other)?;
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    /// Replaces a field of the object in the field `outer`, if there is one.
    pub(crate) fn set_in(&mut self, outer: &str, name: &str, value: impl Into<serde_json::Value>) {
        if let Some(serde_json::Value::Object(inner)) = self.0.get_mut(outer) {
            inner.insert(name.to_owned(), value.into());
        }
    }
}

/// Implements column values for types that are stored as JSON.
macro_rules! json_columns {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::store::sql::FromSql for $type {
            fn from_sql(value: $crate::store::sql::SqlValue<'_>) -> $crate::store::Result<Self> {
                serde_json::from_str(value.text()?)
                    .map_err(|error| $crate::store::StoreError::DamagedRow(error.to_string()))
            }
        }
    )+};
}
pub(crate) use json_columns;
json_columns!(
    AccessSettings,
    Circumstances,
    Envelope,
    Facts,
    JsonFields,
    Standing,
    Vec<EventPattern>,
    Vec<String>,
    Vec<(String, String)>,
);

impl<T: FromSql> FromSql for Arc<T> {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        T::from_sql(value).map(Self::new)
    }
}

/// Reads a struct from a row: each field from the column of its name, or by an expression in which `row` is the
/// row: `from_row!(SentMail, row: created_at, kind = row.get::<_, MailKind>("kind")?.as_str(), state);`
macro_rules! from_row {
    ($type:ty, $row:ident: $($field:ident $(= $value:expr)?),+ $(,)?) => {
        impl $crate::store::sql::FromRow for $type {
            fn from_row($row: &$crate::store::sql::Row) -> $crate::store::Result<Self> {
                Ok(Self { $($field: from_row!(@field $row $field $($value)?)),+ })
            }
        }
    };
    (@field $row:ident $field:ident) => { $row.get(stringify!($field))? };
    (@field $row:ident $field:ident $value:expr) => { $value };
}
pub(crate) use from_row;
