//! Claiming of verification mail: finds mail that is due and still needed, within the rate limits, and stores
//! a token for each.

use std::collections::HashSet;
use std::time::Duration;

use crate::config::MailLimits;
use crate::domain::{AccountStatus, EmailAddress, MailId, MailboxKey, PortalName};
use crate::domain::{MailCause, MailKind};
use crate::store::Result;
use crate::store::claims::holder::Holder;
use crate::store::claims::leases::VERIFICATION_MAILS;
use crate::store::error::readable;
use crate::store::rows::account_rows::{AccountRow, account_by_number};
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::sql::{FromRow, Tx};
use crate::store::verification::bounces::paused_until;
use crate::store::verification::mail_claims::{LEASE, MailClaim, end};
use crate::store::verification::mail_lanes::{Lane, QueuePlace};
use crate::store::verification::rate_limits::{Share, Shares};
use crate::store::verification::tokens::insert_token;
use crate::store::verification::verification_mail::{ClaimedMail, TokenHashes, VerificationMail};

/// Number of mails examined for each that a claim may take: mails over a limit are deferred.
const LOOKS: usize = 4;

/// Maximum number of quiet addresses of one domain that are compared.
const MAX_QUIET: i64 = 1000;

/// A due mail, before the limits are checked.
pub(crate) struct Due {
    n: i64,
    id: MailId,
    kind: MailKind,
    cause: MailCause,
    portal: Option<PortalName>,
    in_reply_to: Option<String>,
    attempts: u32,
    account: i64,
    place: QueuePlace,
}

// If the row is damaged, the mail is sent without a portal and without the message that it replies to.
from_row!(
    Due, row: n, id, kind, cause, portal = row.get("portal").unwrap_or_default(),
    in_reply_to = row.get("in_reply_to").unwrap_or_default(), attempts, account,
    place = QueuePlace { lane: row.get("lane")?, flow: row.get("flow")? },
);

impl Due {
    /// True if there is still a reason to send it. `waiting` is the number of held requests, `is_offered` is true if
    /// the hold quota dropped a message that the person can restore. A mail for messages alone is not sent once an
    /// operator has released or discarded them all.
    fn is_needed(
        &self,
        account: &AccountRow,
        (waiting, is_offered): (u32, bool),
        now: Millis,
    ) -> bool {
        let may_be_mailed = match self.cause {
            MailCause::TakeBack => account.is_only_refused(now),
            _ => !account.is_quiet(now),
        };
        may_be_mailed
            && match self.kind {
                MailKind::Verification => {
                    account.can_be_verified()
                        && (self.cause != MailCause::Mail || waiting > 0 || is_offered)
                }
                MailKind::Reminder => account.can_be_verified() && waiting > 0,
                MailKind::AlreadyRegistered => account.status == AccountStatus::Active,
            }
    }
}

/// Checks whether the owner of the mailbox said "This was not me" about another of its addresses: a forger of
/// one address of a mailbox can forge all of them. If a person asks for a link, the mailbox still gets one
/// mail: `Once` lists the quiet accounts to be marked when `verification_mail` goes out.
fn mailbox_quiet(
    tx: &Tx,
    address: &EmailAddress,
    (verification_mail, cause): (i64, MailCause),
    limits: MailLimits,
    now: Millis,
) -> Result<Quiet> {
    let key = MailboxKey::of(address, limits.delimiters);
    let asks = matches!(cause, MailCause::Resend | MailCause::SignUp);
    let mut quiet_accounts = Vec::new();
    for domain in MailboxKey::domains_of(address, limits.delimiters) {
        let quiet = tx.all_with(
            "SELECT address, n, quiet_mailed FROM account
             WHERE domain = ? AND quiet_until > ? LIMIT ?",
            &[&domain, &now, &MAX_QUIET],
            |row| readable(<(EmailAddress, i64, i64)>::from_row(row)),
        )?;
        for (other, n, mailed) in quiet.into_iter().flatten() {
            if MailboxKey::of(&other, limits.delimiters) != key {
                continue;
            }
            if !asks || (mailed != 0 && mailed != verification_mail) {
                return Ok(Quiet::NoMail);
            }
            quiet_accounts.push(n);
        }
    }
    Ok(Quiet::Once(quiet_accounts))
}

/// Quiet state of a mailbox.
enum Quiet {
    NoMail,
    /// One mail, for which these accounts are marked; empty if none is quiet.
    Once(Vec<i64>),
}

/// Account of a mail, the number of its waiting requests with their first expiry, and its address.
fn read_recipient(
    tx: &Tx,
    verification_mail: &Due,
) -> Result<(AccountRow, u32, Option<Millis>, EmailAddress)> {
    let account = account_by_number(tx, verification_mail.account)?;
    let (waiting, expires) = waiting(tx, verification_mail.account)?;
    let address = account.address(tx)?;
    Ok((account, waiting, expires, address))
}

/// Number of held requests of an account, and the time at which the first expires.
fn waiting(tx: &Tx, account: i64) -> Result<(u32, Option<Millis>)> {
    let sql = "SELECT count(*), min(due_at) FROM request WHERE account = ? AND state = 'held'";
    tx.one(sql, &[&account])
}

/// True if the hold quota dropped a message of an account that the page behind a link offers.
fn has_offer(tx: &Tx, account: i64, now: Millis) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM offer AS o JOIN ledger AS l ON l.n = o.ledger
         WHERE o.account = ? AND o.refused_at IS NULL AND l.forget_at > ? LIMIT 1",
        &[&account, &now],
    )
}

