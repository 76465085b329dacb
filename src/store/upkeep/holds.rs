//! Housekeeping: holds expire, and reminders of them are owed. Each operation is one step, as in
//! [`retention`](super::retention).

use std::time::Duration;

use crate::domain::{Actor, PortalName, RequestId, Timestamp, Transition};
use crate::store::audit::events::record_of_entry;
use crate::store::engine::job::Work;
use crate::store::engine::time_slice::{TimeSlice, WorkStep};
use crate::store::requests::transitions;
use crate::store::rows::account_rows::account_by_number;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::mail_lanes::QueuePlace;
use crate::store::verification::verification_mail::{Occasion, owe};
use crate::store::{MailCause, MailKind, Result, Store, Topic};

impl Store {
    /// Expires the holds that are past their time.
    pub async fn expire_holds(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<WorkStep<Vec<RequestId>>> {
        self.write(move |work| expire(work.tx, now.into(), limit))
            .await
    }

    /// Owes one reminder to each account whose held requests expire within `remind_before`. It covers those that
    /// expire while its link, of this `token_ttl`, is valid; a later one gets a reminder of its own. Returns the number
    /// of accounts; an account that may not get mail counts as reminded.
    pub async fn owe_reminders(
        &self,
        now: Timestamp,
        remind_before: Duration,
        token_ttl: Duration,
        limit: usize,
    ) -> Result<WorkStep<usize>> {
        self.write(move |work| work.remind(now.into(), remind_before, token_ttl, limit))
            .await
    }
}

fn expire(tx: &Tx, now: Millis, limit: usize) -> Result<WorkStep<Vec<RequestId>>> {
    let mut slice = TimeSlice::of(limit);
    let due: Vec<(i64, RequestId)> = tx.all(
        "SELECT r.ledger, l.id FROM request AS r JOIN ledger AS l ON l.n = r.ledger
         WHERE r.state = 'held' AND r.reminded IN (0, 1) AND r.due_at <= ? LIMIT ?",
        &[&now, &limit],
    )?;
    let mut expired = Vec::with_capacity(due.len());
    let more = slice.each(due, |(n, request)| {
        transitions::settle(tx, n, Transition::Expire, None, now)?;
        record_of_entry(tx, "request.expired", n, &Actor::Daemon, now)?;
        expired.push(request);
        Ok(())
    })?;
    Ok(slice.step(expired, more))
}

impl Work<'_> {
    fn remind(
        &mut self,
        now: Millis,
        remind_before: Duration,
        token_ttl: Duration,
        limit: usize,
    ) -> Result<WorkStep<usize>> {
        let covered = now.plus(remind_before.max(token_ttl));
        let mut slice = TimeSlice::of(limit);
        let tx = self.tx;
        let soon: Vec<(i64, PortalName)> = tx.all(
            "SELECT account, portal FROM request
             WHERE state = 'held' AND reminded = 0 AND due_at <= ? ORDER BY due_at LIMIT ?",
            &[&now.plus(remind_before), &limit],
        )?;
        let mut reminded = 0;
        let more = slice.each(soon, |(n, portal)| {
            // One reminder covers several requests of an account, so a later row may be done already.
            let holds = tx.run(
                "UPDATE request SET reminded = 1
                     WHERE account = ? AND state = 'held' AND reminded = 0 AND due_at <= ?",
                &[&n, &covered],
            )?;
            if holds == 0 {
                return Ok(());
            }
            let account = account_by_number(tx, n)?;
            let authenticated = tx.exists(
                "SELECT 1 FROM request
                     WHERE account = ? AND state = 'held' AND authenticated = 1",
                &[&n],
            )?;
            let address = match account.address(tx) {
                // It counts as reminded and does not block others.
                Err(cause) if cause.is_of_row() => return Ok(()),
                address => address?,
            };
            let occasion = Occasion {
                kind: MailKind::Reminder,
                cause: MailCause::Mail,
                portal: Some(&portal),
                in_reply_to: None,
                place: QueuePlace::of_mail(authenticated, None, address.domain()),
            };
            let is_owed = owe(tx, &account, &occasion, now)?;
            self.wakeups.add_if(Topic::VerificationMail, is_owed);
            reminded += 1;
            Ok(())
        })?;
        Ok(slice.step(reminded, more))
    }
}
