//! The worker that sends verification mail: claims what is due, composes it, sends it, settles it.
//!
//! A mail is a row before it is composed, and it is counted against the limits at its claim, so that a crash
//! between sending and settling cannot cause a second mail within the limits. On shutdown nothing new is
//! claimed, and mail in progress is finished and settled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::schedule::next_attempt;
use super::transport::{Attempt, MailTransport};
use super::{ComposeError, MailTokens, compose};
use crate::config::Config;
use crate::domain::{AccountId, EmailAddress, LanguagePriority, Timestamp, TokenError};
use crate::failpoint;
use crate::observe::{catch_panic, events};
use crate::store::{ClaimNumber, MailOutcome, Settled, Store, StoreError, Topic, VerificationMail};
use crate::templates::{Language, Templates};

/// Maximum mails that are sent at the same time, each on its own connection.
const CONNECTIONS: usize = 16;

/// Maximum claimed and unsettled mails; more than connections, so that one transaction claims many and no
/// connection waits for it.
const CLAIMED: usize = 64;

/// Time for which idle connections are kept.
const KEEP_CONNECTIONS: Duration = Duration::from_secs(10);

/// Pause after an error of our own, such as a full disk.
const PAUSE: Duration = Duration::from_secs(5);

/// Longest pause between two attempts to settle a mail, eight minutes in all: less than its lease.
const LONGEST_SETTLING: Duration = Duration::from_mins(4);

/// Longest sleep without a look at the database, whatever time it returned.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// Runs until `shutdown`, then finishes the mail in progress.
pub async fn run(
    config: watch::Receiver<Arc<Config>>,
    store: Store,
    templates: Arc<Templates>,
    shutdown: CancellationToken,
) {
    let mut mailer = Mailer {
        config,
        store: store.for_workers(),
        templates,
        last_claim: ClaimNumber::default(),
        claim_in_doubt: false,
        under_way: JoinSet::new(),
        connections: Arc::new(Semaphore::new(CONNECTIONS)),
        shutdown: shutdown.clone(),
    };
    let mut post = None;
    loop {
        let current = mailer.config.borrow_and_update().clone();
        let way = match MailTransport::new(&current.outgoing, &current.hostname) {
            Ok(way) => Arc::new(way),
            Err(error) => {
                events::fault("verification.mailer", &error);
                match post.take() {
                    Some(before) => before,
                    None => return shutdown.cancelled().await,
                }
            }
        };
        let end = mailer.work(&current, &way, &shutdown).await;
        way.close_idle().await;
        post = Some(way);
        if let End::Shutdown = end {
            return;
        }
    }
}

/// Reasons why [`Mailer::work`] returned.
enum End {
    Shutdown,
    /// The configuration was reloaded.
    Reloaded,
}

