//! Released requests of the portals of one destination in; out, their settlements.
//!
//! A worker claims as many requests as its destination may get at a time, under a lease that is
//! longer than any attempt, and sleeps until one is due, something changed or it is to stop. Told
//! to stop, it claims no more and finishes what is under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::breaker::{Breaker, Room};
use super::{Attempt, Cause, Destination, Parcel, schedule};
use crate::config::Config;
use crate::domain::{DestinationName, Domain, PortalName, Timestamp};
use crate::failpoint;
use crate::observe::events;
use crate::observe::metrics::{self, Step};
use crate::store::{Claim, Settlement, Store, StoreError, Topic};

/// How much longer than an attempt its lease is.
const LEASE_MARGIN: Duration = Duration::from_mins(1);

/// How long to wait when the database did not answer as it should.
const SETBACK: Duration = Duration::from_secs(1);

/// No sleep is longer, so that a clock that was set wrong is noticed.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Without work for so long, connections are closed.
const RESTFUL: Duration = Duration::from_secs(10);

/// The worker of one destination.
pub(super) struct Worker {
    desk: Arc<Desk>,
    portals: Vec<PortalName>,
    stop: CancellationToken,
}

/// What every attempt needs.
struct Desk {
    name: DestinationName,
    destination: Destination,
    hostname: Domain,
    store: Store,
}

/// When there will be more to do.
#[derive(Clone, Copy)]
enum Next {
    At(Timestamp),
    /// An operator paused the destination and has to resume it first.
    Resumed,
}

impl Next {
    fn time(self) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Resumed => Timestamp::MAX,
        }
    }
}

impl Worker {
    /// None where the configuration has no such destination.
    pub(super) fn of(
        name: &DestinationName,
        config: &Config,
        store: Store,
        stop: CancellationToken,
    ) -> Option<Self> {
        let destination = Destination::new(config.destinations.get(name)?, &config.hostname);
        let portals = config
            .portals
            .iter()
            .filter(|portal| portal.destination == *name)
            .map(|portal| portal.name.clone())
            .collect();
        Some(Self {
            desk: Arc::new(Desk {
                name: name.clone(),
                destination,
                hostname: config.hostname.clone(),
                store,
            }),
            portals,
            stop,
        })
    }

    /// Works until it is told to stop and nothing is under way any more.
    pub(super) async fn run(self) {
        let mut requests = self.desk.store.subscribe(Topic::Requests);
        let mut deeds = self.desk.store.subscribe(Topic::Deeds);
        let mut under_way = JoinSet::new();
        let mut breaker = Breaker::default();
        let mut rested = true;
        while !self.stop.is_cancelled() {
            let now = Timestamp::now();
            let next = match breaker.room(self.desk.destination.concurrency(), under_way.len(), now)
            {
                Room::For(0) => Next::At(Timestamp::MAX),
                Room::For(room) => self.take(room, &mut under_way, now).await,
                Room::NotBefore(time) => Next::At(time),
            };
            let is_idle = under_way.is_empty();
            rested &= is_idle;
            let sleep = until(next.time(), now);
            // While it is paused, requests that come in are nothing to look at the database for.
            let changes = match next {
                Next::At(_) => &mut requests,
                Next::Resumed => &mut deeds,
            };
            let (sleep, is_last) = if rested || sleep < RESTFUL || !is_idle {
                (sleep, false)
            } else {
                (RESTFUL, true)
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(done) = under_way.join_next() => {
                    let now = Timestamp::now();
                    breaker = breaker.after(&outcome(done), now);
                    while let Some(done) = under_way.try_join_next() {
                        breaker = breaker.after(&outcome(done), now);
                    }
                }
                () = changes.wait() => {}
                () = tokio::time::sleep(sleep) => {
                    if is_last {
                        self.desk.destination.rest().await;
                        rested = true;
                    }
                }
            }
        }
        while under_way.join_next().await.is_some() {}
        self.desk.destination.rest().await;
    }

    /// Starts up to `room` attempts; says when there will be more to do.
    async fn take(&self, room: usize, under_way: &mut JoinSet<Attempt>, now: Timestamp) -> Next {
        match self.claim(room, now).await {
            Ok((claims, next)) => {
                for claim in claims {
                    under_way.spawn(Arc::clone(&self.desk).hand_over(claim));
                }
                next
            }
            Err(error) => {
                events::fault("delivery", &error);
                Next::At(later(now, SETBACK))
            }
        }
    }

