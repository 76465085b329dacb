//! A simple model of the store without SQL: the expected accounts, verdicts and permitted deliveries.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use vestibule::domain::{
    AccountStatus, Reason, RequestId, RequestState, Timestamp, TokenHash, Verdict,
};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{ArrivalOutcome, VerificationOutcome};

use super::harness::DAY;
use super::model::{QUOTA, is_living};

/// One person's account.
#[derive(Debug, Clone)]
struct Person {
    status: AccountStatus,
    /// True if a verification must come before any request is released.
    proof_needed: bool,
    verified: bool,
    /// Portals that accepted mail of the unverified account.
    let_in: HashSet<String>,
    /// Created by a forced release.
    placeholder: bool,
}

impl Person {
    /// True if the rules treat the person as a new sender.
    fn is_placeholder(&self) -> bool {
        self.placeholder && self.status == AccountStatus::Pending
    }

    fn can_be_verified(&self) -> bool {
        self.status == AccountStatus::Pending
            || (self.status == AccountStatus::Active && !self.verified)
    }
}

/// Result of a check of DMARC; None without one.
pub type Dmarc = Option<AuthenticationResult>;

fn passes(dmarc: Dmarc) -> bool {
    dmarc == Some(AuthenticationResult::Pass)
}

/// Reason why a request may be delivered.
#[derive(Debug, Clone, Copy)]
struct Basis {
    who: usize,
    /// The result for it, or for the copy that replaced it.
    dmarc: Dmarc,
    by_rule: bool,
    by_operator: bool,
    /// Released when the account was blocked.
    stopped: bool,
}

/// Access settings between which the test switches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Settings {
    /// New senders are accepted at once.
    #[default]
    Open,
    /// New senders must verify their address, too.
    Verify,
    /// New senders are refused.
    Closed,
    /// New senders must verify their address for the portal `hr` only.
    VerifyForHr,
    /// New senders are accepted except for one, and one of an approved domain is denied as well.
    Deny,
}

/// Addresses on the deny list of [`Settings::Deny`].
pub const DENIED: [&str; 2] = ["bob@shop.example", "bea@corp.example"];

impl Settings {
    pub fn of(which: u8) -> Self {
        match which {
            1 => Self::Verify,
            2 => Self::Closed,
            3 => Self::VerifyForHr,
            4 => Self::Deny,
            _ => Self::Open,
        }
    }
}

/// A message for a portal: author, id and portal.
pub type Key = (usize, u8, String);
/// A held request that an authenticated one replaced.
pub type Replaced = (RequestId, Key, Dmarc);

#[derive(Debug, Default)]
pub struct Model {
    pub settings: Settings,
    people: HashMap<usize, Person>,
    links: HashMap<TokenHash, (usize, Timestamp)>,
    requests: HashMap<RequestId, Basis>,
    /// Requests of each message, with the time and the verdict.
    originals: HashMap<Key, Vec<(RequestId, Timestamp, Verdict)>>,
    /// Messages that the quota dropped.
    offers: HashMap<RequestId, (Key, Timestamp, Dmarc)>,
}

/// Longest time after which the same message is a duplicate.
const WEEK: Duration = Duration::from_hours(7 * 24);

impl Model {
    /// Handles the decision about a message for one portal. `held` is what the account holds before and after
    /// it, with the states of the requests of the same message. Returns the requests that it replaced.
    ///
    /// # Panics
    /// If the model decides otherwise.
    pub fn decided(
        &mut self,
        key: &Key,
        dmarc: Dmarc,
        entry: &ArrivalOutcome,
        (held, states): (&mut Vec<RequestId>, &HashMap<RequestId, RequestState>),
        now: Timestamp,
    ) -> Vec<Replaced> {
        let repeated = self.original(key, dmarc, (held.as_slice(), states), now);
        if let Some((original, verdict)) = repeated {
            assert_eq!((entry.verdict, entry.reason), (verdict, Reason::Duplicate));
            assert_eq!(entry.request, None, "a copy has no request");
            if let (Some(basis), true) = (self.requests.get_mut(&original), passes(dmarc))
                && held.contains(&original)
            {
                basis.dmarc = dmarc;
            }
            return Vec::new();
        }
        let (expected, replaced) = self.expect(key, dmarc, held);
        assert_eq!((entry.verdict, entry.reason), expected, "{key:?}");
        assert_eq!(entry.request.is_some(), entry.verdict != Verdict::Dropped);
        if entry.reason == Reason::HoldQuota {
            let id = RequestId::from_bytes(entry.ledger.to_bytes());
            self.offers.insert(id, (key.clone(), now, dmarc));
        }
        if let Some(request) = entry.request {
            self.made(key, dmarc, request, (entry.verdict, now), held);
        }
        replaced
    }

