//! Ids as people enter them: a whole id, or its beginning or end, as narrow lists show it.

use std::str::FromStr;

use super::context::Context;
use super::failure::CommandError;
use crate::domain::{LedgerId, RequestId, join};

/// Minimum length of a part; a shorter one would match too many ids.
const MIN_PART: usize = 4;

/// Length of a whole id.
const WHOLE: usize = 26;

/// Candidates that an error lists.
const MAX_LISTED: usize = 10;

/// The id of a request or a ledger entry, or its beginning or end.
#[derive(Debug, Clone)]
pub struct ShortId(String);

impl FromStr for ShortId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_part = text.bytes().all(|octet| octet.is_ascii_alphanumeric());
        if is_part && (MIN_PART..=WHOLE).contains(&text.len()) {
            return Ok(Self(text.to_ascii_uppercase()));
        }
        Err(format!(
            "not an id; write its {WHOLE} letters and digits, or at least {MIN_PART} from its beginning or end"
        ))
    }
}

impl ShortId {
    /// Finds the only ledger entry whose id matches. `what` names it in errors.
    ///
    /// # Errors
    /// No entry matches (status 3), or several do (status 2); the error lists them.
    pub async fn find(&self, context: &Context, what: &str) -> Result<LedgerId, CommandError> {
        if let Ok(id) = self.0.parse() {
            return Ok(id);
        }
        let mut found = context
            .store
            .entries_with_id_part(&self.0, MAX_LISTED + 1)
            .await?;
        match (found.pop(), found.len()) {
            (None, _) => Err(CommandError::not_found(what, &self.0)),
            (Some(id), 0) => Ok(id),
            (Some(last), _) => {
                found.push(last);
                let more = if found.len() > MAX_LISTED {
                    " and others"
                } else {
                    ""
                };
                let listed = found.iter().take(MAX_LISTED);
                Err(CommandError::Usage(format!(
                    "{} matches several ids: {}{more}; write more of the id",
                    self.0,
                    join(listed, ", ")
                )))
            }
        }
    }

    /// Finds the only request whose id matches. A request has the id of its ledger entry.
    pub async fn find_request(&self, context: &Context) -> Result<RequestId, CommandError> {
        let id = self.find(context, "request").await?;
        Ok(RequestId::from_bytes(id.to_bytes()))
    }

    /// Finds each of several requests.
    pub async fn find_requests(
        context: &Context,
        ids: &[Self],
    ) -> Result<Vec<RequestId>, CommandError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(id.find_request(context).await?);
        }
        Ok(found)
    }

    /// Finds each of several ledger entries.
    pub async fn find_entries(
        context: &Context,
        ids: &[Self],
    ) -> Result<Vec<LedgerId>, CommandError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(id.find(context, "ledger entry").await?);
        }
        Ok(found)
    }
}