struct Mailer {
    config: watch::Receiver<Arc<Config>>,
    store: Store,
    templates: Arc<Templates>,
    /// Number of the last claim that returned.
    last_claim: ClaimNumber,
    /// A claim failed but may have been recorded nevertheless.
    claim_in_doubt: bool,
    under_way: JoinSet<()>,
    connections: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// The task of one mail; owned, since it outlives the round that claimed it.
struct Errand {
    verification_mail: VerificationMail,
    tokens: MailTokens,
    config: Arc<Config>,
    templates: Arc<Templates>,
    store: Store,
    post: Arc<MailTransport>,
    connections: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Mailer {
    async fn work(
        &mut self,
        config: &Arc<Config>,
        post: &Arc<MailTransport>,
        shutdown: &CancellationToken,
    ) -> End {
        // Subscribed before the claim, so that a mail queued in between is not missed.
        let mut changes = self.store.subscribe(Topic::VerificationMail);
        let mut reloads = self.config.clone();
        loop {
            let wait = match self.claim(config, post).await {
                Ok(wait) => wait,
                Err(error) => {
                    events::fault("verification.mailer", &error);
                    PAUSE
                }
            };
            // The signals first, so that a long queue cannot delay them.
            let end = tokio::select! {
                biased;
                () = shutdown.cancelled() => Some(End::Shutdown),
                Ok(()) = reloads.changed() => Some(End::Reloaded),
                () = self.room(), if !self.under_way.is_empty() => None,
                () = changes.wait() => None,
                () = sleep(wait) => None,
                () = sleep(KEEP_CONNECTIONS), if self.under_way.is_empty() && post.holds_connections() => {
                    post.close_idle().await;
                    None
                }
            };
            if let Some(end) = end {
                while self.under_way.join_next().await.is_some() {}
                return end;
            }
        }
    }

    /// Resolves when enough mails are done to make another claim worth its transaction, or when all are.
    async fn room(&mut self) {
        let enough = if self.under_way.len() > CLAIMED / 2 {
            CLAIMED / 2
        } else {
            0
        };
        while self.under_way.len() > enough {
            if let Some(Err(error)) = self.under_way.join_next().await {
                events::fault("verification.mailer", &error);
            }
        }
    }

    /// Claims as many mails as there is capacity for and starts sending them. Returns the time of the next
    /// look if no wakeup comes earlier.
    async fn claim(
        &mut self,
        config: &Arc<Config>,
        post: &Arc<MailTransport>,
    ) -> Result<Duration, MailerError> {
        let room = CLAIMED.saturating_sub(self.under_way.len());
        if room == 0 {
            return Ok(LONGEST_WAIT);
        }
        let mut tokens = Vec::with_capacity(room);
        for _ in 0..room {
            tokens.push(Some(MailTokens::generate()?));
        }
        let now = Timestamp::now();
        if self.claim_in_doubt {
            self.store.give_back_mail(self.last_claim, now).await?;
        }
        self.claim_in_doubt = true;
        let claimed = self
            .store
            .claim_mail(
                tokens.iter().flatten().map(MailTokens::hashes).collect(),
                config.verification.limits,
                config.verification.token_ttl,
                now,
            )
            .await?;
        self.claim_in_doubt = false;
        for verification_mail in &claimed.verification_mails {
            self.last_claim = self.last_claim.max(verification_mail.number());
        }
        for (account, address, until) in &claimed.deferred {
            events::verification_deferred(*account, address, *until, "limit");
        }
        for verification_mail in claimed.verification_mails {
            let Some(tokens) = tokens
                .get_mut(verification_mail.token)
                .and_then(Option::take)
            else {
                return Err(MailerError::TokenTwice);
            };
            let errand = Errand {
                verification_mail,
                tokens,
                config: Arc::clone(config),
                templates: Arc::clone(&self.templates),
                store: self.store.clone(),
                post: Arc::clone(post),
                connections: Arc::clone(&self.connections),
                shutdown: self.shutdown.clone(),
            };
            self.under_way.spawn(errand.run());
        }
        Ok(claimed
            .next_due
            .map_or(LONGEST_WAIT, |due| {
                Duration::try_from(due.duration_since(now)).unwrap_or_default()
            })
            .clamp(Duration::from_millis(10), LONGEST_WAIT))
    }
}

impl Errand {
    async fn run(self) {
        let outcome = tokio::select! {
            biased;
            Ok(_connection) = self.connections.acquire() => self.outcome().await,
            // It was not sent yet; the next process takes it first.
            () = self.shutdown.cancelled() => MailOutcome::Retry {
                at: Timestamp::now(),
                cause: "shutdown".to_owned(),
            },
        };
        // If a sent mail were not recorded as sent, it would be sent again after its lease.
        let now = Timestamp::now();
        let mut wait = Duration::from_secs(1);
        loop {
            let settled = self
                .store
                .settle_mail(&self.verification_mail, outcome.clone(), now);
            match settled.await {
                Ok(Settled::Recorded | Settled::ClaimLost) => return,
                Err(error) => {
                    events::fault("verification.mailer", &error);
                    if error.is_final() || wait > LONGEST_SETTLING {
                        return;
                    }
                }
            }
            sleep(wait).await;
            wait *= 2;
        }
    }

