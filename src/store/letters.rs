//! Letters: mail that we owe somebody. A row first; the mailer claims it, sends it and settles it.
//!
//! Claiming takes the letter's share of the limits, so that a crash between sending and settling
//! cannot make a second mail within them.

use super::{Store, StoreError};
use crate::config::LetterLimits;
use crate::domain::{AccountId, EmailAddress, LetterId, PortalName, Timestamp, TokenHash};
use std::time::Duration;

/// Why a letter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterKind {
    /// The link that proves the address.
    Verification,
    /// The same, shortly before the held requests expire.
    Reminder,
    /// Somebody signed up with an address that has an account already.
    AlreadyRegistered,
}

/// What the person did that we write about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterCause {
    /// Mail to a portal.
    Mail,
    SignUp,
    /// Asked for a new link.
    Resend,
    /// An operator made the account or asked for the mail.
    Operator,
}

/// A letter that is to be sent now. Holds nothing that the sender of a message wrote, except for
/// the Message-ID that it answers.
#[derive(Debug, Clone)]
pub struct Letter {
    pub id: LetterId,
    pub kind: LetterKind,
    pub cause: LetterCause,
    pub account: AccountId,
    pub address: EmailAddress,
    pub portal: Option<PortalName>,
    /// The Message-ID of the held message, without angle brackets.
    pub in_reply_to: Option<String>,
    /// Requests that wait.
    pub waiting: u32,
    /// When the first of them expires.
    pub expires_at: Option<Timestamp>,
    /// Counts from 1.
    pub attempt: u32,
    /// Where in the tokens that were handed over this letter's stands.
    pub token: usize,
}

/// What came of sending a letter.
#[derive(Debug, Clone)]
pub enum LetterOutcome {
    Sent,
    /// Try again then; gives the letter's share of the limits back.
    Retry {
        at: Timestamp,
        cause: String,
    },
    Refused {
        cause: String,
    },
}

/// What is to be sent, or when to ask again.
#[derive(Debug, Clone)]
pub struct ClaimedLetters {
    pub letters: Vec<Letter>,
    /// When the next one is due, if one waits.
    pub next_due: Option<Timestamp>,
    /// Letters that a limit made wait just now, for the `verification.deferred` event.
    pub deferred: Vec<(AccountId, EmailAddress, Timestamp)>,
}

impl Store {
    /// Takes up to `tokens.len()` letters that are due and within the limits, and stores the hash of
    /// the token that each will carry. Letters of accounts that need no proof any more are dropped.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn claim_letters(
        &self,
        tokens: Vec<TokenHash>,
        limits: LetterLimits,
        token_ttl: Duration,
        now: Timestamp,
    ) -> Result<ClaimedLetters, StoreError> {
        let _ = (tokens, limits, token_ttl, now);
        unimplemented!()
    }

    /// Records what came of a claimed letter.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn settle_letter(
        &self,
        letter: LetterId,
        outcome: LetterOutcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (letter, outcome, now);
        unimplemented!()
    }

    /// Owes a new link to the account with this address if it is pending. Says nothing about whether
    /// there is one: the page answers the same either way.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn renew_link(
        &self,
        address: EmailAddress,
        cause: LetterCause,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (address, cause, now);
        unimplemented!()
    }

    /// The same for the account of an expired link.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn renew_expired_link(
        &self,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (token, now);
        unimplemented!()
    }
}
