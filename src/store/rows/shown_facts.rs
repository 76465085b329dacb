//! The part of a message's facts that lists of requests show.

use serde::Deserialize;

use crate::store::Result;
use crate::store::sql::{FromSql, SqlValue};

/// Subject and Message-ID of a message. Those of a damaged entry are unknown, and the entry is shown without them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ShownFacts {
    pub(crate) subject: Option<String>,
    pub(crate) message_id: Option<String>,
}

impl FromSql for ShownFacts {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        Ok(serde_json::from_str(value.text_or_empty()).unwrap_or_default())
    }
}
