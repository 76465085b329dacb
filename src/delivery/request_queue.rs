//! In: released requests of the portals of one destination. Out: their settlements.

use std::sync::Arc;
use std::time::Duration;

use super::outgoing_message::Links;
use super::{Destination, OutgoingMessage};
use crate::config::{Config, Retry};
use crate::domain::{DestinationName, Domain, PortalName, Timestamp};
use crate::failpoint;
use crate::observe::events;
use crate::observe::metrics::{self, ProcessingStep};
use crate::outbound::settlement::settlement;
use crate::outbound::worker::{Queue, Tries};
use crate::outbound::{Attempt, Cause};
use crate::store::{
    Claim, ClaimNumber, ClaimedWork, Settled, Settlement, Store, StoreError, Topic,
};

/// The queue of requests of one destination.
pub(super) struct RequestQueue {
    name: DestinationName,
    portals: Vec<PortalName>,
    destination: Destination,
    retry: Retry,
    hostname: Domain,
    links: Links,
}

impl RequestQueue {
    /// `None` if the configuration does not have the destination.
    pub(super) fn of(name: &DestinationName, config: &Config, store: Store) -> Option<Self> {
        let settings = config.destinations.get(name)?;
        let portals = config
            .all_portals()
            .filter(|portal| portal.destination == *name)
            .map(|portal| portal.name.clone())
            .collect();
        Some(Self {
            name: name.clone(),
            portals,
            destination: Destination::new(settings, &config.hostname),
            retry: settings.retry().clone(),
            hostname: config.hostname.clone(),
            links: Links {
                store,
                public_url: config.http.public_url.clone(),
            },
        })
    }
}

impl Queue for RequestQueue {
    type Claim = Claim;

    fn name(&self) -> &DestinationName {
        &self.name
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

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.links.store.next_delivery(self.portals.clone()).await
    }

    async fn claim(
        &self,
        most: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<ClaimedWork<Claim>, StoreError> {
        self.links
            .store
            .claim_deliveries(self.portals.clone(), most, lease_until, now)
            .await
    }

    fn number(claim: &Claim) -> ClaimNumber {
        claim.number()
    }

    async fn give_back(&self, after: ClaimNumber, now: Timestamp) -> Result<(), StoreError> {
        self.links.store.give_back_deliveries(after, now).await
    }

    /// Reads the content and delivers it.
    async fn attempt(&self, claim: &Claim) -> Attempt {
        let timeout = self.destination.timeout();
        let attempt = async {
            // An error of our own store does not count as an attempt.
            let mut tries = Tries::begin();
            let outgoing = loop {
                match OutgoingMessage::open(claim.clone(), &self.links, &self.hostname).await {
                    Err(error) if tries.again(&error).await => {}
                    opened => break opened,
                }
            };
            match outgoing {
                Ok(Some(outgoing)) => self.destination.attempt(&Arc::new(outgoing)).await,
                Ok(None) => Attempt::Refused(Cause::of_request("the content is no longer kept")),
                Err(error) => Attempt::Retry(Cause::of_request(&error.to_string())),
            }
        };
        tokio::time::timeout(timeout, attempt)
            .await
            .unwrap_or_else(|_| {
                Attempt::Retry(Cause::of_destination(&format!(
                    "not done within {} s",
                    timeout.as_secs()
                )))
            })
    }

    fn conclude(&self, claim: &Claim, attempt: &Attempt, now: Timestamp) -> Settlement {
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
        }
        settlement
    }

    async fn settle(
        &self,
        claim: &Claim,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<Settled, StoreError> {
        self.links
            .store
            .settle_delivery(claim, settlement, now)
            .await
    }

    async fn close_idle(&self) {
        self.destination.close_idle().await;
    }
}
