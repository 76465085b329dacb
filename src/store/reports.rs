//! Reports on our own letters: which letter one is about, and what it says of the account's address.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use super::columns::Millis;
use super::events::{Actors, Happening};
use crate::domain::{AccountId, EmailAddress, LetterId};
use crate::mail::{Report, ReportKind};

/// As many passing failures within [`SOFT_WITHIN`] as count for a lasting one.
const SOFT_FAILURES: i64 = 3;
const SOFT_WITHIN: i64 = 7 * Millis::DAY;

/// What a report says of the address that a letter went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Delivered, displayed, relayed: none.
    None,
    /// It may work later.
    Passing,
    Lasting,
}

/// The letter that a report is about: named in the subaddress it returned to, or by the Message-ID
/// that we gave it.
pub(super) fn letter_of(report: &Report, return_recipient: Option<&String>) -> Option<LetterId> {
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

/// Notes what the report says. The account's id when it gets no more letters from now on.
pub(super) fn note_report(
    connection: &Connection,
    report: &Report,
    letter: LetterId,
    entry: i64,
    now: Millis,
) -> Result<Option<AccountId>, StoreError> {
    let account: Option<i64> = connection
        .prepare_cached("SELECT account FROM letter WHERE id = ?")?
        .query_row([letter], |row| row.get(0))
        .optional()?;
    match account {
        Some(account) => note_failure(connection, account, Some(entry), failure(report), now),
        None => Ok(None),
    }
}

/// Notes that a letter did not arrive; marks the account when that is for good.
pub(super) fn note_failure(
    connection: &Connection,
    account: i64,
    entry: Option<i64>,
    failure: Failure,
    now: Millis,
) -> Result<Option<AccountId>, StoreError> {
    if failure == Failure::None {
        return Ok(None);
    }
    let word = match failure {
        Failure::Lasting => "lasting",
        _ => "passing",
    };
    let mut happening = Happening::named("verification.bounced")
        .account(account)
        .detail(word);
    if let Some(entry) = entry {
        happening = happening.entry(entry);
    }
    happening.record(connection, Actors::DAEMON, now)?;
    let passing: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM event
             WHERE account = ? AND name = 'verification.bounced' AND at > ?",
        )?
        .query_row(params![account, now.0.saturating_sub(SOFT_WITHIN)], |row| {
            row.get(0)
        })?;
    if failure != Failure::Lasting && passing < SOFT_FAILURES {
        return Ok(None);
    }
    let marked = connection
        .prepare_cached(
            "UPDATE account SET undeliverable = 1 WHERE n = ? AND undeliverable = 0 RETURNING id",
        )?
        .query_row([account], |row| row.get(0))
        .optional()?;
    Ok(marked)
}

/// RFC 3464 2.3.3 and RFC 3463: the worst that the report says of any recipient.
fn failure(report: &Report) -> Failure {
    if report.kind == ReportKind::Mdn {
        return Failure::None;
    }
    if report.recipients.is_empty() {
        // A mailer's own words: something went wrong, nobody knows for how long.
        return Failure::Passing;
    }
    let of = |action: Option<&str>, status: Option<&str>| match (action, status) {
        (Some("failed"), Some(status)) if status.starts_with('4') => Failure::Passing,
        (Some("failed"), _) => Failure::Lasting,
        (Some("delayed"), _) => Failure::Passing,
        (Some(_), _) => Failure::None,
        (None, Some(status)) if status.starts_with('5') => Failure::Lasting,
        (None, Some(status)) if status.starts_with('2') => Failure::None,
        (None, _) => Failure::Passing,
    };
    let worst = report
        .recipients
        .iter()
        .map(|one| of(one.action.as_deref(), one.status.as_deref()))
        .max_by_key(|failure| *failure as u8);
    worst.unwrap_or(Failure::None)
}
