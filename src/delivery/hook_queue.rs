//! In: pending calls of one hook. Out: signed POST requests, and their settlements.

use std::time::Duration;

use crate::config::{Hook, Retry};
use crate::domain::{DestinationName, Timestamp};
use crate::observe::events;
use crate::outbound::http::{HttpClient, RequestMeta};
use crate::outbound::settlement::settlement;
use crate::outbound::worker::Queue;
use crate::outbound::{Attempt, Cause};
use crate::store::{
    ClaimNumber, ClaimedWork, HookCall, Settled, Settlement, Store, StoreError, Topic,
};

/// Time that an attempt may take beyond the configured timeout.
const MARGIN: Duration = Duration::from_secs(10);

/// The queue of calls of one hook.
pub(super) struct HookQueue {
    name: DestinationName,
    client: HttpClient,
    concurrency: usize,
    timeout: Duration,
    retry: Retry,
    store: Store,
}

impl HookQueue {
    pub(super) fn of(hook: &Hook, store: Store) -> Self {
        Self {
            name: hook.name.clone(),
            client: HttpClient::new(&hook.endpoint, hook.concurrency),
            concurrency: hook.concurrency,
            timeout: hook.endpoint.timeout + MARGIN,
            retry: hook.retry.clone(),
            store,
        }
    }
}

impl Queue for HookQueue {
    type Claim = HookCall;

    fn name(&self) -> &DestinationName {
        &self.name
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn topic(&self) -> Topic {
        Topic::Calls
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.next_hook_call(self.name.clone()).await
    }

    async fn claim(
        &self,
        most: usize,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<ClaimedWork<HookCall>, StoreError> {
        self.store
            .claim_hook_calls(self.name.clone(), most, lease_until, now)
            .await
    }

    fn number(call: &HookCall) -> ClaimNumber {
        call.number()
    }

    async fn give_back(&self, after: ClaimNumber, now: Timestamp) -> Result<(), StoreError> {
        self.store.give_back_hook_calls(after, now).await
    }

    async fn attempt(&self, call: &HookCall) -> Attempt {
        let id = call.id.to_string();
        let seconds = Timestamp::now().as_second();
        let mut signature = match self.client.signature(&id, seconds) {
            Ok(signature) => signature,
            Err(cause) => return Attempt::Retry(cause),
        };
        if let Some(signature) = &mut signature {
            signature.add(call.payload.as_bytes());
        }
        let meta = RequestMeta {
            id: &id,
            seconds,
            content_type: "application/json",
            signature,
        };
        let post = self.client.post(meta, call.payload.clone());
        tokio::time::timeout(self.timeout, post)
            .await
            .unwrap_or_else(|_| Attempt::Retry(Cause::of_destination("no answer in time")))
    }

    fn conclude(&self, call: &HookCall, attempt: &Attempt, now: Timestamp) -> Settlement {
        let settlement = settlement(attempt, call.attempt, call.released_at, &self.retry, now);
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
        }
        settlement
    }

    async fn settle(
        &self,
        call: &HookCall,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<Settled, StoreError> {
        self.store.settle_hook_call(call, settlement, now).await
    }

    async fn close_idle(&self) {}
}
