//! Claims of verification mail: confirmed right before the mail is sent, then settled.
//!
//! A claim takes a share of the rate limits. A worker that certainly sent nothing gives the share back, even
//! if another worker holds the mail by then. A sent mail is recorded as sent, whoever holds it: so a person
//! gets no second one, and each mail counts once.

use std::time::Duration;

use crate::domain::{Actor, AddressDelimiters, EmailAddress, MailCause, MailboxKey, Timestamp};
use crate::mail::BounceSeverity;
use crate::store::audit::events::{NewEvent, record_of_account};
use crate::store::claims::holder::Holder;
use crate::store::claims::leases::{ClaimNumber, Lease, VERIFICATION_MAILS};
use crate::store::claims::outcomes::Settled;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::bounces::note_failure;
use crate::store::verification::mail_lanes::QueuePlace;
use crate::store::verification::rate_limits::give_back;
use crate::store::verification::tokens::delete_tokens;
use crate::store::{MailOutcome, Result, Store, TokenHashes, Topic, VerificationMail};

/// Length of a lease.
pub(crate) const LEASE: Duration = Duration::from_mins(15);

/// Age from which a lease is renewed before its mail is sent: sending takes less time than the remainder.
const FRESH: Duration = Duration::from_mins(5);

/// Identifies a claim in calls by its holder.
#[derive(Debug, Clone)]
pub struct MailClaim {
    pub(in crate::store) lease: Lease,
    /// Time that is recorded for its share of the limits.
    pub(in crate::store) at: Millis,
    pub(in crate::store) place: QueuePlace,
    /// Stored for this attempt; None for a mail without a link.
    pub(in crate::store) tokens: Option<TokenHashes>,
}

impl MailClaim {
    /// A claim for tests, made by no worker.
    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self {
            lease: Lease::sample(),
            at: Millis(0),
            place: QueuePlace::of_page(
                None,
                &crate::domain::Domain::parse("x.example").expect("one"),
            ),
            tokens: None,
        }
    }
}

impl VerificationMail {
    /// Number of the claim, higher than that of every earlier claim.
    #[must_use]
    pub fn number(&self) -> ClaimNumber {
        self.claim.lease.number
    }
}

/// Records the outcome of a claimed mail. A sent mail is recorded as sent even when the claim is lost, unless
/// another outcome was recorded. `delimiters` tell which addresses are of one mailbox.
pub(crate) fn settle(
    tx: &Tx,
    claim: &MailClaim,
    outcome: &MailOutcome,
    delimiters: AddressDelimiters,
    now: Millis,
) -> Result<Settled> {
    let n = claim.lease.row;
    let found: Option<(i64, EmailAddress, bool)> = tx.maybe(
        "SELECT account, address, state = 'waiting' OR state = 'claimed'
             FROM letter JOIN account ON account.n = letter.account WHERE letter.n = ?",
        &[&n],
    )?;
    let Some((account, address, is_owed)) = found else {
        return Ok(Settled::ClaimLost);
    };
    let holds = VERIFICATION_MAILS.holds(tx, &claim.lease)?;
    // Nobody has these links, so nobody must be told that they are valid.
    if let Some(tokens) = claim.tokens.filter(|_| outcome.is_unsent()) {
        delete_tokens(tx, tokens)?;
    }
    match outcome {
        MailOutcome::Sent if is_owed => {
            end(tx, n, "sent", None, now)?;
            count_unanswered(tx, account)?;
            record_of_account(tx, "verification.sent", account, &Actor::Daemon, now)?;
        }
        MailOutcome::Unattempted => {
            give_back(tx, &address, n, claim.place, claim.at)?;
            if !holds {
                return Ok(Settled::ClaimLost);
            }
            back(tx, n, now, None, now)?;
            let sql = "UPDATE letter SET attempts = attempts - 1 WHERE n = ?";
            tx.run(sql, &[&n])?;
        }
        MailOutcome::Retry { at, cause } => {
            give_back(tx, &address, n, claim.place, claim.at)?;
            if !holds {
                return Ok(Settled::ClaimLost);
            }
            put_back(tx, n, account, (*at).into(), cause, now)?;
        }
        MailOutcome::Unknown { at, cause } if holds => {
            count_unanswered(tx, account)?;
            put_back(tx, n, account, (*at).into(), cause, now)?;
        }
        MailOutcome::Refused { cause } if holds => {
            end(tx, n, "refused", Some(cause), now)?;
            permit_another(tx, n, account, &address, delimiters)?;
            note_failure(tx, account, None, BounceSeverity::Temporary, now)?;
        }
        MailOutcome::GivenUp { cause } if holds => {
            count_unanswered(tx, account)?;
            end(tx, n, "refused", Some(cause), now)?;
            note_failure(tx, account, None, BounceSeverity::Temporary, now)?;
        }
        MailOutcome::NoSuchAddress { cause } if holds => {
            end(tx, n, "refused", Some(cause), now)?;
            permit_another(tx, n, account, &address, delimiters)?;
            note_failure(tx, account, None, BounceSeverity::Permanent, now)?;
        }
        _ => return Ok(Settled::ClaimLost),
    }
    Ok(Settled::Recorded)
}