    /// Sends the mail if this worker still holds its claim, and returns the outcome.
    async fn outcome(&self) -> MailOutcome {
        let VerificationMail {
            account,
            ref address,
            attempt: number,
            ..
        } = self.verification_mail;
        let confirmed = self
            .store
            .confirm_claim(&self.verification_mail, Timestamp::now());
        let attempt = match confirmed.await {
            Ok(true) => catch_panic(self.attempt()).await,
            // Another worker sends it, or has sent it.
            Ok(false) => {
                return MailOutcome::Retry {
                    at: Timestamp::now(),
                    cause: "another worker has it".to_owned(),
                };
            }
            Err(error) => Ok(Attempt::Later(error.to_string())),
        };
        failpoint::pass("letter sent");
        let now = Timestamp::now();
        match attempt {
            Ok(Attempt::Sent) => {
                events::verification_sent(account, address, number);
                MailOutcome::Sent
            }
            Ok(Attempt::Later(cause)) => match next_attempt(number, now) {
                Some(at) => {
                    events::verification_deferred(account, address, at, &cause);
                    MailOutcome::Retry { at, cause }
                }
                None => refused(account, address, cause),
            },
            Ok(Attempt::Never(cause)) => refused(account, address, cause),
            Err(panic) => {
                events::fault("verification.mailer", &panic);
                let cause = "a fault in vestibule".to_owned();
                match next_attempt(number, now) {
                    Some(at) => MailOutcome::Unknown { at, cause },
                    None => refused(account, address, cause),
                }
            }
        }
    }

    async fn attempt(&self) -> Attempt {
        let language = match self.language().await {
            Ok(language) => language,
            Err(error) => {
                events::fault("verification.mailer", &error);
                return Attempt::Later(error.to_string());
            }
        };
        match compose(
            &self.verification_mail,
            &self.tokens,
            &self.config,
            &self.templates,
            &language,
            Timestamp::now(),
        ) {
            Ok(mail) => self.post.send(&mail).await,
            // A template can be repaired while the mail waits.
            Err(error @ (ComposeError::Templates(_) | ComposeError::NoSubject)) => {
                Attempt::Later(error.to_string())
            }
            Err(error) => Attempt::Never(error.to_string()),
        }
    }
}

impl Errand {
    /// The language of the mail: the person's choice, else that of their message or browser, else the
    /// portal's, else the site's. It is recorded, since its word confirms a reply; English is assumed if
    /// nothing is recorded.
    async fn language(&self) -> Result<Language, StoreError> {
        let asked = self
            .store
            .find_mail_languages(self.verification_mail.id)
            .await?;
        let portal = self.verification_mail.portal.as_ref();
        let portal = portal.and_then(|name| self.config.portal(name));
        let wanted = [
            asked.chosen.map(LanguagePriority::from),
            Some(asked.wanted),
            portal
                .and_then(|portal| portal.language.clone())
                .map(LanguagePriority::from),
            Some(self.config.site.language.clone().into()),
        ];
        let found = wanted
            .iter()
            .flatten()
            .find_map(|list| self.templates.choose(list));
        let language = found.unwrap_or_default();
        if language != Language::default()
            || wanted[1].as_ref().is_some_and(|list| !list.is_empty())
        {
            let tag = language.tag().clone();
            self.store
                .note_mail_language(self.verification_mail.id, tag)
                .await?;
        }
        Ok(language)
    }
}

fn refused(account: AccountId, address: &EmailAddress, cause: String) -> MailOutcome {
    events::verification_bounced(account, Some(address), None, &cause);
    MailOutcome::Refused { cause }
}

/// Errors that keep the worker from claiming.
#[derive(Debug, thiserror::Error)]
enum MailerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("two letters were claimed with one token")]
    TokenTwice,
}

#[cfg(test)]
mod tests;
