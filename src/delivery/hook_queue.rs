//! In: pending calls of one hook. Out: signed POST requests, and their settlements.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::CheckedClock;
use crate::config::{Hook, RetrySchedule};
use crate::domain::{DestinationName, Timestamp};
use crate::observe::events;
use crate::outbound::http::HttpClient;
use crate::outbound::queue::{WorkOutcome, WorkQueue};
use crate::outbound::retry::settlement;
use crate::outbound::{AttemptOutcome, Cause};
use crate::store::{
    ClaimNumber, ClaimRound, HookCall, NextWork, Settlement, Store, StoreError, Topic,
};

/// Time that an attempt may take beyond the configured timeout.
const MARGIN: Duration = Duration::from_secs(10);

/// The queue of calls of one hook.
pub(super) struct HookQueue {
    name: DestinationName,
    client: HttpClient,
    concurrency: usize,
    timeout: Duration,
    retry: RetrySchedule,
    clock: CheckedClock,
    store: Store,
}

impl HookQueue {
    pub(super) fn of(hook: &Hook, store: Store, clock: CheckedClock) -> Self {
        Self {
            name: hook.name.clone(),
            client: HttpClient::new(&hook.endpoint, hook.concurrency),
            concurrency: hook.concurrency,
            timeout: hook.endpoint.timeout + MARGIN,
            retry: hook.retry.clone(),
            clock,
            store,
        }
    }

    async fn call(&self, call: &HookCall) -> AttemptOutcome {
        let id = call.id.to_string();
        let post = self.client.post_json(&id, call.payload.clone().into());
        tokio::time::timeout(self.timeout, post)
            .await
            .unwrap_or_else(|_| AttemptOutcome::Retry(Cause::of_destination("no answer in time")))
    }
}

impl WorkQueue for HookQueue {
    type Claim = HookCall;
    type Settlement = Settlement;

    const TOPIC: Topic = Topic::Calls;

    fn name(&self) -> Option<&DestinationName> {
        Some(&self.name)
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn next(&self) -> Result<NextWork, StoreError> {
        self.store.next_hook_work(&self.name).await
    }

    async fn settle_and_claim(
        &self,
        outcomes: &[WorkOutcome<Self>],
        most: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<ClaimRound<HookCall>, StoreError> {
        let outcomes = outcomes
            .iter()
            .map(|done| (&done.claim, done.settlement.clone(), done.at));
        self.store
            .settle_and_claim_hook_calls(&self.name, outcomes, most, lease_until, now)
            .await
    }

    fn number(call: &HookCall) -> ClaimNumber {
        call.number()
    }

    async fn give_back(&self, after: ClaimNumber, now: Timestamp) -> Result<(), StoreError> {
        self.store.give_back_hook_calls(after, now).await
    }

    async fn attempt(
        &self,
        calls: &mut [HookCall],
        _: &CancellationToken,
    ) -> Vec<Option<AttemptOutcome>> {
        let mut attempts = Vec::with_capacity(calls.len());
        for call in calls {
            attempts.push(Some(self.call(call).await));
        }
        attempts
    }

    fn conclude(
        &self,
        call: &HookCall,
        attempt: Option<&AttemptOutcome>,
        now: Timestamp,
    ) -> Settlement {
        let Some(attempt) = attempt else {
            return Settlement::Unattempted;
        };
        let begun = self.clock.is_trusted().then_some(call.released_at);
        let settlement = settlement(attempt, call.attempt, begun, &self.retry, now);
        let made = events::HookCallFields {
            hook: &self.name,
            call: call.id,
            about: &call.event,
            account: call.account,
            attempt: call.attempt,
        };
        match &settlement {
            Settlement::Delivered => events::hook_succeeded(made),
            Settlement::Retry { at, cause } => events::hook_deferred(made, *at, cause),
            Settlement::Failed { cause } => events::hook_failed(made, cause),
            Settlement::Unattempted => {}
        }
        settlement
    }

    async fn close_idle(&self) {}
}
