//! In: released requests of the portals of one destination. Out: their settlements.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::outgoing_message::Links;
use super::{DestinationClient, OutgoingMessage};
use crate::clock::CheckedClock;
use crate::config::{self, Config, RetrySchedule};
use crate::domain::{DestinationName, Domain, PortalName, Timestamp};
use crate::failpoint;
use crate::observe::events;
use crate::observe::metrics::{self, ProcessingStep};
use crate::outbound::queue::{WorkOutcome, WorkQueue};
use crate::outbound::retry::settlement;
use crate::outbound::{AttemptOutcome, Cause};
use crate::panics::catch_panic;
use crate::store::{
    ClaimNumber, ClaimRound, Delivery, NextWork, PIECE, RunLimits, Settlement, Store, StoreError,
    Topic,
};

/// Maximum requests of one account and portal that are claimed together.
const MAX_OF_RUN: usize = 64;

/// Maximum accounts and portals whose requests are delivered together.
const MAX_TOGETHER: usize = 64;

/// Octets from which no further run is added to those that are delivered together.
const MAX_OCTETS_TOGETHER: u64 = 16 * 1024 * 1024;

/// Time for which reading a message is retried.
const READING: Duration = Duration::from_secs(30);

/// The queue of requests of one destination.
pub(super) struct RequestQueue {
    name: DestinationName,
    portals: Vec<PortalName>,
    destination: DestinationClient,
    retry: RetrySchedule,
    clock: CheckedClock,
    hostname: Domain,
    links: Links,
}

impl RequestQueue {
    pub(super) fn of(
        name: &DestinationName,
        settings: &config::Destination,
        config: &Config,
        store: Store,
        clock: CheckedClock,
    ) -> Self {
        let portals = config
            .all_portals()
            .filter(|portal| portal.destination == *name)
            .map(|portal| portal.name.clone())
            .collect();
        Self {
            name: name.clone(),
            portals,
            destination: DestinationClient::new(settings, &config.hostname),
            retry: settings.retry().clone(),
            clock,
            hostname: config.hostname.clone(),
            links: Links {
                store,
                public_url: config.http.public_url.clone(),
            },
        }
    }

    /// Opens messages, each with its index in `deliveries`. The outcome of one that cannot be opened goes to
    /// `attempts`; if it is a retry, the later messages of its account and portal are skipped.
    async fn open_all(
        &self,
        deliveries: &mut [Delivery],
        attempts: &mut [Option<AttemptOutcome>],
    ) -> (Vec<usize>, Vec<Arc<OutgoingMessage>>) {
        let mut places = Vec::with_capacity(deliveries.len());
        let mut messages = Vec::with_capacity(deliveries.len());
        let mut stopped = BTreeSet::new();
        for (place, delivery) in deliveries.iter_mut().enumerate() {
            let queue = (delivery.claim.account, delivery.claim.portal.clone());
            if stopped.contains(&queue) {
                continue;
            }
            let opened = catch_panic(self.open(delivery)).await;
            match opened.unwrap_or_else(|panic| Err(AttemptOutcome::of_panic(&panic))) {
                Ok(message) => {
                    places.push(place);
                    messages.push(Arc::new(message));
                }
                Err(attempt) => {
                    if !matches!(attempt, AttemptOutcome::Refused(_)) {
                        stopped.insert(queue);
                    }
                    attempts[place] = Some(attempt);
                }
            }
        }
        (places, messages)
    }

    /// Opens a message. A store error is retried for [`READING`] before it counts as a failed attempt, unless other
    /// messages would have to wait for it.
    async fn open(&self, delivery: &mut Delivery) -> Result<OutgoingMessage, AttemptOutcome> {
        let claim = &delivery.claim;
        let mut content = std::mem::replace(&mut delivery.content, Ok(None));
        let deadline = Instant::now() + READING;
        let mut wait = Duration::from_secs(1);
        loop {
            let opened = match content {
                Ok(Some(content)) => {
                    OutgoingMessage::open(claim.clone(), content, &self.links, &self.hostname).await
                }
                Ok(None) => {
                    let cause = Cause::internal("the content is no longer kept");
                    return Err(AttemptOutcome::Refused(cause));
                }
                Err(error) => Err(error),
            };
            let error = match opened {
                Ok(message) => return Ok(message),
                Err(error) => error,
            };
            events::fault("delivery", &error);
            let is_last = self.attempts_together() || Instant::now() + wait > deadline;
            if error.is_final() || is_last {
                return Err(error.into());
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
            content = self.links.store.content(claim.ledger, PIECE).await;
        }
    }
}

impl WorkQueue for RequestQueue {
    type Claim = Delivery;
    type Settlement = Settlement;

