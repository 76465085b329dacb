//! Tokens of links, by their hashes: each is stored here with the time until which its link is valid, before its mail
//! is sent, and deleted if the mail certainly was not sent.
//!
//! `accounts/link_standing.rs` compares that time; `accounts/undo_not_me.rs` does so for a refused link, and
//! `accounts/look_at_link.rs` and `accounts/verify_account.rs` for the refused messages of a verified address.

use crate::domain::TokenHash;
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::sql::{Tx, insert};
use crate::store::{Result, TokenHashes};

/// A token as stored, whether it is still valid or not.
pub(crate) struct TokenRow {
    pub(crate) account: i64,
    pub(crate) verification_mail: i64,
    pub(crate) expires_at: Millis,
    pub(crate) refused: bool,
}
from_row!(TokenRow, row: account, verification_mail, expires_at, refused);

/// Stores a token of a verification mail to an account.
pub(crate) fn insert_token(
    tx: &Tx,
    hash: TokenHash,
    account: i64,
    verification_mail: i64,
    expires_at: Millis,
) -> Result<()> {
    insert!(
        tx,
        token {
            hash,
            account,
            letter: verification_mail,
            expires_at
        }
    )?;
    Ok(())
}

/// Deletes tokens that nobody received.
pub(crate) fn delete_tokens(tx: &Tx, tokens: TokenHashes) -> Result<()> {
    for hash in tokens.all() {
        tx.run("DELETE FROM token WHERE hash = ?", &[&hash])?;
    }
    Ok(())
}

pub(crate) fn find_token(tx: &Tx, token: TokenHash) -> Result<Option<TokenRow>> {
    tx.maybe(
        "SELECT account, letter AS verification_mail, expires_at, refused_at IS NOT NULL AS refused
         FROM token WHERE hash = ?",
        &[&token],
    )
}
