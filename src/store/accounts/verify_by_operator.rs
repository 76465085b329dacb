//! Verification on the word of an operator or of the directory, and its limits.

use crate::access::Decision;
use crate::domain::{Actor, VerificationMethod};
use crate::store::Result;
use crate::store::accounts::people::permit;
use crate::store::accounts::verify_account::{Choice, VerificationOutcome};
use crate::store::engine::job::Work;
use crate::store::requests::hold_quota::{count_restored, offers};
use crate::store::requests::refused_messages::list_refused;
use crate::store::rows::account_rows::AccountRow;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;

/// Number of requests that wait for the verification of an account.
fn count_held(tx: &Tx, account: &AccountRow) -> Result<usize> {
    let sql = "SELECT count(*) FROM request WHERE account = ? AND state = 'held'";
    tx.one(sql, &[&account.n])
}

/// Number of requests that [`Work::vouch`] would release.
pub(crate) fn count_released(tx: &Tx, account: &AccountRow, now: Millis) -> Result<usize> {
    Ok(count_held(tx, account)? + count_restored(tx, account.n, now)?)
}

/// True if messages of an account wait for the person to say that they are theirs: held, dropped and offered,
/// or refused and restorable.
fn has_waiting(tx: &Tx, account: &AccountRow, now: Millis) -> Result<bool> {
    Ok(count_held(tx, account)? > 0
        || !offers(tx, account.n, now)?.is_empty()
        || !list_refused(tx, account.n, now)?.is_empty())
}

impl Work<'_> {
    /// Verifies an account by an operator's word. Returns the number of released requests.
    pub(crate) fn vouch(&mut self, account: &AccountRow, by: &Actor, now: Millis) -> Result<usize> {
        let method = VerificationMethod::Operator(by.clone());
        Ok(
            match self.verify_account(&method, Some(account.id), &Choice::All, now)? {
                VerificationOutcome::Verified { released, .. } => released.len(),
                VerificationOutcome::AlreadyVerified { .. }
                | VerificationOutcome::Expired
                | VerificationOutcome::Unknown => 0,
            },
        )
    }

    /// Verifies an account on the word of the directory, which vouches for the address, not for messages. So the
    /// account stays unchanged if the access settings refuse the address, the person said "This was not me", or
    /// messages wait for the person.
    pub(crate) fn vouch_by_directory(
        &mut self,
        account: &AccountRow,
        decision: Decision,
        by: &Actor,
        now: Millis,
    ) -> Result<()> {
        let stays = !account.can_be_verified()
            || permit(decision).is_err()
            || account.has_objected(now)
            || has_waiting(self.tx, account, now)?;
        if !stays {
            self.vouch(account, by, now)?;
        }
        Ok(())
    }
}
