//! What a simple model expects of the store: accounts, verdicts and what may go, without SQL.

use std::collections::HashMap;
use std::time::Duration;

use vestibule::domain::{Reason, RequestId, Status, Timestamp, TokenHash, Verdict};
use vestibule::store::{Entry, Proved};

use crate::house::DAY;

/// One person's account.
#[derive(Debug, Clone, Copy)]
struct Person {
    status: Status,
    /// Whether a letter is to be answered before anything passes.
    proof_needed: bool,
    proved: bool,
}

/// Why a request may go.
#[derive(Debug, Clone, Copy)]
struct Basis {
    who: usize,
    by_rule: bool,
    by_operator: bool,
}

/// As the access settings are in each of the three ways that a test sets them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Settings {
    /// Strangers are served at once.
    #[default]
    Open,
    /// Strangers prove their address as well.
    Verify,
    /// Strangers are not served.
    Closed,
}

impl Settings {
    pub fn of(which: u8) -> Self {
        match which {
            1 => Self::Verify,
            2 => Self::Closed,
            _ => Self::Open,
        }
    }
}

#[derive(Debug, Default)]
pub struct Model {
    pub settings: Settings,
    people: HashMap<usize, Person>,
    links: HashMap<TokenHash, (usize, Timestamp)>,
    requests: HashMap<RequestId, Basis>,
    /// The first message of its kind, by author, id and portal.
    originals: HashMap<(usize, u8, String), (Timestamp, Verdict)>,
}

/// The longest that the same message again is a duplicate.
const WEEK: Duration = Duration::from_hours(7 * 24);

impl Model {
    /// A message was decided for one portal. `held` is what the account holds before it.
    ///
    /// # Panics
    /// When the model would have decided otherwise.
    pub fn decided(&mut self, who: usize, id: u8, entry: &Entry, held: usize, now: Timestamp) {
        let portal = entry.portal.as_ref().expect("a portal").to_string();
        let key = (who, id, portal);
        if let Some((first, verdict)) = self.originals.get(&key) {
            let age = Duration::try_from(now.duration_since(*first)).expect("time goes on");
            if age < WEEK {
                assert_eq!((entry.verdict, entry.reason), (*verdict, Reason::Duplicate));
            }
            if entry.reason == Reason::Duplicate {
                assert!(age <= WEEK && entry.verdict == *verdict, "{key:?}");
                assert_eq!(entry.request, None, "a repeat makes no request");
                return;
            }
        }
        let expected = self.expect(who, held);
        assert_eq!((entry.verdict, entry.reason), expected, "{key:?}");
        self.originals.insert(key, (now, entry.verdict));
        assert_eq!(entry.request.is_some(), entry.verdict != Verdict::Dropped);
        if let Some(request) = entry.request {
            let basis = Basis {
                who,
                by_rule: entry.verdict == Verdict::Accepted,
                by_operator: false,
            };
            assert!(
                self.requests.insert(request, basis).is_none(),
                "an id twice"
            );
        }
    }

    /// A dropped message was decided again.
    ///
    /// # Panics
    /// When the model would have decided otherwise.
    pub fn recovered(
        &mut self,
        key: &(usize, u8, String),
        decided: (Verdict, Reason),
        request: RequestId,
        held: usize,
    ) {
        let who = key.0;
        assert_eq!(decided, self.expect(who, held), "{key:?}");
        let basis = Basis {
            who,
            by_rule: decided.0 == Verdict::Accepted,
            by_operator: false,
        };
        assert!(
            self.requests.insert(request, basis).is_none(),
            "an id twice"
        );
        if let Some((_, verdict)) = self.originals.get_mut(key) {
            *verdict = decided.0;
        }
    }

