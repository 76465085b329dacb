//! Answers to verification mail: verifies the address of an answer that confirms, and records any other answer.

use std::sync::Arc;

use crate::domain::{AccountStatus, Actor, LanguageTag, TokenHash, VerificationMethod};
use crate::domain::{MailCause, MailKind};
use crate::store::Choice;
use crate::store::accounts::look_at_link::portal_of_mail;
use crate::store::accounts::verify_account::VerificationOutcome;
use crate::store::audit::events::NewEvent;
use crate::store::engine::job::Work;
use crate::store::rows::account_rows::{AccountRow, account_by_number};
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::languages;
use crate::store::verification::mail_lanes::QueuePlace;
use crate::store::verification::tokens::{TokenRow, find_token};
use crate::store::verification::verification_mail::{Occasion, owe};
use crate::store::{Result, Topic};

/// Content of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyAnswer {
    /// Its first line is the word that confirms whatever mail it answers.
    Confirms,
    /// Its first line is the word that mail in these languages asks for.
    ConfirmsIn(Arc<[LanguageTag]>),
    /// Neither.
    Other,
    /// The domain in From does not vouch for it, so it confirms nothing.
    Unauthenticated,
}

/// An answer that is not automatic mail.
pub(crate) struct ConfirmationReply<'a> {
    /// Its ledger entry.
    pub(crate) n: i64,
    pub(crate) token: Option<TokenHash>,
    pub(crate) answer: ReplyAnswer,
    /// The `key` of the address in From.
    pub(crate) sender_key: &'a str,
}

impl Work<'_> {
    /// Verifies the account's address, or records the reason why not. If an answer was not understood, its
    /// sender gets one mail with instructions; if it confirms too late, one with a new link.
    pub(crate) fn take_reply(
        &mut self,
        reply: &ConfirmationReply,
        now: Millis,
    ) -> Result<Option<VerificationOutcome>> {
        let tx = self.tx;
        let found = match reply.token {
            Some(token) => find_token(tx, token)?.map(|found| (token, found)),
            None => None,
        };
        let Some((token, found)) = found else {
            return ignore(
                reply,
                None,
                "the reply address is unknown or no longer valid",
                now,
                tx,
            );
        };
        let account = account_by_number(tx, found.account)?;
        if account.address(tx)?.key() != reply.sender_key {
            return ignore(reply, None, "it is from another address", now, tx);
        }
        let answer = match &reply.answer {
            ReplyAnswer::ConfirmsIn(these) => {
                if these.contains(&languages::of_mail(tx, found.verification_mail)?) {
                    ReplyAnswer::Confirms
                } else {
                    ReplyAnswer::Other
                }
            }
            other => other.clone(),
        };
        let cause = match answer {
            ReplyAnswer::Unauthenticated => "the domain in From does not authenticate it",
            ReplyAnswer::Other | ReplyAnswer::ConfirmsIn(_) => {
                "its first line is not the confirmation word"
            }
            ReplyAnswer::Confirms => {
                let method = VerificationMethod::Reply(token);
                let verification = self.verify_account(&method, None, &Choice::All, now)?;
                let cause = match &verification {
                    VerificationOutcome::Verified { .. }
                    | VerificationOutcome::AlreadyVerified { .. } => return Ok(Some(verification)),
                    VerificationOutcome::Expired => {
                        self.renew_expired(&account, &found, now)?;
                        "the mail that it answers has expired"
                    }
                    VerificationOutcome::Unknown if account.status == AccountStatus::Blocked => {
                        "the account is blocked"
                    }
                    VerificationOutcome::Unknown => {
                        self.tell_how_to_undo(&account, &found, now)?;
                        "the person said \"This was not me\", and has not taken that back"
                    }
                };
                ignore(reply, Some(&account), cause, now, tx)?;
                return Ok(Some(verification));
            }
        };
        if answer == ReplyAnswer::Other && !found.refused {
            self.tell_what_to_do(&account, &found, now)?;
        }
        ignore(reply, Some(&account), cause, now, tx)
    }

    /// Owes a mail with instructions, but only one, and none if the answer was to such a mail.
    fn tell_what_to_do(
        &mut self,
        account: &AccountRow,
        found: &TokenRow,
        now: Millis,
    ) -> Result<()> {
        let cause = MailCause::Reply;
        let told = has_mail_from(self.tx, account, cause, found.verification_mail)?;
        if told || account.status != AccountStatus::Pending {
            return Ok(());
        }
        self.owe_to_replier(account, found, cause, now)
    }

    /// Owes a mail with a new link after an answer that confirms to a mail that has expired, unless a new link was
    /// requested after that mail. The reply asks for it, as the page for a new link does.
    fn renew_expired(&mut self, account: &AccountRow, found: &TokenRow, now: Millis) -> Result<()> {
        let cause = MailCause::Resend;
        let renewed = has_mail_from(self.tx, account, cause, found.verification_mail + 1)?;
        if renewed || account.status != AccountStatus::Pending {
            return Ok(());
        }
        self.owe_to_replier(account, found, cause, now)
    }

    /// Owes the one mail with which the person can take "This was not me" back, if they may still get it. The
    /// reply asks for it, as the page for a new link does.
    fn tell_how_to_undo(
        &mut self,
        account: &AccountRow,
        found: &TokenRow,
        now: Millis,
    ) -> Result<()> {
        if !account.may_be_mailed_once(now) {
            return Ok(());
        }
        self.owe_to_replier(account, found, MailCause::Resend, now)
    }

    fn owe_to_replier(
        &mut self,
        account: &AccountRow,
        found: &TokenRow,
        cause: MailCause,
        now: Millis,
    ) -> Result<()> {
        let tx = self.tx;
        let portal = portal_of_mail(tx, found.verification_mail)?;
        let occasion = Occasion {
            kind: MailKind::Verification,
            cause,
            portal: portal.as_ref(),
            in_reply_to: None,
            // Only a recipient of our mail knows its reply address.
            place: QueuePlace::of_mail(true, None, account.address(tx)?.domain()),
        };
        let is_owed = owe(tx, account, &occasion, now)?;
        self.wakeups.add_if(Topic::VerificationMail, is_owed);
        Ok(())
    }
}

/// True if the account has a mail of this cause with this number or a later one.
fn has_mail_from(tx: &Tx, account: &AccountRow, cause: MailCause, first: i64) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM letter WHERE account = ?1 AND cause = ?2 AND n >= ?3",
        &[&account.n, &cause, &first],
    )
}

fn ignore(
    reply: &ConfirmationReply,
    account: Option<&AccountRow>,
    cause: &str,
    now: Millis,
    tx: &Tx,
) -> Result<Option<VerificationOutcome>> {
    NewEvent::new("verification.reply_ignored")
        .entry(reply.n)
        .account(account.map(|account| account.n))
        .detail(cause)
        .record(tx, &Actor::Daemon, now)?;
    Ok(None)
}
