//! Tokens of links, by their hashes.

use crate::domain::TokenHash;
use crate::store::Result;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::{Millis, from_row};

/// A token as stored, whether it is still valid or not.
pub(crate) struct TokenRow {
    pub(crate) account: i64,
    pub(crate) verification_mail: i64,
    pub(crate) expires_at: Millis,
    pub(crate) refused: bool,
}
from_row!(TokenRow, row: account, verification_mail, expires_at, refused);

pub(crate) fn find_token(tx: &Tx, token: TokenHash) -> Result<Option<TokenRow>> {
    tx.maybe(
        "SELECT account, letter AS verification_mail, expires_at, refused_at IS NOT NULL AS refused
         FROM token WHERE hash = ?",
        &[&token],
    )
}