/// If a mail that was given up was the one that a quiet mailbox still gets, permits another in its place. Does nothing
/// if an earlier attempt may have sent it: the link of that attempt is still stored.
fn permit_another(
    tx: &Tx,
    n: i64,
    account: i64,
    address: &EmailAddress,
    delimiters: AddressDelimiters,
) -> Result<()> {
    if tx.exists("SELECT 1 FROM token WHERE letter = ?", &[&n])? {
        return Ok(());
    }
    tx.run(
        "UPDATE account SET quiet_mailed = 0
             WHERE n = ?1 AND quiet_mailed = -1
                 AND EXISTS (SELECT 1 FROM letter WHERE letter.n = ?2 AND cause = ?3)",
        &[&account, &n, &MailCause::TakeBack],
    )?;
    // The mail of another address of the mailbox marks the accounts that are quiet.
    for domain in MailboxKey::domains_of(address, delimiters) {
        tx.run(
            "UPDATE account SET quiet_mailed = 0
                 WHERE domain = ?1 AND quiet_until IS NOT NULL AND quiet_mailed = ?2",
            &[&domain, &n],
        )?;
    }
    Ok(())
}

/// Counts a mail that the person may have received.
fn count_unanswered(tx: &Tx, account: i64) -> Result<()> {
    let sql = "UPDATE account SET unanswered_mails = unanswered_mails + 1 WHERE n = ?";
    tx.run(sql, &[&account])?;
    Ok(())
}

fn put_back(tx: &Tx, n: i64, account: i64, due: Millis, cause: &str, now: Millis) -> Result<()> {
    back(tx, n, due, Some(cause), now)?;
    NewEvent::new("verification.deferred")
        .account(account)
        .detail(cause)
        .record(tx, &Actor::Daemon, now)
}

/// Returns a mail to the queue, if there is still a reason to send it.
fn back(tx: &Tx, n: i64, due: Millis, error: Option<&str>, now: Millis) -> Result<()> {
    let is_needed: bool = tx.one(
        "SELECT t.kind = 'already_registered' OR a.status = 'pending'
                 OR (a.status = 'active' AND a.verified_at IS NULL)
             FROM letter AS t JOIN account AS a ON a.n = t.account WHERE t.n = ?",
        &[&n],
    )?;
    if is_needed {
        VERIFICATION_MAILS.put_back(tx, n, due, error)
    } else {
        end(tx, n, "cancelled", error, now)
    }
}

/// Puts the mails that earlier openings of this node had claimed back into the queue, and returns their number.
/// They keep their share of the limits: they may have been sent.
pub(crate) fn end_others(tx: &Tx, holder: &Holder, now: Millis) -> Result<usize> {
    let verification_mails = VERIFICATION_MAILS.held_by_others(tx, holder)?;
    for n in &verification_mails {
        back(tx, *n, now, None, now)?;
    }
    Ok(verification_mails.len())
}

/// Ends a mail, whoever holds it.
pub(crate) fn end(tx: &Tx, n: i64, state: &str, error: Option<&str>, now: Millis) -> Result<()> {
    tx.run(
        "UPDATE letter SET state = ?2, due_at = NULL, settled_at = ?3, last_error = ?4,
                 claim = NULL, holder = NULL
             WHERE n = ?1",
        &[&n, &state, &now, &error],
    )?;
    Ok(())
}

/// Gives back the share of a mail that no worker received.
fn give_share_back(tx: &Tx, n: i64) -> Result<()> {
    let (address, place, at) = tx.one_with(
        "SELECT address, lane, flow, claimed_at
             FROM letter JOIN account ON account.n = letter.account WHERE letter.n = ?",
        &[&n],
        |row| {
            let place = QueuePlace {
                lane: row.get(1)?,
                flow: row.get(2)?,
            };
            Ok((row.get(0)?, place, row.get(3)?))
        },
    )?;
    give_back(tx, &address, n, place, at)
}

impl Store {
    /// Checks, right before a claimed mail is sent, that the claim still holds, and extends the lease for
    /// long enough to send it. False means that it must not be sent: another worker has it, or it was sent.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub async fn confirm_claim(
        &self,
        verification_mail: &VerificationMail,
        now: Timestamp,
    ) -> Result<bool> {
        let claim = verification_mail.claim.clone();
        let now = Millis::from(now);
        if now <= claim.at.plus(FRESH) {
            let holds = self.read(move |tx| VERIFICATION_MAILS.holds(tx, &claim.lease));
            return holds.await;
        }
        self.write(move |work| {
            let holds = VERIFICATION_MAILS.holds(work.tx, &claim.lease)?;
            if holds {
                let sql = "UPDATE letter SET due_at = ?2 WHERE n = ?1";
                work.tx.run(sql, &[&claim.lease.row, &now.plus(LEASE)])?;
            }
            Ok(holds)
        })
        .await
    }

    /// Gives back the mails that this handle claimed after the claim of that number, with their share of the
    /// limits. For a worker whose claim failed but may still have been recorded.
    pub async fn give_back_mail(&self, after: ClaimNumber, now: Timestamp) -> Result<()> {
        let holder = self.holder.clone();
        self.write(move |work| {
            let (tx, now) = (work.tx, now.into());
            for n in VERIFICATION_MAILS.held_after(tx, &holder, after)? {
                give_share_back(tx, n)?;
                back(tx, n, now, None, now)?;
                work.wakeups.add(Topic::VerificationMail);
            }
            Ok(())
        })
        .await
    }
}
