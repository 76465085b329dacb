//! What the model test expects of claims: who holds what, whose settlement counts, who goes beside whom.

use std::collections::{HashMap, HashSet};

use vestibule::domain::{AccountId, PortalName, RequestId};
use vestibule::store::{Claim, ClaimNumber, Settled, Settlement};

/// After so many failed attempts the next one of the queue goes.
const PASSED_AFTER: u32 = 5;

/// A set of workers, since which opening of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    pub opening: usize,
    pub set: usize,
}

/// A request in the hands of workers.
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
    /// Blocking an account lets what is under way end, beside what an operator lets go meanwhile.
    blocked: HashSet<AccountId>,
    newest: ClaimNumber,
}

impl Holders {
    /// Nobody else is at work on the queue, except on requests that are passed.
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

    /// What a settlement comes to.
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
            Settlement::Retry { .. } => {}
            Settlement::Delivered | Settlement::Failed { .. } => {
                self.passed.remove(&request);
            }
        }
        Settled::Recorded
    }

    /// A set of workers gave back what it claimed after that.
    pub fn given_back(&mut self, workers: Workers, after: ClaimNumber) {
        let is_kept = |held: &Held| held.workers != workers || held.number <= after;
        self.held.retain(|_, held| is_kept(held));
    }

    /// A daemon started.
    pub fn started(&mut self, opening: usize) {
        self.held.retain(|_, held| held.workers.opening == opening);
    }

    /// An operator discarded it, which nobody can while it is under way.
    pub fn discarded(&mut self, request: RequestId) {
        assert!(!self.held.contains_key(&request), "it is under way");
        self.passed.remove(&request);
    }

    pub fn blocked(&mut self, account: AccountId) {
        self.blocked.insert(account);
    }
}
