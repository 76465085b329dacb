//! In: verification mail that is due. Out: mail with a link, composed and sent, and the record of it.
//!
//! A mail is a row before it is composed, and it is counted against the limits at its claim, so that a crash
//! between sending and settling cannot cause more mail than the limits allow. Right before it is sent, the claim is
//! confirmed. At shutdown, and when the server is down, mail in progress is finished and settled; mail that was not
//! attempted returns to the queue and no longer counts against the limits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::mailer::Mailer;
use super::notices::NoticeQueue;
use super::transport::{TIME_LIMIT, TransportError};
use super::{MailTokens, MailTransport, compose};
use crate::config::{Config, RetrySchedule};
use crate::domain::{LanguagePriority, Timestamp};
use crate::failpoint;
use crate::observe::events;
use crate::outbound::breaker::Target;
use crate::outbound::queue::{WorkOutcome, WorkQueue};
use crate::outbound::retry::{self, settlement};
use crate::outbound::{AttemptOutcome, Generations, Scope};
use crate::store::{
    ClaimNumber, ClaimRound, MailOutcome, NextWork, Settlement, Store, StoreError, Topic,
    VerificationMail,
};
use crate::templates::{Language, Templates};

/// Maximum mails of a run, so that one transaction claims many and no connection waits for it.
const RUN: usize = 4;

/// Pause after a claim in which limits deferred mails: there may be more of them.
const AFTER_DEFERRING: Duration = Duration::from_millis(10);

/// Sends verification mail and notices that are due until `shutdown`, and finishes the mail in progress.
pub async fn run(
    config: watch::Receiver<Arc<Config>>,
    store: Store,
    templates: Arc<Templates>,
    shutdown: CancellationToken,
) {
    let mut generations = Generations::of(config, store, shutdown);
    while generations.next().await {
        let config = Arc::clone(generations.config());
        let mailer = |connections| -> Result<_, TransportError> {
            Ok(Mailer {
                store: generations.store(),
                config: Arc::clone(&config),
                templates: Arc::clone(&templates),
                transport: MailTransport::new(&config.outgoing, &config.hostname, connections)?,
            })
        };
        match (mailer(config.outgoing_concurrency), mailer(1)) {
            (Ok(of_mail), Ok(of_notices)) => {
                let target = Target::Mail(config.outgoing.clone());
                let breaker = generations.breaker("verification mail", target.clone());
                generations.start(breaker, MailQueue(of_mail));
                let breaker = generations.breaker("notices", target);
                generations.start(breaker, NoticeQueue(of_notices));
            }
            (Err(error), _) | (_, Err(error)) => events::fault("verification.mail", &error),
        }
    }
}

/// The queue of verification mail.
struct MailQueue(Mailer);

/// A claimed mail with the tokens that it will contain.
struct MailTask {
    mail: VerificationMail,
    tokens: MailTokens,
}

impl WorkQueue for MailQueue {
    type Claim = MailTask;
    type Settlement = MailOutcome;

    const TOPIC: Topic = Topic::VerificationMail;

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn concurrency(&self) -> usize {
        self.0.config.outgoing_concurrency
    }

    fn timeout(&self) -> Duration {
        TIME_LIMIT
    }

    async fn next(&self) -> Result<NextWork, StoreError> {
        self.0.store.next_mail().await
    }

