//! Housekeeping: pending accounts expire if nobody verifies them. Each operation is one step, as in
//! [`retention`](super::retention).
//!
//! An account expires once nothing waits for it and nothing has happened to it for a while. It stays as long as a
//! request has content or waits, a mail or hook call is due, messages that the hold quota dropped can be restored, or
//! an operator or the directory has set something that a new account would not have.
//!
//! `last_active_at` makes a step bounded: an account that stays gets a newer time, so each account is examined at most
//! once a day, or once per `retention.pending_accounts` if that is shorter.

use std::time::Duration;

use crate::domain::{AccountId, EmailAddress, Timestamp};
use crate::store::engine::time_slice::{TimeSlice, WorkStep};
use crate::store::error::readable;
use crate::store::rows::account_rows::{AccountRow, account_by_number};
use crate::store::rows::expired_accounts::expire;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::rate_limits::erase_claims;
use crate::store::{Result, Store};

/// Finds the account `?1` if it may not expire now, whenever something last happened to it.
const STAYS: &str = "SELECT 1 FROM account WHERE n = ?1 AND (
         takes_automatic = 1
         OR EXISTS (
             SELECT 1 FROM request AS r JOIN ledger AS l ON l.n = r.ledger
             WHERE r.account = ?1 AND (r.settled_at IS NULL OR r.kept = 1 OR EXISTS (
                 SELECT 1 FROM content WHERE ledger = coalesce(l.message, l.n)
             ))
         )
         OR EXISTS (SELECT 1 FROM letter WHERE account = ?1 AND due_at IS NOT NULL)
         OR EXISTS (SELECT 1 FROM offer WHERE account = ?1)
         OR EXISTS (SELECT 1 FROM hook_call WHERE account = ?1 AND state <> 'delivered')
         OR EXISTS (SELECT 1 FROM directory_user WHERE account = ?1)
         OR EXISTS (SELECT 1 FROM event WHERE account = ?1 AND name = 'account.groups_changed')
         OR EXISTS (SELECT 1 FROM event WHERE account = ?1 AND name = 'account.made_internal')
     )";

/// Finds the time of the last activity of the account `?1`. A valid link and the silence after "This was not me" count
/// until their end.
const LAST_ACTIVITY: &str = "SELECT max(at) FROM (
         SELECT created_at AS at FROM account WHERE n = ?1
         UNION ALL SELECT quiet_until FROM account WHERE n = ?1
         UNION ALL SELECT max(settled_at) FROM request WHERE account = ?1
         UNION ALL SELECT max(settled_at) FROM letter WHERE account = ?1
         UNION ALL SELECT max(expires_at) FROM token WHERE account = ?1
         UNION ALL SELECT max(at) FROM event WHERE account = ?1
     ) AS times";

impl Store {
    /// Expires pending accounts if nothing waits for them and nothing has happened to them for `keep`. Later mail
    /// from such an address is mail from an unknown sender.
    pub async fn expire_pending_accounts(
        &self,
        now: Timestamp,
        keep: Duration,
        limit: usize,
    ) -> Result<WorkStep<Vec<(AccountId, EmailAddress)>>> {
        let now = Millis::from(now);
        let before = now.minus(keep);
        let found = self.read(move |tx| inactive(tx, before, limit)).await?;
        if found.is_empty() {
            return Ok(WorkStep::default());
        }
        self.write(move |work| {
            let mut expired = Vec::new();
            let mut slice = TimeSlice::of(limit);
            let more = slice.each(found.clone(), |n| {
                expired.extend(examine(work.tx, n, before, now)?);
                Ok(())
            })?;
            Ok(slice.step(expired, more))
        })
        .await
    }
}

/// Pending accounts without known activity since `before`, the longest inactive first.
pub(crate) fn inactive(tx: &Tx, before: Millis, limit: usize) -> Result<Vec<i64>> {
    tx.all(
        "SELECT n FROM account INDEXED BY account_pending
         WHERE status = 'pending' AND last_active_at < ? AND forgotten_at IS NULL
         ORDER BY last_active_at LIMIT ?",
        &[&before, &limit],
    )
}

/// Expires an account, unless something has happened to it since `before` or it has to stay.
pub(crate) fn examine(
    tx: &Tx,
    n: i64,
    before: Millis,
    now: Millis,
) -> Result<Option<(AccountId, EmailAddress)>> {
    let sql = "SELECT 1 FROM account
         WHERE n = ?1 AND status = 'pending' AND last_active_at < ?2 AND forgotten_at IS NULL";
    if !tx.exists(sql, &[&n, &before])? {
        return Ok(None);
    }
    let mut last: Millis = tx.one(LAST_ACTIVITY, &[&n])?;
    if last < before {
        // A damaged account stays: `doctor` names it.
        if !tx.exists(STAYS, &[&n])?
            && let Some((address, account)) = readable(find_with_address(tx, n))?
        {
            // The counts of its mails are found by the mails, which go with it.
            erase_claims(tx, n)?;
            expire(tx, &account, now)?;
            return Ok(Some((account.id, address)));
        }
        // It is examined again a day from now, or after `keep` if that is shorter.
        let again = now.0.saturating_sub(before.0).min(Millis::DAY);
        last = Millis(before.0 + again);
    }
    let sql = "UPDATE account SET last_active_at = ?2 WHERE n = ?1";
    tx.run(sql, &[&n, &last])?;
    Ok(None)
}

fn find_with_address(tx: &Tx, n: i64) -> Result<(EmailAddress, AccountRow)> {
    let account = account_by_number(tx, n)?;
    Ok((account.address(tx)?, account))
}
