//! The claims that the model test expects: holders, valid settlements, and requests in progress at the same
//! time.

use std::collections::{HashMap, HashSet};

use vestibule::domain::{AccountId, PortalName, RequestId, Timestamp};
use vestibule::store::{Claim, ClaimNumber, Settled, Settlement};

/// Number of failed attempts after which the next request of the queue is delivered.
const PASSED_AFTER: u32 = 5;

/// A set of workers, and the opening of the database that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    pub opening: usize,
    pub set: usize,
}

/// A claimed request.
#[derive(Debug, Clone)]
struct Held {
    number: ClaimNumber,
    workers: Workers,
    queue: (AccountId, PortalName),
    /// Number of the first claim of its run.
    run: ClaimNumber,
    lease: Timestamp,
}

#[derive(Debug, Default)]
pub struct Holders {
    held: HashMap<RequestId, Held>,
    passed: HashSet<RequestId>,
    /// Blocking an account lets its attempts in progress finish, beside requests that an operator releases
    /// meanwhile.
    blocked: HashSet<AccountId>,
    newest: ClaimNumber,
    /// Claims with an expired lease, of a queue that another run has claimed.
    expired: HashSet<ClaimNumber>,
}

impl Holders {
    /// Checks that no other run has claimed a request of the queue, except requests that no longer block it, and
    /// those whose lease has expired: they are void as soon as another run begins.
    pub fn claimed(
        &mut self,
        claim: &Claim,
        workers: Workers,
        run: ClaimNumber,
        (now, lease): (Timestamp, Timestamp),
    ) {
        let number = claim.number();
        assert!(number > self.newest, "a number is given once");
        self.newest = number;
        let request = claim.request();
        let queue = (claim.account, claim.portal.clone());
        if !self.passed.contains(&request) && !self.blocked.contains(&claim.account) {
            let passed = &self.passed;
            let expired = &mut self.expired;
            self.held.retain(|other, held| {
                let is_kept = held.queue != queue || held.lease > now || passed.contains(other);
                if !is_kept {
                    expired.insert(held.number);
                }
                is_kept
            });
            let beside = self.held.iter().find(|(other, held)| {
                **other != request
                    && held.queue == queue
                    && held.run != run
                    && !self.passed.contains(other)
            });
            assert!(beside.is_none(), "{claim:?} beside {beside:?}");
        }
        let held = Held {
            number,
            workers,
            queue,
            run,
            lease,
        };
        self.held.insert(request, held);
    }

    /// Checks the outcome of a settlement.
    pub fn settled(&mut self, claim: &Claim, settlement: &Settlement, outcome: Settled) {
        let request = claim.request();
        let held = self.held.get(&request);
        let is_held = held.is_some_and(|held| held.number == claim.number());
        // A claim whose lease has expired counts until another worker takes that very request.
        if !self.expired.contains(&claim.number()) {
            let expected = if is_held {
                Settled::Recorded
            } else {
                Settled::ClaimLost
            };
            assert_eq!(outcome, expected, "{claim:?}");
        }
        if outcome == Settled::ClaimLost {
            return;
        }
        if is_held {
            self.held.remove(&request);
        }
        match settlement {
            Settlement::Retry { .. } if claim.attempt >= PASSED_AFTER => {
                self.passed.insert(request);
            }
            Settlement::Retry { .. } => self.return_later(claim),
            Settlement::Unattempted => {}
            Settlement::Delivered | Settlement::Failed { .. } => {
                self.passed.remove(&request);
            }
        }
    }

    /// Returns the requests to the queue that were claimed after one that is to be retried.
    fn return_later(&mut self, claim: &Claim) {
        let queue = (claim.account, claim.portal.clone());
        let is_blocked = self.blocked.contains(&claim.account);
        let (passed, expired) = (&self.passed, &mut self.expired);
        self.held.retain(|other, held| {
            let is_later =
                held.queue == queue && held.number > claim.number() && !passed.contains(other);
            if is_later && is_blocked {
                // It may be stopped, and then its attempt goes on.
                expired.insert(held.number);
            }
            !is_later || is_blocked
        });
    }

    /// Handles a set of workers that gave back its claims after that number.
    pub fn given_back(&mut self, workers: Workers, after: ClaimNumber) {
        let is_kept = |held: &Held| held.workers != workers || held.number <= after;
        self.held.retain(|_, held| is_kept(held));
    }

    /// Handles the start of a daemon.
    pub fn started(&mut self, opening: usize) {
        self.held.retain(|_, held| held.workers.opening == opening);
    }

    /// Handles a discard by an operator, which is impossible while the request is in progress.
    pub fn discarded(&mut self, request: RequestId, now: Timestamp) {
        let held = self.held.remove(&request);
        let is_over = |held: &Held| held.lease <= now || self.expired.contains(&held.number);
        assert!(held.as_ref().is_none_or(is_over), "it is in progress");
        self.passed.remove(&request);
    }

    /// Handles a release by an operator: a request that was stopped is in its queue again, and no claim holds it.
    pub fn released(&mut self, request: RequestId) {
        self.held.remove(&request);
        self.passed.remove(&request);
    }

    pub fn blocked(&mut self, account: AccountId) {
        self.blocked.insert(account);
    }
}