    /// The table of the rules, as far as these people reach it.
    fn expect(&mut self, who: usize, held: usize) -> (Verdict, Reason) {
        use Reason::{
            AccountActive, AccountBlocked, AccountPending, DomainNotAllowed,
            ExternalAccountCreated, HoldQuota, InternalAccountCreated,
        };
        const QUOTA: usize = 20;
        match self.people.get(&who).map(|person| person.status) {
            Some(Status::Blocked) => (Verdict::Dropped, AccountBlocked),
            Some(Status::Active) => (Verdict::Accepted, AccountActive),
            Some(Status::Pending) if held >= QUOTA => (Verdict::Dropped, HoldQuota),
            Some(Status::Pending) => (Verdict::Held, AccountPending),
            None if crate::model::is_internal(who) => {
                self.create(who, true);
                (Verdict::Held, InternalAccountCreated)
            }
            None => match self.settings {
                Settings::Closed => (Verdict::Dropped, DomainNotAllowed),
                Settings::Verify => {
                    self.create(who, true);
                    (Verdict::Held, ExternalAccountCreated)
                }
                Settings::Open => {
                    self.create(who, false);
                    (Verdict::Accepted, ExternalAccountCreated)
                }
            },
        }
    }

    fn create(&mut self, who: usize, proof_needed: bool) {
        let status = if proof_needed {
            Status::Pending
        } else {
            Status::Active
        };
        let person = Person {
            status,
            proof_needed,
            proved: false,
        };
        self.people.insert(who, person);
    }

    /// An operator, or the person by the sign-up page, made an account. The person has to prove the
    /// address in any case; for the operator the settings decide.
    pub fn added(&mut self, who: usize, sign_up: bool) {
        if !self.people.contains_key(&who) {
            let open = self.settings == Settings::Open;
            self.create(who, sign_up || !open || crate::model::is_internal(who));
        }
    }

    pub fn letter(&mut self, link: TokenHash, who: usize, now: Timestamp) {
        let expires = now + jiff::SignedDuration::try_from(7 * DAY).expect("a week");
        assert!(
            self.links.insert(link, (who, expires)).is_none(),
            "a token twice"
        );
        let person = self.people[&who];
        assert_eq!(person.status, Status::Pending, "a letter that nobody needs");
    }

    /// Somebody pressed a button, and this came of it.
    ///
    /// # Panics
    /// When it proved an address that this link is not for, or one that needed no proof.
    pub fn pressed(&mut self, link: TokenHash, proved: &Proved, now: Timestamp) {
        if let Proved::Now { .. } = proved {
            let (who, expires) = self.links[&link];
            assert!(now <= expires, "an expired link opened");
            self.proved(who);
        }
    }

    pub fn vouched(&mut self, who: usize, proved: &Proved) {
        if let Proved::Now { .. } = proved {
            self.proved(who);
        }
    }

    fn proved(&mut self, who: usize) {
        let person = self.people.get_mut(&who).expect("an account");
        assert_eq!(
            person.status,
            Status::Pending,
            "proved what was no question"
        );
        person.status = Status::Active;
        person.proved = true;
    }

    pub fn blocked(&mut self, who: usize) {
        self.people.get_mut(&who).expect("an account").status = Status::Blocked;
    }

    pub fn unblocked(&mut self, who: usize) {
        let person = self.people.get_mut(&who).expect("an account");
        if person.status == Status::Blocked {
            let may = person.proved || !person.proof_needed;
            person.status = if may { Status::Active } else { Status::Pending };
        }
    }

    pub fn released_by_operator(&mut self, request: RequestId) {
        self.requests
            .get_mut(&request)
            .expect("a request")
            .by_operator = true;
    }

    /// A request is about to be handed over.
    ///
    /// # Panics
    /// When nobody said that it may.
    pub fn claimed(&self, request: RequestId) {
        let basis = self.requests[&request];
        let proved = self
            .people
            .get(&basis.who)
            .is_some_and(|person| person.proved);
        assert!(
            basis.by_rule || basis.by_operator || proved,
            "{request} goes without a proof and without a rule: {basis:?}"
        );
    }

    pub fn status(&self, who: usize) -> Option<Status> {
        self.people.get(&who).map(|person| person.status)
    }
}
