//! In: released requests of the portals of one destination. Out: their settlements.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::outgoing_message::Links;
use super::{DestinationClient, OutgoingMessage};
use crate::config::{self, Config, Retry};
use crate::domain::{DestinationName, Domain, PortalName, Timestamp};
use crate::failpoint;
use crate::observe::events;
use crate::observe::metrics::{self, ProcessingStep};
use crate::outbound::queue::{WorkOutcome, WorkQueue};
use crate::outbound::retry::settlement;
use crate::outbound::{Attempt, Cause};
use crate::store::{
    ClaimNumber, Delivery, NextWork, PIECE, RunLimits, Settlement, Store, StoreError, Topic, Turn,
};

/// Requests of one account and portal that are claimed together.
const MOST_OF_RUN: usize = 64;

/// Accounts and portals whose requests a destination takes together.
const MOST_TOGETHER: usize = 64;

/// Time for which reading of a message is retried.
const READING: Duration = Duration::from_secs(30);

/// The queue of requests of one destination.
pub(super) struct RequestQueue {
    name: DestinationName,
    portals: Vec<PortalName>,
    destination: DestinationClient,
    retry: Retry,
    hostname: Domain,
    links: Links,
}

impl RequestQueue {
    pub(super) fn of(
        name: &DestinationName,
        settings: &config::Destination,
        config: &Config,
        store: Store,
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
            hostname: config.hostname.clone(),
            links: Links {
                store,
                public_url: config.http.public_url.clone(),
            },
        }
    }
}

impl RequestQueue {
    /// One attempt for each, in order; `None` from the first of an account and portal on that has to be
    /// retried.
    async fn deliver(&self, deliveries: &[Delivery]) -> Vec<Option<Attempt>> {
        let mut attempts: Vec<Option<Attempt>> = deliveries.iter().map(|_| None).collect();
        let mut places = Vec::with_capacity(deliveries.len());
        let mut messages = Vec::with_capacity(deliveries.len());
        let mut stopped = BTreeSet::new();
        for (place, delivery) in deliveries.iter().enumerate() {
            let claim = &delivery.claim;
            if stopped.contains(&(claim.account, &claim.portal)) {
                continue;
            }
            match self.open(delivery).await {
                Ok(message) => {
                    places.push(place);
                    messages.push(Arc::new(message));
                }
                Err(attempt) => {
                    if matches!(attempt, Attempt::Retry(_)) {
                        stopped.insert((claim.account, &claim.portal));
                    }
                    attempts[place] = Some(attempt);
                }
            }
        }
        let outcomes = self.destination.attempt(&messages).await;
        for (place, outcome) in places.into_iter().zip(outcomes) {
            attempts[place] = outcome;
        }
        attempts
    }

    /// Reads what is needed of the content. An error of our own store does not count as an attempt at once.
    async fn open(&self, delivery: &Delivery) -> Result<OutgoingMessage, Attempt> {
        let claim = &delivery.claim;
        let mut content = delivery.content.clone();
        let deadline = Instant::now() + READING;
        let mut wait = Duration::from_secs(1);
        loop {
            let opened = match content {
                Ok(Some(content)) => {
                    OutgoingMessage::open(claim.clone(), content, &self.links, &self.hostname).await
                }
                Ok(None) => {
                    let cause = Cause::of_request("the content is no longer kept");
                    return Err(Attempt::Refused(cause));
                }
                Err(error) => Err(error),
            };
            let error = match opened {
                Ok(message) => return Ok(message),
                Err(error) => error,
            };
            events::fault("delivery", &error);
            if error.is_final() || Instant::now() + wait > deadline {
                return Err(Attempt::Retry(Cause::of_request(&error.to_string())));
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

    fn name(&self) -> Option<&DestinationName> {
        Some(&self.name)
    }

    fn store(&self) -> &Store {
        &self.links.store
    }

    fn topic(&self) -> Topic {
        Topic::Requests
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

    async fn turn(
        &self,
        outcomes: &[WorkOutcome<Self>],
        most: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Turn<Delivery>, StoreError> {
        let is_together = self.destination.takes_together();
        let runs = if is_together && most > 0 {
            MOST_TOGETHER
        } else {
            most
        };
        let limits = RunLimits {
            runs,
            requests: MOST_OF_RUN,
        };
        let outcomes = outcomes
            .iter()
            .map(|done| (&done.claim.claim, done.settlement.clone(), done.at));
        let store = &self.links.store;
        let mut turn = store
            .turn_deliveries(
                &self.name,
                &self.portals,
                outcomes,
                limits,
                lease_until,
                now,
            )
            .await?;
        if is_together && turn.runs.len() > 1 {
            turn.runs = vec![turn.runs.into_iter().flatten().collect()];
        }
        Ok(turn)
    }

    fn number(delivery: &Delivery) -> ClaimNumber {
        delivery.claim.number()
    }

    async fn give_back(&self, after: ClaimNumber, now: Timestamp) -> Result<(), StoreError> {
        self.links.store.give_back_deliveries(after, now).await
    }

    async fn attempt(
        &self,
        deliveries: &[Delivery],
        _: &CancellationToken,
    ) -> Vec<Option<Attempt>> {
        let timeout = self.destination.timeout();
        tokio::time::timeout(timeout, self.deliver(deliveries))
            .await
            .unwrap_or_else(|_| {
                let text = format!("not done within {} s", timeout.as_secs());
                let late = || Some(Attempt::Retry(Cause::of_destination(&text)));
                deliveries.iter().map(|_| late()).collect()
            })
    }

    fn conclude(
        &self,
        delivery: &Delivery,
        attempt: Option<&Attempt>,
        now: Timestamp,
    ) -> Settlement {
        let (Some(attempt), claim) = (attempt, &delivery.claim) else {
            return Settlement::Unattempted;
        };
        failpoint::pass("handed over");
        let settlement = settlement(attempt, claim.attempt, claim.released_at, &self.retry, now);
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
