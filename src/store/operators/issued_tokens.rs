//! Issued API tokens and browser sessions: lists them without the secret, and ends one by its id.
//!
//! An id is the beginning of the hash.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Actor, OperatorName, Role, Timestamp, TokenHash, TokenScope};
use crate::store::audit::events::NewEvent;
use crate::store::operators::operator_accounts::n_of;
use crate::store::operators::sessions_and_tokens::KeyKind;
use crate::store::sql::sql_types::from_row;
use crate::store::{Result, Store, StoreError};

/// A token or a session as shown in lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct IssuedToken {
    /// Prefix of its hash; not a secret.
    pub id: String,
    pub operator: OperatorName,
    /// Role of the token, capped by its operator's role.
    pub role: Role,
    /// The only interface that the token may use; absent for all that its role permits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<TokenScope>,
    /// Purpose of the token.
    pub note: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}
from_row!(
    IssuedToken, row: id = id_of(row.get("id")?), operator, role, scope, note, created_at, expires_at,
);

impl IssuedToken {
    /// Id of the token or session with this hash: 40 bits of it, so that no two of one installation have the
    /// same.
    #[must_use]
    pub fn id_of(hash: &TokenHash) -> String {
        let begin = hash.as_bytes().first_chunk();
        begin.copied().map(id_of).unwrap_or_default()
    }
}

/// The id of a token or session: the first octets of its hash, in hexadecimal.
fn id_of(begin: [u8; 5]) -> String {
    let mut number = [0; 8];
    number[3..].copy_from_slice(&begin);
    format!("{:010x}", u64::from_be_bytes(number))
}

/// The octets that an id stands for; None if the text is not an id.
fn begin_of_hash(id: &str) -> Option<[u8; 5]> {
    let number = (id.len() == 10 && id.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .then(|| u64::from_str_radix(id, 16).ok())??;
    number.to_be_bytes()[3..].try_into().ok()
}

impl Store {
    /// Unexpired tokens, newest first; of one operator if one is named.
    pub async fn tokens(
        &self,
        of: Option<OperatorName>,
        now: Timestamp,
    ) -> Result<Vec<IssuedToken>> {
        self.keys(KeyKind::Token, of, now).await
    }

    /// Unexpired sessions of an operator on the pages, newest first.
    pub async fn sessions(&self, of: OperatorName, now: Timestamp) -> Result<Vec<IssuedToken>> {
        self.keys(KeyKind::Session, Some(of), now).await
    }

    async fn keys(
        &self,
        kind: KeyKind,
        of: Option<OperatorName>,
        now: Timestamp,
    ) -> Result<Vec<IssuedToken>> {
        self.read(move |tx| {
            tx.all(
                "SELECT substr(k.hash, 1, 5) AS id, o.name AS operator, k.role, k.note, k.created_at,
                     k.expires_at, k.scope
                 FROM operator_key AS k JOIN operator AS o ON o.n = k.operator
                 WHERE k.kind = ?3 AND k.expires_at > ?1 AND (CAST(?2 AS text) IS NULL OR o.name = ?2)
                 ORDER BY k.created_at DESC, k.hash",
                &[&now, &of, &kind],
            )
        })
        .await
    }

    /// Ends the token or session of an operator that has this id.
    ///
    /// # Errors
    /// `NotFound`: the operator, or a token or session of theirs with this id.
    pub async fn end_token(
        &self,
        name: OperatorName,
        id: String,
        by: Actor,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            let n = n_of(work.tx, &name)?;
            let ended = match begin_of_hash(&id) {
                Some(begin) => work.tx.run(
                    "DELETE FROM operator_key WHERE operator = ? AND substr(hash, 1, 5) = ?",
                    &[&n, &begin],
                )?,
                None => 0,
            };
            if ended == 0 {
                return Err(StoreError::not_found("token", &id));
            }
            NewEvent::new("operator.token_ended")
                .detail(format!("{name}, {id}"))
                .record(work.tx, &by, now.into())
        })
        .await
    }
}
