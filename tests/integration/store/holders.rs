//! The claims that the model test expects: holders, valid settlements, and requests in progress at the same
//! time.

use std::collections::{HashMap, HashSet};

use vestibule::domain::{AccountId, PortalName, RequestId};
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
}

#[derive(Debug, Default)]
pub struct Holders {
    held: HashMap<RequestId, Held>,
    passed: HashSet<RequestId>,
    /// Blocking an account lets its attempts in progress finish, beside requests that an operator releases
    /// meanwhile.
    blocked: HashSet<AccountId>,
    newest: ClaimNumber,
}

impl Holders {
    /// Checks that no other worker has a request of the queue, except requests that no longer block it.
    pub fn claimed(&mut self, claim: &Claim, workers: Workers) {
        let number = claim.number();
        assert!(number > self.newest, "a number is given once");
        self.newest = number;
        let request = claim.request();
        let queue = (claim.account, claim.portal.clone());
        if !self.passed.contains(&request) && !self.blocked.contains(&claim.account) {
            let beside = self.held.iter().find(|(other, held)| {
                **other != request && held.queue == queue && !self.passed.contains(other)
            });
            assert!(beside.is_none(), "{claim:?} beside {beside:?}");
        }
        let held = Held {
            number,
            workers,
            queue,
        };
        self.held.insert(request, held);
    }

    /// Expected outcome of a settlement.
    pub fn settled(&mut self, claim: &Claim, settlement: &Settlement) -> Settled {
        let request = claim.request();
        let held = self.held.get(&request);
        if held.is_none_or(|held| held.number != claim.number()) {
            return Settled::ClaimLost;
        }
        self.held.remove(&request);
        match settlement {
            Settlement::Retry { .. } if claim.attempt >= PASSED_AFTER => {
                self.passed.insert(request);
            }
            Settlement::Retry { .. } | Settlement::Unattempted => {}
            Settlement::Delivered | Settlement::Failed { .. } => {
                self.passed.remove(&request);
            }
        }
        Settled::Recorded
    }

    /// A set of workers gave back its claims after that number.
    pub fn given_back(&mut self, workers: Workers, after: ClaimNumber) {
        let is_kept = |held: &Held| held.workers != workers || held.number <= after;
        self.held.retain(|_, held| is_kept(held));
    }

    /// A daemon started.
    pub fn started(&mut self, opening: usize) {
        self.held.retain(|_, held| held.workers.opening == opening);
    }

    /// An operator discarded it, which is impossible while it is in progress.
    pub fn discarded(&mut self, request: RequestId) {
        assert!(!self.held.contains_key(&request), "it is under way");
        self.passed.remove(&request);
    }

    pub fn blocked(&mut self, account: AccountId) {
        self.blocked.insert(account);
    }
}