    async fn settle_and_claim(
        &self,
        outcomes: &[WorkOutcome<Self>],
        most: usize,
        _: Timestamp,
        now: Timestamp,
    ) -> Result<ClaimRound<MailTask>, StoreError> {
        let tokens = (0..most * RUN)
            .map(|_| MailTokens::generate())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| StoreError::Other(error.to_string()))?;
        let outcomes = outcomes
            .iter()
            .map(|done| (&done.claim.mail, done.settlement.clone(), done.at));
        let verification = &self.0.config.verification;
        let (settled, claimed) = self
            .0
            .store
            .settle_and_claim_mail(
                outcomes,
                tokens.iter().map(MailTokens::hashes).collect(),
                verification.limits,
                verification.token_ttl,
                now,
            )
            .await?;
        for (account, address, until) in &claimed.deferred {
            events::verification_deferred(*account, address, *until, "limit");
        }
        let next = match claimed.next_due {
            None => NextWork::Nothing,
            Some(due) if claimed.deferred.is_empty() => NextWork::Due(due),
            Some(due) => NextWork::Due(due.max(now + AFTER_DEFERRING)),
        };
        // The mails were claimed with the tokens in this order.
        let tasks = claimed.verification_mails.into_iter().zip(tokens);
        let tasks = tasks.map(|(mail, tokens)| MailTask { mail, tokens });
        Ok(ClaimRound {
            settled,
            runs: deal(tasks.collect(), most),
            set_aside: Vec::new(),
            next,
            unread: None,
        })
    }

    fn number(task: &MailTask) -> ClaimNumber {
        task.mail.number()
    }

    async fn give_back(&self, after: ClaimNumber, now: Timestamp) -> Result<(), StoreError> {
        self.0.store.give_back_mail(after, now).await
    }

    async fn attempt(
        &self,
        tasks: &mut [MailTask],
        _: &CancellationToken,
    ) -> Vec<Option<AttemptOutcome>> {
        let mut attempts = Vec::with_capacity(tasks.len());
        for task in tasks {
            attempts.push(self.send(task).await);
        }
        attempts
    }

    fn conclude(
        &self,
        task: &MailTask,
        attempt: Option<&AttemptOutcome>,
        now: Timestamp,
    ) -> MailOutcome {
        let mail = &task.mail;
        let (account, address) = (mail.account, &mail.address);
        let Some(attempt) = attempt else {
            return MailOutcome::Unattempted;
        };
        failpoint::pass("letter sent");
        let retry = RetrySchedule::default();
        // The mail may have waited for the limits, so only the time since its first attempt counts. It follows from the
        // number of attempts, so no jump of the clock ends them.
        let begun = retry::first_attempt(&retry, mail.attempt, now);
        match settlement(attempt, mail.attempt, Some(begun), &retry, now) {
            Settlement::Delivered => {
                events::verification_sent(account, address, mail.attempt);
                MailOutcome::Sent
            }
            Settlement::Retry { at, cause } => {
                events::verification_deferred(account, address, at, &cause);
                if matches!(attempt, AttemptOutcome::Unknown(_)) {
                    MailOutcome::Unknown { at, cause }
                } else {
                    MailOutcome::Retry { at, cause }
                }
            }
            Settlement::Failed { cause } => {
                events::verification_bounced(account, Some(address), None, &cause);
                match attempt {
                    AttemptOutcome::Refused(refusal) if refusal.scope == Scope::Recipient => {
                        MailOutcome::NoSuchAddress { cause }
                    }
                    AttemptOutcome::Unknown(_) => MailOutcome::GivenUp { cause },
                    _ => MailOutcome::Refused { cause },
                }
            }
            Settlement::Unattempted => MailOutcome::Unattempted,
        }
    }

    async fn close_idle(&self) {
        self.0.transport.close_idle().await;
    }
}

impl MailQueue {
    /// Sends the mail if this worker still holds its claim; `None` if it was not sent.
    async fn send(&self, task: &MailTask) -> Option<AttemptOutcome> {
        let holds = self
            .0
            .store
            .confirm_claim(&task.mail, Timestamp::now())
            .await;
        let attempt = match holds {
            Ok(true) => self.compose_and_send(task).await,
            // Another worker sends it, or has sent it.
            Ok(false) => return None,
            Err(error) => Err(error),
        };
        Some(attempt.unwrap_or_else(|error| {
            events::fault("verification.mail", &error);
            error.into()
        }))
    }

    async fn compose_and_send(&self, task: &MailTask) -> Result<AttemptOutcome, StoreError> {
        let language = self.language(&task.mail).await?;
        let composed = compose(
            &task.mail,
            &task.tokens,
            &self.0.config,
            &self.0.templates,
            &language,
            Timestamp::now(),
        );
        Ok(self.0.send(composed).await)
    }

    /// The language of the mail: the person's choice, else that of their message or browser, else the portal's,
    /// else the site's. It is recorded, since its word for "yes" confirms a reply; English is assumed if nothing is
    /// recorded.
    async fn language(&self, mail: &VerificationMail) -> Result<Language, StoreError> {
        let asked = self.0.store.find_mail_languages(mail.id).await?;
        let has_wish = !asked.wanted.is_empty();
        let chosen = asked.chosen.map(LanguagePriority::from);
        let wanted = chosen.into_iter().chain([asked.wanted]);
        let language = self.0.choose_language(wanted, mail.portal.as_ref());
        if language != Language::default() || has_wish {
            let tag = language.tag().clone();
            self.0.store.note_mail_language(mail.id, tag).await?;
        }
        Ok(language)
    }
}

/// Distributes the tasks over at most `most` runs, as evenly as possible, and keeps their order in each.
fn deal<T>(tasks: Vec<T>, most: usize) -> Vec<Vec<T>> {
    let count = most.min(tasks.len());
    let mut runs: Vec<Vec<T>> = (0..count).map(|_| Vec::new()).collect();
    for (place, task) in tasks.into_iter().enumerate() {
        runs[place % count].push(task);
    }
    runs
}

#[cfg(test)]
mod tests;