/// Due mails of a lane in service order: by turns, and first come, first served within a turn. In the lane
/// for others, every second place goes to the newest mail, so that a flood does not delay everyone who comes
/// after it.
pub(crate) fn due(tx: &Tx, lane: Lane, now: Millis, most: usize) -> Result<Vec<Due>> {
    let look = |order: &str| -> Result<Vec<Due>> {
        tx.all(
            &format!(
                "SELECT n, id, kind, cause, portal, in_reply_to, attempts, account, lane, flow
                 FROM letter WHERE lane = ? AND due_at <= ? ORDER BY due_at, turn, {order} LIMIT ?"
            ),
            &[&lane, &now, &most],
        )
    };
    let oldest = look("n")?;
    if lane != Lane::Others || oldest.len() < 2 {
        return Ok(oldest);
    }
    let newest = look("n DESC")?;
    let mut seen = HashSet::with_capacity(most);
    let mut due: Vec<Due> = oldest
        .into_iter()
        .zip(newest)
        .flat_map(|(oldest, newest)| [oldest, newest])
        .filter(|verification_mail| seen.insert(verification_mail.n))
        .collect();
    due.truncate(most);
    Ok(due)
}

/// Claims due mails, lane after lane, as far as the limits allow.
pub(crate) fn claim(
    tx: &Tx,
    tokens: &[TokenHashes],
    holder: &Holder,
    limits: MailLimits,
    token_ttl: Duration,
    now: Millis,
) -> Result<ClaimedMail> {
    let mut claimed = ClaimedMail {
        verification_mails: Vec::new(),
        next_due: None,
        deferred: Vec::new(),
    };
    let mut due_now = Vec::new();
    for lane in Lane::ALL {
        due_now.extend(due(tx, lane, now, tokens.len() * LOOKS)?);
    }
    let mut shares = Shares::at(tx, limits, now);
    for verification_mail in due_now {
        let Some(token) = tokens.get(claimed.verification_mails.len()) else {
            break;
        };
        let (account, waiting, expires, address) = match read_recipient(tx, &verification_mail) {
            Err(cause) if cause.is_of_row() => {
                let cause = cause.to_string();
                end(tx, verification_mail.n, "refused", Some(&cause), now)?;
                continue;
            }
            known => known?,
        };
        let quiet = match verification_mail.cause {
            MailCause::Operator | MailCause::TakeBack => Quiet::Once(Vec::new()),
            cause => mailbox_quiet(tx, &address, (verification_mail.n, cause), limits, now)?,
        };
        let is_offered = waiting == 0 && has_offer(tx, verification_mail.account, now)?;
        let is_needed = verification_mail.is_needed(&account, (waiting, is_offered), now);
        let quiet_accounts = match quiet {
            Quiet::Once(accounts) if is_needed && address.is_usable() => accounts,
            Quiet::Once(_) | Quiet::NoMail => {
                end(tx, verification_mail.n, "cancelled", None, now)?;
                continue;
            }
        };
        // A mail requested by an operator ignores the pause after bounces.
        let paused = match verification_mail.cause {
            MailCause::Operator => None,
            _ => paused_until(tx, verification_mail.account, now)?,
        };
        let share = match paused {
            Some(until) => Share::FreeAt(until),
            None => shares.take(&address, verification_mail.n, verification_mail.place)?,
        };
        let claimed_at = match share {
            Share::Taken(at) => at,
            Share::FreeAt(free) => {
                VERIFICATION_MAILS.put_back(tx, verification_mail.n, free, None)?;
                claimed
                    .deferred
                    .push((account.id, address, free.timestamp()));
                continue;
            }
        };
        for n in quiet_accounts {
            let sql = "UPDATE account SET quiet_mailed = ?2 WHERE n = ?1";
            tx.run(sql, &[&n, &verification_mail.n])?;
        }
        let lease = VERIFICATION_MAILS.take(tx, verification_mail.n, holder, now.plus(LEASE))?;
        let sql = "UPDATE letter SET claimed_at = ?2 WHERE n = ?1";
        tx.run(sql, &[&verification_mail.n, &claimed_at])?;
        let stored = Some(*token).filter(|_| verification_mail.kind != MailKind::AlreadyRegistered);
        for hash in stored.into_iter().flat_map(TokenHashes::all) {
            let expires_at = now.plus(token_ttl);
            insert_token(tx, hash, account.n, verification_mail.n, expires_at)?;
        }
        claimed.verification_mails.push(VerificationMail {
            id: verification_mail.id,
            kind: verification_mail.kind,
            cause: verification_mail.cause,
            account: account.id,
            address,
            portal: verification_mail.portal,
            in_reply_to: verification_mail.in_reply_to,
            waiting,
            expires_at: expires.map(Millis::timestamp),
            attempt: verification_mail.attempts + 1,
            claim: MailClaim {
                lease,
                at: claimed_at,
                place: verification_mail.place,
                tokens: stored,
            },
            token: claimed.verification_mails.len(),
        });
    }
    shares.keep()?;
    claimed.next_due = next_due(tx)?.map(Millis::timestamp);
    Ok(claimed)
}

/// Time at which the next mail is due; None if none waits.
pub(crate) fn next_due(tx: &Tx) -> Result<Option<Millis>> {
    let sql = "SELECT min(due_at) FROM letter WHERE due_at IS NOT NULL";
    tx.one(sql, &[])
}
