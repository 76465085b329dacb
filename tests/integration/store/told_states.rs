//! The states of requests and accounts as a hook learns them: the last call about each counts. The calls of an account
//! come in order, each at least once.

use std::collections::HashMap;

use jiff::SignedDuration;
use serde_json::Value;
use vestibule::domain::{
    AccountId, AccountStatus, DestinationName, EventPattern, RequestId, RequestState, Timestamp,
};
use vestibule::store::{HookCall, NextWork, Settlement, Store};

/// Trials after which calls still wait only because something is wrong.
const MAX_ROUNDS: usize = 10_000;

/// A hook that gets every event about an account.
pub struct ToldStates {
    hook: DestinationName,
    requests: HashMap<RequestId, String>,
    accounts: HashMap<AccountId, String>,
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect(name)
}

impl ToldStates {
    pub async fn subscribe(store: &Store, now: Timestamp) -> Self {
        let hook = DestinationName::parse("directory").expect("a name");
        let patterns = ["account.*", "request.*", "verification.*"]
            .map(|pattern| EventPattern::parse(pattern).expect(pattern));
        let subscribed = store.subscribe_hooks(vec![(hook.clone(), patterns.to_vec())], "", now);
        subscribed.await.expect("subscribed");
        Self {
            hook,
            requests: HashMap::new(),
            accounts: HashMap::new(),
        }
    }

    fn note(&mut self, call: &HookCall) {
        let payload: Value = serde_json::from_str(&call.payload).expect("JSON");
        let (account, request) = (&payload["data"]["account"], &payload["data"]["request"]);
        let id = text(account, "id").parse().expect("an id");
        self.accounts.insert(id, text(account, "status").to_owned());
        if request.is_object() {
            let id = text(request, "id").parse().expect("an id");
            self.requests.insert(id, text(request, "state").to_owned());
        }
    }

    /// Claims a few calls and settles them in one of several ways. Returns their number.
    pub async fn claim(&mut self, store: &Store, how: u8, now: Timestamp) -> usize {
        let lease = now + SignedDuration::from_mins(10);
        let round = store
            .settle_and_claim_hook_calls(&self.hook, [], 3, lease, now)
            .await;
        let calls: Vec<_> = round.expect("a claim").runs.into_iter().flatten().collect();
        for call in &calls {
            self.note(call);
            let settlement = match how {
                0 => Settlement::Unattempted,
                1 => Settlement::Retry {
                    at: now + SignedDuration::from_mins(30),
                    cause: "cause".to_owned(),
                },
                // The worker dies.
                2 => continue,
                _ => Settlement::Delivered,
            };
            let outcomes = [(call, settlement, now)];
            let settled = store.settle_and_claim_hook_calls(&self.hook, outcomes, 0, now, now);
            settled.await.expect("settled");
        }
        calls.len()
    }

    /// Delivers everything that waits.
    pub async fn claim_all(&mut self, store: &Store, from: Timestamp) {
        let mut now = from;
        for _ in 0..MAX_ROUNDS {
            if self.claim(store, u8::MAX, now).await > 0 {
                continue;
            }
            if store.next_hook_work(&self.hook).await.expect("read") == NextWork::Nothing {
                return;
            }
            now += SignedDuration::from_mins(10);
        }
        panic!("calls wait for ever");
    }

    pub fn check_request(&self, request: RequestId, state: RequestState) {
        let told = self.requests.get(&request).map(String::as_str);
        assert_eq!(told, Some(state.as_str()), "what hooks know of {request}");
    }

    pub fn check_account(&self, account: AccountId, status: AccountStatus) {
        let told = self.accounts.get(&account).map(String::as_str);
        assert_eq!(told, Some(status.as_str()), "what hooks know of {account}");
    }
}
