//! Verification mail that is owed to people. Each is a row first; the mailer claims it, sends it and settles
//! it.
//!
//! Claiming takes its share of the rate limits, so that a crash between sending and settling cannot cause a
//! second mail beyond them.

use std::time::Duration;

use crate::config::MailLimits;
use crate::domain::{
    AccountId, EmailAddress, MailCause, MailId, MailKind, PortalName, Timestamp, TokenHash,
};
use crate::store::rows::account_rows::AccountRow;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Tx, insert};
use crate::store::verification::mail_claims::{MailClaim, settle};
use crate::store::verification::mail_lanes::{Lane, QueuePlace};
use crate::store::verification::mail_queue::{claim, next_due};
use crate::store::{NextWork, Result, Settled, Store, Topic};

/// A mail to be sent now. Contains nothing that the sender of a message wrote, except the Message-ID that it
/// answers.
#[derive(Debug, Clone)]
pub struct VerificationMail {
    pub id: MailId,
    pub kind: MailKind,
    pub cause: MailCause,
    pub account: AccountId,
    pub address: EmailAddress,
    pub portal: Option<PortalName>,
    /// Message-ID of the held message, without angle brackets.
    pub in_reply_to: Option<String>,
    /// Number of waiting requests.
    pub waiting: u32,
    /// Time at which the first of them expires.
    pub expires_at: Option<Timestamp>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    pub(crate) claim: MailClaim,
    /// Index of this mail's token among those passed to the claim. No token is stored for
    /// `AlreadyRegistered`, which has no link.
    pub token: usize,
}

/// Outcome of sending a mail.
#[derive(Debug, Clone)]
pub enum MailOutcome {
    Sent,
    /// Certainly not sent, and due as before; gives the mail's share of the limits back.
    Unattempted,
    /// To be retried at this time; gives the mail's share of the limits back.
    Retry {
        at: Timestamp,
        cause: String,
    },
    /// Unknown whether it was sent. To be retried at this time; keeps the share of the limits.
    Unknown {
        at: Timestamp,
        cause: String,
    },
    /// Certainly not sent, and given up. Counts as a temporary failure of the address, because the cause may be our
    /// relay's.
    Refused {
        cause: String,
    },
    /// Unknown whether it was sent, and given up. Counts as a temporary failure of the address.
    GivenUp {
        cause: String,
    },
    /// Our relay says that the address does not exist: the account gets no more mail.
    NoSuchAddress {
        cause: String,
    },
}

impl MailOutcome {
    /// True if this attempt certainly did not send the mail.
    pub(crate) fn is_unsent(&self) -> bool {
        match self {
            Self::Unattempted
            | Self::Retry { .. }
            | Self::Refused { .. }
            | Self::NoSuchAddress { .. } => true,
            Self::Sent | Self::Unknown { .. } | Self::GivenUp { .. } => false,
        }
    }
}

/// Mails to be sent, or the time at which to ask again.
#[derive(Debug, Clone)]
pub struct ClaimedMail {
    pub verification_mails: Vec<VerificationMail>,
    /// Time at which the next mail is due, if one waits.
    pub next_due: Option<Timestamp>,
    /// Mails that a limit deferred in this claim, for the `verification.deferred` event.
    pub deferred: Vec<(AccountId, EmailAddress, Timestamp)>,
}

/// Hashes of the tokens that a mail will contain.
#[derive(Debug, Clone, Copy)]
pub struct TokenHashes {
    pub link: TokenHash,
    /// Token of its reply address.
    pub reply: Option<TokenHash>,
}

impl TokenHashes {
    pub(crate) fn all(self) -> impl Iterator<Item = TokenHash> {
        [Some(self.link), self.reply].into_iter().flatten()
    }
}

impl From<TokenHash> for TokenHashes {
    fn from(link: TokenHash) -> Self {
        Self { link, reply: None }
    }
}

/// Reason why a mail is owed.
pub(crate) struct Occasion<'a> {
    pub(crate) kind: MailKind,
    pub(crate) cause: MailCause,
    pub(crate) portal: Option<&'a PortalName>,
    pub(crate) in_reply_to: Option<&'a str>,
    pub(crate) place: QueuePlace,
}

impl Occasion<'_> {
    /// True if the person or an operator asked for the mail, or the person wrote the message that causes it. Then
    /// earlier mails no longer count as unanswered.
    fn starts_anew(&self) -> bool {
        match self.cause {
            MailCause::Mail => {
                self.kind == MailKind::Verification && self.place.lane == Lane::Authenticated
            }
            MailCause::SignUp
            | MailCause::Resend
            | MailCause::Operator
            | MailCause::Reply
            | MailCause::TakeBack => true,
        }
    }
}

/// True if an occasion of this cause takes over a mail that waits for an `earlier` cause, which decides whether the
/// mail is still needed when its turn comes. A request by a person or an operator may not end with the message before
/// it. The mail to undo "This was not me" is needed only while the address gets no other.
fn takes_over(cause: MailCause, earlier: MailCause) -> bool {
    match (cause, earlier) {
        (MailCause::TakeBack | MailCause::Operator, _) | (_, MailCause::TakeBack) => {
            cause != earlier
        }
        (MailCause::SignUp | MailCause::Resend | MailCause::Reply, _) => earlier == MailCause::Mail,
        (MailCause::Mail, _) => false,
    }
}