    /// The request that an arriving message repeats, and the verdict about it. An authenticated message repeats
    /// none that failed, but replaces one that is still held, unless it repeats another one.
    fn original(
        &self,
        key: &Key,
        dmarc: Dmarc,
        (held, states): (&[RequestId], &HashMap<RequestId, RequestState>),
        now: Timestamp,
    ) -> Option<(RequestId, Verdict)> {
        let mut living = Vec::new();
        for (request, at, verdict) in self.originals.get(key).into_iter().flatten() {
            let age = Duration::try_from(now.duration_since(*at)).expect("time goes on");
            let is_living = states.get(request).is_some_and(|state| {
                is_living(*state) && (*state != RequestState::Held || held.contains(request))
            });
            if age < WEEK && is_living {
                living.push((*request, *verdict));
            }
        }
        // Ids sort in the order of the entries.
        living.sort_unstable_by_key(|(request, _)| *request);
        let is_replaceable = |request: &RequestId| {
            passes(dmarc) && !passes(self.requests[request].dmarc) && held.contains(request)
        };
        let repeated = living
            .iter()
            .find(|(request, _)| !is_replaceable(request) && !self.differs_from(dmarc, *request));
        let replaceable = || living.iter().find(|(request, _)| is_replaceable(request));
        repeated.or_else(replaceable).copied()
    }

    /// True if a message with this result is authenticated, and this request is known not to be.
    pub fn differs_from(&self, dmarc: Dmarc, request: RequestId) -> bool {
        let basis = self.requests.get(&request);
        let failed = basis.is_some_and(|basis| basis.dmarc == Some(AuthenticationResult::Fail));
        passes(dmarc) && failed
    }

    fn made(
        &mut self,
        key: &Key,
        dmarc: Dmarc,
        request: RequestId,
        (verdict, received_at): (Verdict, Timestamp),
        held: &mut Vec<RequestId>,
    ) {
        let basis = Basis {
            who: key.0,
            dmarc,
            by_rule: verdict == Verdict::Accepted,
            by_operator: false,
            stopped: false,
        };
        assert!(
            self.requests.insert(request, basis).is_none(),
            "an id twice"
        );
        let made = self.originals.entry(key.clone()).or_default();
        made.retain(|(known, ..)| *known != request);
        made.push((request, received_at, verdict));
        if verdict == Verdict::Held {
            held.push(request);
        }
    }

    /// Handles a new decision about a dropped message.
    ///
    /// # Panics
    /// If the model decides otherwise.
    pub fn recovered(
        &mut self,
        (key, received_at): (&Key, Timestamp),
        dmarc: Dmarc,
        decided: (Verdict, Reason),
        request: RequestId,
        held: &mut Vec<RequestId>,
    ) -> Vec<Replaced> {
        let (expected, replaced) = self.expect(key, dmarc, held);
        assert_eq!(decided, expected, "{key:?}");
        self.offers.remove(&request);
        self.made(key, dmarc, request, (decided.0, received_at), held);
        replaced
    }

    /// Handles the release of a dropped message by an operator. It admits nobody: an existing account stays
    /// as it is, and a new one is pending.
    pub fn forced(
        &mut self,
        (key, received_at): (&Key, Timestamp),
        dmarc: Dmarc,
        request: RequestId,
    ) {
        if !self.people.contains_key(&key.0) {
            self.create(key.0, true);
            self.people
                .get_mut(&key.0)
                .expect("made just now")
                .placeholder = true;
        }
        self.offers.remove(&request);
        let decided = (Verdict::Dropped, received_at);
        self.made(key, dmarc, request, decided, &mut Vec::new());
        self.released_by_operator(request);
    }

    /// Held, released or delivered requests of which a message with this time is a copy.
    pub fn copies_of(&self, key: &Key, received_at: Timestamp) -> Vec<RequestId> {
        let made = self.originals.get(key).into_iter().flatten();
        made.filter(|(_, at, _)| received_at.duration_since(*at) < WEEK.try_into().expect("a week"))
            .map(|(request, ..)| *request)
            .collect()
    }

    pub fn has(&self, request: RequestId) -> bool {
        self.requests.contains_key(&request)
    }

    /// All offers, for all people.
    pub fn offers(&self) -> Vec<RequestId> {
        self.offers.keys().copied().collect()
    }