    const TOPIC: Topic = Topic::Requests;

    fn name(&self) -> Option<&DestinationName> {
        Some(&self.name)
    }

    fn store(&self) -> &Store {
        &self.links.store
    }

    fn concurrency(&self) -> usize {
        self.destination.concurrency()
    }

    fn timeout(&self) -> Duration {
        self.destination.timeout()
    }

    fn attempts_together(&self) -> bool {
        self.destination.takes_together()
    }

    async fn next(&self) -> Result<NextWork, StoreError> {
        self.links
            .store
            .next_delivery_work(&self.name, &self.portals)
            .await
    }

    async fn settle_and_claim(
        &self,
        outcomes: &[WorkOutcome<Self>],
        most: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<ClaimRound<Delivery>, StoreError> {
        let is_together = self.destination.takes_together();
        let (runs, octets) = if is_together && most > 0 {
            (MAX_TOGETHER, MAX_OCTETS_TOGETHER)
        } else {
            (most, u64::MAX)
        };
        let limits = RunLimits {
            runs,
            requests: MAX_OF_RUN,
            octets,
        };
        let outcomes = outcomes
            .iter()
            .map(|done| (&done.claim.claim, done.settlement.clone(), done.at));
        let store = &self.links.store;
        let mut round = store
            .settle_and_claim_deliveries(
                &self.name,
                &self.portals,
                outcomes,
                limits,
                lease_until,
                now,
            )
            .await?;
        if is_together && round.runs.len() > 1 {
            round.runs = vec![round.runs.into_iter().flatten().collect()];
        }
        Ok(round)
    }

    fn number(delivery: &Delivery) -> ClaimNumber {
        delivery.claim.number()
    }

    async fn give_back(&self, after: ClaimNumber, now: Timestamp) -> Result<(), StoreError> {
        self.links.store.give_back_deliveries(after, now).await
    }

    async fn attempt(
        &self,
        deliveries: &mut [Delivery],
        stop: &CancellationToken,
    ) -> Vec<Option<AttemptOutcome>> {
        let deadline = Instant::now() + self.destination.timeout();
        let mut attempts = vec![None; deliveries.len()];
        let opened = timeout_at(deadline, self.open_all(deliveries, &mut attempts)).await;
        let Ok((places, messages)) = opened else {
            if let Some(first) = attempts.iter_mut().find(|attempt| attempt.is_none()) {
                *first = Some(self.destination.time_out());
            }
            return attempts;
        };
        let outcomes = self.destination.attempt(messages, deadline, stop).await;
        for (place, outcome) in places.into_iter().zip(outcomes) {
            attempts[place] = outcome;
        }
        attempts
    }

    fn conclude(
        &self,
        delivery: &Delivery,
        attempt: Option<&AttemptOutcome>,
        now: Timestamp,
    ) -> Settlement {
        let (Some(attempt), claim) = (attempt, &delivery.claim) else {
            return Settlement::Unattempted;
        };
        failpoint::pass("handed over");
        let begun = self.clock.is_trusted().then_some(claim.released_at);
        let settlement = settlement(attempt, claim.attempt, begun, &self.retry, now);
        let delivery = events::DeliveryAttempt {
            request: claim.request(),
            ledger: claim.ledger,
            account: claim.account,
            portal: &claim.portal,
            destination: &self.name,
            attempt: claim.attempt,
        };
        match &settlement {
            Settlement::Delivered => {
                events::delivery_succeeded(delivery);
                let waited = now.duration_since(claim.released_at);
                metrics::took(
                    ProcessingStep::Deliver,
                    waited.try_into().unwrap_or_default(),
                );
            }
            Settlement::Retry { at, cause } => events::delivery_deferred(delivery, *at, cause),
            Settlement::Failed { cause } => events::delivery_failed(delivery, cause),
            Settlement::Unattempted => {}
        }
        settlement
    }

    async fn close_idle(&self) {
        self.destination.close_idle().await;
    }
}
