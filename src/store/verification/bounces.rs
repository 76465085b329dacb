//! Bounces of verification mail: finds the mail that a report is about and records the consequences for the
//! account.

use crate::domain::{AccountId, Actor, EmailAddress, MailId};
use crate::mail::{BounceSeverity, Report};
use crate::store::Result;
use crate::store::audit::events::NewEvent;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;

/// Number of temporary failures within [`SOFT_WITHIN`] after which mail to the account is paused.
const SOFT_FAILURES: u32 = 3;
const SOFT_WITHIN: i64 = 30 * Millis::DAY;

/// Length of the first pause. Each further failure doubles it, up to the longest.
const PAUSE: i64 = Millis::DAY;
const MAX_PAUSE: i64 = 8 * Millis::DAY;

/// Identifies the verification mail that a report is about, by the subaddress it returned to or by the
/// Message-ID that we gave it.
pub(crate) fn mail_of(report: &Report, return_recipient: Option<&String>) -> Option<MailId> {
    let by_address = || {
        let recipient = EmailAddress::parse(return_recipient?).ok()?;
        recipient.detail()?.parse().ok()
    };
    let by_message_id = || {
        let (local, _) = report.original_message_id.as_deref()?.rsplit_once('@')?;
        local.parse().ok()
    };
    by_address().or_else(by_message_id)
}

/// Records the report. Returns the account's id if it gets no more verification mail from now on.
pub(crate) fn note_report(
    tx: &Tx,
    report: &Report,
    verification_mail: MailId,
    entry: i64,
    now: Millis,
) -> Result<Option<AccountId>> {
    let found: Option<(i64, EmailAddress)> = tx.maybe(
        "SELECT account.n, address FROM letter JOIN account ON account.n = letter.account
             WHERE letter.id = ?",
        &[&verification_mail],
    )?;
    match found {
        Some((account, address)) => {
            let severity = report.bounce_severity(&address);
            note_failure(tx, account, Some(entry), severity, now)
        }
        None => Ok(None),
    }
}

/// Records a failed verification mail. Marks the account as undeliverable if the failure is permanent.
pub(crate) fn note_failure(
    tx: &Tx,
    account: i64,
    entry: Option<i64>,
    severity: BounceSeverity,
    now: Millis,
) -> Result<Option<AccountId>> {
    if severity == BounceSeverity::None {
        return Ok(None);
    }
    let word = match severity {
        BounceSeverity::Permanent => "lasting",
        _ => "passing",
    };
    NewEvent::new("verification.bounced")
        .account(account)
        .entry(entry)
        .detail(word)
        .record(tx, &Actor::Daemon, now)?;
    if severity != BounceSeverity::Permanent {
        return Ok(None);
    }
    let sql = "UPDATE account SET undeliverable = 1 WHERE n = ? AND undeliverable = 0 RETURNING id";
    let marked = tx.maybe(sql, &[&account])?;
    Ok(marked)
}

/// End of the pause for an account with too many temporary failures; None if mail may go at once. Temporary
/// failures never end mail for good: the pause grows with their number, and they expire.
pub(crate) fn paused_until(tx: &Tx, account: i64, now: Millis) -> Result<Option<Millis>> {
    let (failures, last): (u32, Option<Millis>) = tx.one(
        "SELECT count(*), max(at) FROM event
             WHERE account = ? AND name = 'verification.bounced' AND detail = 'passing' AND at > ?",
        &[&account, &now.0.saturating_sub(SOFT_WITHIN)],
    )?;
    let (Some(last), Some(more)) = (last, failures.checked_sub(SOFT_FAILURES)) else {
        return Ok(None);
    };
    let pause = (PAUSE << more.min(8)).min(MAX_PAUSE);
    let until = Millis(last.0.saturating_add(pause));
    Ok(Some(until).filter(|until| *until > now))
}
