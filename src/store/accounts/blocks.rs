//! Blocked accounts. An account is blocked while an operator blocks it or the directory has deactivated it.
//!
//! A block leaves held requests as they are, stops released ones, invalidates the links and cancels the mail. The
//! directory lifts only its own deactivation; an operator lifts both. Then the links are valid again, and where there
//! is none, a mail with one is owed for the held requests.

use crate::domain::{Account, AccountId, AccountStatus, Actor, PortalName, Timestamp};
use crate::store::accounts::customers::account;
use crate::store::audit::events::{NewEvent, record_of_account};
use crate::store::engine::job::Work;
use crate::store::requests::transitions;
use crate::store::rows::account_rows::{AccountRow, account_by_id, account_by_number};
use crate::store::sql::sql_types::Millis;
use crate::store::verification::mail_lanes::QueuePlace;
use crate::store::verification::verification_mail::cancel;
use crate::store::{MailCause, MailKind, Result, Store, Topic};

/// Detail of the events that the directory causes.
const BY_DIRECTORY: &str = "by the directory";

impl Work<'_> {
    /// Ends the access of an account that is not blocked yet.
    fn end_access(
        &mut self,
        account: &AccountRow,
        detail: Option<&str>,
        by: &Actor,
        now: Millis,
    ) -> Result<()> {
        let tx = self.tx;
        if account.status == AccountStatus::Blocked {
            return Ok(());
        }
        let sql = "UPDATE account SET status = 'blocked' WHERE n = ?";
        tx.run(sql, &[&account.n])?;
        cancel(tx, account.n, now)?;
        transitions::stop(tx, account.n)?;
        self.wakeups.add(Topic::OperatorActions);
        let mut event = NewEvent::new("account.blocked").account(account.n);
        if let Some(detail) = detail {
            event = event.detail(detail);
        }
        event.record(tx, by, now)
    }

    /// Restores the access of a blocked account: active if its address was verified or needed no verification,
    /// pending otherwise.
    fn resume_access(
        &mut self,
        account: &AccountRow,
        detail: Option<&str>,
        by: &Actor,
        now: Millis,
    ) -> Result<()> {
        let tx = self.tx;
        tx.run(
            "UPDATE account SET status = CASE
                 WHEN proof_needed = 0 OR verified_at IS NOT NULL THEN 'active'
                 ELSE 'pending' END
             WHERE n = ?",
            &[&account.n],
        )?;
        transitions::resume(tx, account.n, now)?;
        self.owe_missing_link(account.n, now)?;
        self.wakeups.add(Topic::Requests);
        self.wakeups.add(Topic::OperatorActions);
        let mut event = NewEvent::new("account.unblocked").account(account.n);
        if let Some(detail) = detail {
            event = event.detail(detail);
        }
        event.record(tx, by, now)
    }

    /// Owes a verification mail to an unblocked account if a held request lacks a valid link: the block cancelled the
    /// mail that waited. A request that gets no further reminder needs a link that is valid until it expires, because
    /// the reminder may have been due during the block, or one that is in the first half of its time: no new link may
    /// last until then, and a directory may block and unblock an account every hour.
    fn owe_missing_link(&mut self, n: i64, now: Millis) -> Result<()> {
        let tx = self.tx;
        let held: Option<(PortalName, bool)> = tx.maybe(
            "SELECT portal, authenticated FROM request AS r
             WHERE account = ?1 AND state = 'held' AND due_at > ?2 AND NOT EXISTS (
                 SELECT 1 FROM token AS t JOIN letter AS m ON m.n = t.letter
                 WHERE t.account = ?1 AND t.refused_at IS NULL AND t.expires_at > ?2
                     AND (r.reminded = 0 OR t.expires_at > r.due_at
                         OR t.expires_at - ?2 > ?2 - m.claimed_at)
             )
             ORDER BY authenticated DESC, ledger DESC LIMIT 1",
            &[&n, &now],
        )?;
        let Some((portal, authenticated)) = held else {
            return Ok(());
        };
        let account = account_by_number(tx, n)?;
        let place = QueuePlace::of_mail(authenticated, None, account.address(tx)?.domain());
        let (kind, cause) = (MailKind::Verification, MailCause::Mail);
        self.owe(&account, kind, cause, Some(&portal), place, now)
    }

    /// Ends the access of an account because the directory says so. Returns false if the directory had deactivated
    /// it before.
    pub(crate) fn deactivate(
        &mut self,
        account: &AccountRow,
        by: &Actor,
        now: Millis,
    ) -> Result<bool> {
        let sql = "UPDATE account SET deactivated_at = ?2 WHERE n = ?1 AND deactivated_at IS NULL";
        let changed = self.tx.run(sql, &[&account.n, &now])?;
        self.end_access(account, Some(BY_DIRECTORY), by, now)?;
        Ok(changed > 0)
    }

    /// Lifts a deactivation by the directory, and nothing else: an account that an operator blocks, or whose
    /// erasure was begun, stays blocked. Returns false if there was none.
    pub(crate) fn reactivate(
        &mut self,
        account: &AccountRow,
        by: &Actor,
        now: Millis,
    ) -> Result<bool> {
        let blocked: Option<bool> = self.tx.maybe(
            "UPDATE account SET deactivated_at = NULL
             WHERE n = ? AND deactivated_at IS NOT NULL RETURNING operator_block",
            &[&account.n],
        )?;
        if blocked == Some(false) && account.status == AccountStatus::Blocked {
            self.resume_access(account, Some(BY_DIRECTORY), by, now)?;
        }
        Ok(blocked.is_some())
    }
}

impl Store {
    /// Blocks an account. Its held requests stay held, its links stop working, and requests that are released
    /// but not delivered stop until it is unblocked.
    pub async fn block_customer(
        &self,
        id: AccountId,
        by: Actor,
        now: Timestamp,
    ) -> Result<Account> {
        self.write(move |work| {
            let there = account_by_id(work.tx, id)?;
            let sql = "UPDATE account SET operator_block = 1 WHERE n = ? AND operator_block = 0";
            let marked = work.tx.run(sql, &[&there.n])?;
            if there.status != AccountStatus::Blocked {
                work.end_access(&there, None, &by, now.into())?;
            } else if marked > 0 {
                // The directory had deactivated it; from now on only an operator can lift the block.
                work.wakeups.add(Topic::OperatorActions);
                record_of_account(work.tx, "account.blocked", there.n, &by, now.into())?;
            }
            account(work.tx, there.n)
        })
        .await
    }

    /// Unblocks an account, whoever ended its access: active if its address was verified or needed no
    /// verification, pending otherwise. Stopped requests resume, and a verification mail is owed for held ones if no
    /// link is valid.
    pub async fn unblock_customer(
        &self,
        id: AccountId,
        by: Actor,
        now: Timestamp,
    ) -> Result<Account> {
        self.write(move |work| {
            let there = account_by_id(work.tx, id)?;
            if there.status == AccountStatus::Blocked {
                work.tx.run(
                    "UPDATE account SET operator_block = 0, deactivated_at = NULL WHERE n = ?",
                    &[&there.n],
                )?;
                work.resume_access(&there, None, &by, now.into())?;
            }
            account(work.tx, there.n)
        })
        .await
    }
}