    /// Handles a verification that released these requests. Returns those that were restored from offers.
    ///
    /// # Panics
    /// If one was restored that was not offered to this person, or not selected.
    pub fn came_back(
        &mut self,
        who: usize,
        released: impl Iterator<Item = RequestId>,
        all: bool,
    ) -> Vec<RequestId> {
        let mut back = Vec::new();
        for request in released {
            if self.requests.contains_key(&request) {
                continue;
            }
            let (key, at, dmarc) = self.offers[&request].clone();
            assert!(key.0 == who && (all || passes(dmarc)), "{request}");
            let decided = (Verdict::Held, at);
            self.made(&key, dmarc, request, decided, &mut Vec::new());
            back.push(request);
        }
        self.offers.retain(|_, (key, ..)| key.0 != who);
        back
    }

    /// True if the portal accepts mail of a new sender at once.
    fn serves_at_once(&self, who: usize, portal: &str) -> bool {
        !super::model::is_internal(who)
            && match self.settings {
                Settings::Open | Settings::Deny => true,
                Settings::Verify | Settings::Closed => false,
                Settings::VerifyForHr => portal != "hr",
            }
    }

    /// Applies the part of the table of rules that these people reach. Returns the expected decision, with the held
    /// requests that it replaces.
    fn expect(
        &mut self,
        (who, _, portal): &Key,
        dmarc: Dmarc,
        held: &mut Vec<RequestId>,
    ) -> ((Verdict, Reason), Vec<Replaced>) {
        use Reason::{
            AccountActive, AccountBlocked, AccountPending, DomainNotAllowed,
            ExternalAccountCreated, HoldQuota, InternalAccountCreated, SenderDenied,
        };
        let who = *who;
        if self.settings == Settings::Deny && DENIED.contains(&super::model::PEOPLE[who]) {
            return ((Verdict::Dropped, SenderDenied), Vec::new());
        }
        let mut replaced = Vec::new();
        let at_once = self.serves_at_once(who, portal);
        if let Some(person) = self.people.get_mut(&who)
            && person.status == AccountStatus::Active
        {
            let let_in = person.verified || person.let_in.contains(portal);
            if let_in || at_once {
                if !person.verified {
                    person.let_in.insert(portal.clone());
                }
                return ((Verdict::Accepted, AccountActive), replaced);
            }
        }
        let person = self
            .people
            .get(&who)
            .filter(|person| !person.is_placeholder());
        let decided = match person.map(|person| person.status) {
            Some(AccountStatus::Blocked) => (Verdict::Dropped, AccountBlocked),
            Some(AccountStatus::Active | AccountStatus::Pending)
                if held.len() >= QUOTA.requests as usize =>
            {
                let quota = QUOTA.requests as usize;
                let is_authenticated = |held: &&RequestId| passes(self.requests[*held].dmarc);
                if !passes(dmarc) || held.iter().filter(is_authenticated).count() >= quota {
                    return ((Verdict::Dropped, HoldQuota), replaced);
                }
                // Restored requests may exceed the quota.
                while held.len() >= quota {
                    let oldest = held
                        .iter()
                        .position(|held| !passes(self.requests[held].dmarc))
                        .expect("fewer than the quota are authenticated");
                    let request = held.remove(oldest);
                    let removed = self.requests.remove(&request);
                    let dmarc = removed.and_then(|basis| basis.dmarc);
                    let mut made = self.originals.iter().flat_map(|(key, made)| {
                        made.iter().map(move |(id, at, _)| (*id, key, *at))
                    });
                    let (_, key, at) = made.find(|(id, ..)| *id == request).expect("it was made");
                    replaced.push((request, key.clone(), dmarc));
                    self.offers.insert(request, (key.clone(), at, dmarc));
                }
                (Verdict::Held, AccountPending)
            }
            Some(AccountStatus::Active | AccountStatus::Pending) => (Verdict::Held, AccountPending),
            None if super::model::is_internal(who) => {
                self.create(who, true);
                (Verdict::Held, InternalAccountCreated)
            }
            None if at_once => {
                self.create(who, false);
                let person = self.people.get_mut(&who).expect("made just now");
                person.let_in.insert(portal.clone());
                (Verdict::Accepted, ExternalAccountCreated)
            }
            None if self.settings == Settings::Closed => (Verdict::Dropped, DomainNotAllowed),
            None => {
                self.create(who, true);
                (Verdict::Held, ExternalAccountCreated)
            }
        };
        (decided, replaced)
    }

    fn create(&mut self, who: usize, proof_needed: bool) {
        let status = if proof_needed {
            AccountStatus::Pending
        } else {
            AccountStatus::Active
        };
        let person = Person {
            status,
            proof_needed,
            verified: false,
            let_in: HashSet::new(),
            placeholder: false,
        };
        self.people.insert(who, person);
    }