    async fn claim(&self, room: usize, now: Timestamp) -> Result<(Vec<Claim>, Next), StoreError> {
        let store = &self.desk.store;
        if store.paused_destinations().await?.contains(&self.desk.name) {
            return Ok((Vec::new(), Next::Resumed));
        }
        // A look costs no transaction, and most changes are about something else.
        let due = store.next_delivery(self.portals.clone()).await?;
        let Some(due) = due else {
            return Ok((Vec::new(), Next::At(Timestamp::MAX)));
        };
        if due > now {
            return Ok((Vec::new(), Next::At(due)));
        }
        let lease = later(now, self.desk.destination.patience() + LEASE_MARGIN);
        let claims = store
            .claim_deliveries(self.portals.clone(), room, lease, now)
            .await?;
        let next = if claims.is_empty() {
            later(now, SETBACK)
        } else {
            now
        };
        Ok((claims, Next::At(next)))
    }
}

impl Desk {
    /// One attempt, from the content to its settlement.
    async fn hand_over(self: Arc<Self>, claim: Claim) -> Attempt {
        let attempt = self.attempt(&claim).await;
        failpoint::pass("handed over");
        let now = Timestamp::now();
        let settlement = settlement(&attempt, &claim, now, chance());
        let delivery = events::DeliveryAttempt {
            request: claim.request(),
            ledger: claim.ledger,
            portal: &claim.portal,
            destination: &self.name,
            attempt: claim.attempt,
        };
        match &settlement {
            Settlement::Delivered => {
                events::delivery_succeeded(delivery);
                let waited = now.duration_since(claim.released_at);
                metrics::took(Step::Deliver, waited.try_into().unwrap_or_default());
            }
            Settlement::Retry { at, cause } => events::delivery_deferred(delivery, *at, cause),
            Settlement::Failed { cause } => events::delivery_failed(delivery, cause),
        }
        // Without a settlement the lease runs out, and the request is handed over again.
        if let Err(error) = self.store.settle_delivery(&claim, settlement, now).await {
            events::fault("delivery", &error);
        }
        attempt
    }

    async fn attempt(&self, claim: &Claim) -> Attempt {
        let raw = match self.store.raw(claim.ledger).await {
            Ok(Some(raw)) => raw,
            Ok(None) => {
                return Attempt::Refused(Cause::of_request("the content is no longer kept"));
            }
            Err(error) => return Attempt::Retry(Cause::of_request(&error.to_string())),
        };
        let parcel = Arc::new(Parcel::new(claim.clone(), raw, &self.hostname));
        let patience = self.destination.patience();
        match tokio::time::timeout(patience, self.destination.attempt(&parcel)).await {
            Ok(attempt) => attempt,
            Err(_) => Attempt::Retry(Cause::of_destination(&format!(
                "not done within {} s",
                patience.as_secs()
            ))),
        }
    }
}

fn settlement(attempt: &Attempt, claim: &Claim, now: Timestamp, chance: f64) -> Settlement {
    match attempt {
        Attempt::Delivered => Settlement::Delivered,
        Attempt::Refused(cause) => Settlement::Failed {
            cause: cause.text.clone(),
        },
        Attempt::Retry(cause) => {
            let earliest = cause.not_before;
            match schedule::next(claim.attempt, claim.released_at, now, earliest, chance) {
                Some(at) => Settlement::Retry {
                    at,
                    cause: cause.text.clone(),
                },
                None => Settlement::Failed {
                    cause: format!("given up: {}", cause.text),
                },
            }
        }
    }
}

/// An attempt that panicked is a fault of ours; its lease runs out and it is made again.
fn outcome(done: Result<Attempt, JoinError>) -> Attempt {
    done.unwrap_or_else(|panic| {
        events::fault("delivery", &panic);
        Attempt::Retry(Cause::of_request("a fault in vestibule"))
    })
}

/// A number from 0 to 1 that the retry schedule spreads its times by.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

fn until(time: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now))
        .unwrap_or(Duration::ZERO)
        .min(LONGEST_SLEEP)
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