/// Owes a mail, unless one is on its way, the address may get none, or the person has not reacted to several.
/// Returns true if one has become due.
pub(crate) fn owe(tx: &Tx, account: &AccountRow, occasion: &Occasion, now: Millis) -> Result<bool> {
    let asks = matches!(occasion.cause, MailCause::Resend | MailCause::SignUp);
    let cause = if !account.is_quiet(now) {
        occasion.cause
    } else if asks && account.may_be_mailed_once(now) {
        MailCause::TakeBack
    } else {
        return Ok(false);
    };
    if occasion.starts_anew() {
        account.reset_unanswered_mails(tx)?;
    } else if account.has_ignored_mails() {
        return Ok(false);
    }
    let outstanding: Option<(i64, Lane, bool, MailCause)> = tx.maybe(
        "SELECT n, lane, state = 'waiting', cause FROM letter
             WHERE account = ? AND due_at IS NOT NULL",
        &[&account.n],
    )?;
    let place = occasion.place;
    let Some((n, lane, waits, earlier)) = outstanding else {
        if cause == MailCause::TakeBack {
            account.mail_once(tx)?;
        }
        insert!(
            tx,
            letter {
                n: tx.next_number()?,
                id: MailId::new(),
                account: account.n,
                kind: occasion.kind,
                cause,
                portal: occasion.portal,
                in_reply_to: occasion.in_reply_to,
                state: "waiting",
                created_at: now,
                due_at: now,
                lane: place.lane,
                flow: place.flow,
                turn: place.next_turn(tx)?
            }
        )?;
        return Ok(true);
    };
    if !waits {
        return Ok(false);
    }
    if takes_over(cause, earlier) {
        if cause == MailCause::TakeBack {
            account.mail_once(tx)?;
        }
        tx.run(
            "UPDATE letter SET kind = ?2, cause = ?3, portal = coalesce(?4, portal),
                     in_reply_to = coalesce(?5, in_reply_to)
                 WHERE n = ?1",
            &[
                &n,
                &occasion.kind,
                &cause,
                &occasion.portal,
                &occasion.in_reply_to,
            ],
        )?;
    }
    if lane <= place.lane {
        return Ok(false);
    }
    // Serve it in the earlier lane, unless our relay has just refused it.
    tx.run(
        "UPDATE letter SET lane = ?2, flow = ?3, turn = ?4,
                 due_at = CASE WHEN last_error IS NULL AND due_at > ?5 THEN ?5 ELSE due_at END
             WHERE n = ?1",
        &[&n, &place.lane, &place.flow, &place.next_turn(tx)?, &now],
    )?;
    Ok(true)
}

/// Cancels the waiting mails of an account.
pub(crate) fn cancel(tx: &Tx, account: i64, now: Millis) -> Result<()> {
    tx.run(
        "UPDATE letter SET state = 'cancelled', due_at = NULL, settled_at = ?2
             WHERE account = ?1 AND state = 'waiting' AND due_at IS NOT NULL",
        &[&account, &now],
    )?;
    Ok(())
}

impl Store {
    /// Time at which a mail can be claimed.
    pub async fn next_mail(&self) -> Result<NextWork> {
        self.read(|tx| next_due(tx).map(NextWork::at)).await
    }

    /// Records outcomes in order, and then claims up to `tokens.len()` mails that are due and within the limits,
    /// and stores the hash of the token that each will contain, in one transaction. A sent mail is recorded as
    /// sent even when the claim is lost, unless another outcome was recorded. The tokens of a mail that certainly was
    /// not sent are deleted. Mails that are no longer needed are cancelled.
    pub async fn settle_and_claim_mail<'a>(
        &self,
        outcomes: impl IntoIterator<Item = (&'a VerificationMail, MailOutcome, Timestamp)>,
        tokens: Vec<TokenHashes>,
        limits: MailLimits,
        token_ttl: Duration,
        now: Timestamp,
    ) -> Result<(Vec<Settled>, ClaimedMail)> {
        let outcomes: Vec<(MailClaim, MailOutcome, Millis)> = outcomes
            .into_iter()
            .map(|(mail, outcome, at)| (mail.claim.clone(), outcome, at.into()))
            .collect();
        let holder = self.holder.clone();
        self.write(move |work| {
            let tx = work.tx;
            let mut settled = Vec::with_capacity(outcomes.len());
            for (claim, outcome, at) in &outcomes {
                settled.push(settle(tx, claim, outcome, limits.delimiters, *at)?);
            }
            // The clock may have jumped since the worker looked at it.
            let is_right = work.driver.is_clock_right();
            let tokens = if is_right { &tokens[..] } else { &[] };
            let claimed = claim(tx, tokens, &holder, limits, token_ttl, now.into())?;
            // This caller claims nothing, so wake the worker that does.
            let is_changed = tokens.is_empty() && settled.contains(&Settled::Recorded);
            work.wakeups.add_if(Topic::VerificationMail, is_changed);
            Ok((settled, claimed))
        })
        .await
    }
}
