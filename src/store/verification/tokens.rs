//! Tokens of links, by their hashes.

use crate::domain::TokenHash;
use crate::store::StoreError;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;

/// A token as stored, whether it is still valid or not.
pub(crate) struct TokenRow {
    pub(crate) account: i64,
    pub(crate) verification_mail: i64,
    pub(crate) expires_at: Millis,
    pub(crate) refused: bool,
}

pub(crate) fn find_token(tx: &Tx, token: TokenHash) -> Result<Option<TokenRow>, StoreError> {
    tx.maybe_with(
        "SELECT account, letter, expires_at, refused_at IS NOT NULL FROM token WHERE hash = ?",
        &[&token],
        |row| {
            Ok(TokenRow {
                account: row.get(0)?,
                verification_mail: row.get(1)?,
                expires_at: row.get(2)?,
                refused: row.get(3)?,
            })
        },
    )
}
