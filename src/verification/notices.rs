//! In: notices that are due to senders whose mail is not accepted. Out: mail, composed and sent, and the record of
//! it.
//!
//! A notice is a courtesy: it is tried a few times within a day, under the same Message-ID, and one that may have
//! been sent before a crash is not sent again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::compose::compose_notice;
use super::mailer::Mailer;
use super::transport::TIME_LIMIT;
use crate::config::RetrySchedule;
use crate::domain::Timestamp;
use crate::observe::events;
use crate::outbound::queue::{WorkOutcome, WorkQueue};
use crate::outbound::retry::{self, settlement};
use crate::outbound::{AttemptOutcome, Cause};
use crate::store::{
    ClaimNumber, ClaimRound, NextWork, Notice, Settlement, Store, StoreError, Topic,
};

/// The queue of notices.
pub(super) struct NoticeQueue(pub(super) Mailer);

impl WorkQueue for NoticeQueue {
    type Claim = Notice;
    type Settlement = Settlement;

    const TOPIC: Topic = Topic::Notices;

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn timeout(&self) -> Duration {
        TIME_LIMIT
    }

    async fn next(&self) -> Result<NextWork, StoreError> {
        self.0.store.next_notice().await
    }

    async fn settle_and_claim(
        &self,
        outcomes: &[WorkOutcome<Self>],
        most: usize,
        _: Timestamp,
        now: Timestamp,
    ) -> Result<ClaimRound<Notice>, StoreError> {
        let outcomes = outcomes
            .iter()
            .map(|done| (done.claim.id, done.settlement.clone(), done.at))
            .collect();
        let limits = self.0.config.verification.limits;
        self.0
            .store
            .settle_and_claim_notices(outcomes, most, limits, now)
            .await
    }

    fn number(_: &Notice) -> ClaimNumber {
        ClaimNumber::default()
    }

    /// Does nothing: notices whose claim failed, but may have been recorded, are not sent.
    async fn give_back(&self, _: ClaimNumber, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn attempt(
        &self,
        notices: &mut [Notice],
        _: &CancellationToken,
    ) -> Vec<Option<AttemptOutcome>> {
        let mut attempts = Vec::with_capacity(notices.len());
        for notice in notices {
            attempts.push(Some(self.send(notice).await));
        }
        attempts
    }

    fn conclude(
        &self,
        notice: &Notice,
        attempt: Option<&AttemptOutcome>,
        now: Timestamp,
    ) -> Settlement {
        let retry = RetrySchedule::default();
        let begun = retry::first_attempt(&retry, notice.attempt, now);
        let outcome = match attempt {
            None => Settlement::Unattempted,
            // The notice may have arrived, and none is sent twice.
            Some(AttemptOutcome::Unknown(cause)) => Settlement::Failed {
                cause: cause.text.clone(),
            },
            Some(attempt) => settlement(attempt, notice.attempt, Some(begun), &retry, now),
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
        self.0.transport.close_idle().await;
    }
}

impl NoticeQueue {
    async fn send(&self, notice: &Notice) -> AttemptOutcome {
        let (config, templates) = (&self.0.config, &self.0.templates);
        if config.is_ours(&notice.address) {
            return AttemptOutcome::Refused(Cause::internal("it is one of our own addresses"));
        }
        let wanted = [notice.languages.clone()];
        let language = self.0.choose_language(wanted, Some(&notice.portal));
        let composed = compose_notice(notice, config, templates, &language, Timestamp::now());
        self.0.send(composed).await
    }
}
