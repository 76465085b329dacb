//! The state of a verification link: unknown, expired, refused, or of an account that is active or pending.

use crate::domain::{AccountStatus, TokenHash};
use crate::store::Result;
use crate::store::rows::account_rows::{AccountRow, account_by_number};
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::tokens::{TokenRow, find_token};

/// State of a link, before anything is done with it.
pub(crate) enum LinkStanding {
    Unknown,
    Expired,
    /// The person said "This was not me", with this link or before it was sent.
    Refused(AccountRow, TokenRow),
    /// The address is verified. The link may have expired.
    Active(AccountRow, TokenRow),
    Pending(AccountRow),
}

/// Looks up a link by its token, and decides what it can still do.
pub(crate) fn link_standing(tx: &Tx, token: TokenHash, now: Millis) -> Result<LinkStanding> {
    let Some(found) = find_token(tx, token)? else {
        return Ok(LinkStanding::Unknown);
    };
    let account = account_by_number(tx, found.account)?;
    Ok(match account.status {
        AccountStatus::Blocked => LinkStanding::Unknown,
        AccountStatus::Active if account.verified => LinkStanding::Active(account, found),
        _ if found.refused || account.quiet_until(now).is_some() => {
            LinkStanding::Refused(account, found)
        }
        _ if found.expires_at <= now => LinkStanding::Expired,
        // Pending, or active only for portals that accept it unverified.
        AccountStatus::Pending | AccountStatus::Active => LinkStanding::Pending(account),
    })
}