    /// Handles an account created by an operator or by sign-up. Sign-up always requires verification; for an
    /// operator the settings decide.
    pub fn added(&mut self, who: usize, sign_up: bool) {
        if self.people.get(&who).is_none_or(Person::is_placeholder) {
            let open = !matches!(self.settings, Settings::Verify | Settings::Closed);
            self.create(who, sign_up || !open || super::model::is_internal(who));
        }
    }

    pub fn verification_mail(&mut self, link: TokenHash, who: usize, now: Timestamp) {
        let expires = now + jiff::SignedDuration::try_from(7 * DAY).expect("a week");
        assert!(
            self.links.insert(link, (who, expires)).is_none(),
            "a token twice"
        );
        let person = &self.people[&who];
        assert!(person.can_be_verified(), "an unneeded verification mail");
    }

    /// Handles the use of a link with its outcome.
    ///
    /// # Panics
    /// If it verified an address of another link, or one that needed no verification.
    pub fn pressed(&mut self, link: TokenHash, verification: &VerificationOutcome, now: Timestamp) {
        if let VerificationOutcome::Verified { .. } = verification {
            let (who, expires) = self.links[&link];
            assert!(now <= expires, "an expired link opened");
            self.verify(who);
        }
    }

    /// Handles "This was not me" taken back, with the restored requests.
    ///
    /// # Panics
    /// If the link is not valid any more, or they belong to another person.
    pub fn taken_back(&self, link: TokenHash, restored: &[RequestId], now: Timestamp) {
        let (who, expires) = self.links[&link];
        assert!(now <= expires, "an expired link took it back");
        assert!(
            self.people[&who].can_be_verified(),
            "there is nothing to hold for"
        );
        for request in restored {
            assert_eq!(self.requests[request].who, who, "{request}");
        }
    }

    pub fn vouched(&mut self, who: usize, verification: &VerificationOutcome) {
        if let VerificationOutcome::Verified { .. } = verification {
            self.verify(who);
        }
    }

    fn verify(&mut self, who: usize) {
        let person = self.people.get_mut(&who).expect("an account");
        assert!(
            person.can_be_verified(),
            "an account that cannot be verified was verified"
        );
        person.status = AccountStatus::Active;
        person.verified = true;
    }

    /// Handles the blocking of an account with these released requests.
    pub fn blocked(&mut self, who: usize, released: impl Iterator<Item = RequestId>) {
        let person = self.people.get_mut(&who).expect("an account");
        if person.status != AccountStatus::Blocked {
            person.status = AccountStatus::Blocked;
            for request in released {
                let basis = self.requests.get_mut(&request).expect("a request");
                basis.stopped |= basis.who == who;
            }
        }
    }

    pub fn unblocked(&mut self, who: usize) {
        let person = self.people.get_mut(&who).expect("an account");
        if person.status == AccountStatus::Blocked {
            let may = person.verified || !person.proof_needed;
            person.status = if may {
                AccountStatus::Active
            } else {
                AccountStatus::Pending
            };
            for basis in self.requests.values_mut() {
                basis.stopped &= basis.who != who;
            }
        }
    }

    pub fn released_by_operator(&mut self, request: RequestId) {
        let basis = self.requests.get_mut(&request).expect("a request");
        basis.by_operator = true;
        basis.stopped = false;
    }

    /// Handles the retry of a failed request.
    ///
    /// # Panics
    /// If its account is blocked.
    pub fn retried(&mut self, request: RequestId) {
        let basis = self.requests.get_mut(&request).expect("a request");
        basis.stopped = false;
        let who = basis.who;
        assert_ne!(
            self.status(who),
            Some(AccountStatus::Blocked),
            "{request} is retried although its account is blocked"
        );
    }

    /// Handles the claim of a request for delivery.
    ///
    /// # Panics
    /// If nothing permits it.
    pub fn claimed(&self, request: RequestId) {
        let basis = self.requests[&request];
        assert!(
            !basis.stopped,
            "{request} is delivered although it was stopped"
        );
        let is_verified = self
            .people
            .get(&basis.who)
            .is_some_and(|person| person.verified);
        assert!(
            basis.by_rule || basis.by_operator || is_verified,
            "{request} is delivered without verification and without a rule: {basis:?}"
        );
    }

    pub fn is_verified(&self, who: usize) -> bool {
        self.people.get(&who).is_some_and(|person| person.verified)
    }

    pub fn status(&self, who: usize) -> Option<AccountStatus> {
        self.people.get(&who).map(|person| person.status)
    }
}
