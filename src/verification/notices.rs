//! In: notices that are due to senders whose mail is not accepted. Out: mail, composed and sent, and the record of
//! it.
//!
//! A notice is a courtesy: it is tried a few times within a day, under the same Message-ID, and one that may have
//! been sent before a crash is not sent again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::MailTransport;
use super::compose::compose_notice;
use super::mail_queue::judge_compose_error;
use super::transport::TIME_LIMIT;
use crate::config::{Config, Retry};
use crate::domain::{LanguagePriority, Timestamp};
use crate::observe::events;
use crate::outbound::queue::{WorkOutcome, WorkQueue};
use crate::outbound::retry::{self, settlement};
use crate::outbound::{Attempt, Cause};
use crate::store::{ClaimNumber, NextWork, Notice, Settlement, Store, StoreError, Topic, Turn};
use crate::templates::{Language, Templates};

/// The queue of notices.
pub(super) struct NoticeQueue {
    pub(super) store: Store,
    pub(super) config: Arc<Config>,
    pub(super) templates: Arc<Templates>,
    pub(super) transport: MailTransport,
}

impl WorkQueue for NoticeQueue {
    type Claim = Notice;
    type Settlement = Settlement;

    fn store(&self) -> &Store {
        &self.store
    }

    fn topic(&self) -> Topic {
        Topic::Notices
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn timeout(&self) -> Duration {
        TIME_LIMIT
    }

    async fn next(&self) -> Result<NextWork, StoreError> {
        self.store.next_notice().await
    }

    async fn turn(
        &self,
        outcomes: &[WorkOutcome<Self>],
        most: usize,
        _: Timestamp,
        now: Timestamp,
    ) -> Result<Turn<Notice>, StoreError> {
        let outcomes = outcomes
            .iter()
            .map(|done| (done.claim.id, done.settlement.clone(), done.at))
            .collect();
        let limits = self.config.verification.limits;
        self.store.turn_notices(outcomes, most, limits, now).await
    }

    fn number(_: &Notice) -> ClaimNumber {
        ClaimNumber::default()
    }

    /// Claims that may have been recorded are not sent.
    async fn give_back(&self, _: ClaimNumber, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn attempt(&self, notices: &mut [Notice], _: &CancellationToken) -> Vec<Option<Attempt>> {
        let mut attempts = Vec::with_capacity(notices.len());
        for notice in notices {
            attempts.push(Some(self.send(notice).await));
        }
        attempts
    }

    fn conclude(&self, notice: &Notice, attempt: Option<&Attempt>, now: Timestamp) -> Settlement {
        let retry = Retry::default();
        let begun = retry::first_attempt(&retry, notice.attempt, now);
        let outcome = match attempt {
            None => Settlement::Unattempted,
            // It may have arrived, and none is sent twice.
            Some(Attempt::Unknown(cause)) => Settlement::Failed {
                cause: cause.text.clone(),
            },
            Some(attempt) => settlement(attempt, notice.attempt, begun, &retry, now),
        };
        match &outcome {
            Settlement::Delivered => {
                events::sender_told(notice.ledger, &notice.address, &notice.portal);
            }
            Settlement::Retry { cause, .. } | Settlement::Failed { cause } => {
                events::fault("verification.notices", cause);
            }
            Settlement::Unattempted => {}
        }
        outcome
    }

    async fn close_idle(&self) {
        self.transport.close_idle().await;
    }
}

impl NoticeQueue {
    async fn send(&self, notice: &Notice) -> Attempt {
        let (config, templates) = (&self.config, &self.templates);
        if config.is_ours(&notice.address) {
            return Attempt::Refused(Cause::of_request("it is one of our own addresses"));
        }
        let language = language(config, templates, notice);
        match compose_notice(notice, config, templates, &language, Timestamp::now()) {
            Ok(mail) => self.transport.send(&mail).await,
            Err(error) => judge_compose_error(&error),
        }
    }
}

/// The language of the message, else the portal's, else the site's.
fn language(config: &Config, templates: &Templates, notice: &Notice) -> Language {
    let portal = config.portal(&notice.portal);
    let wanted = [
        Some(notice.languages.clone()),
        portal
            .and_then(|portal| portal.language.clone())
            .map(LanguagePriority::from),
        Some(config.site.language.clone().into()),
    ];
    let found = wanted
        .iter()
        .flatten()
        .find_map(|list| templates.choose(list));
    found.unwrap_or_default()
}
