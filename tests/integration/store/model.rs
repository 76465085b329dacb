//! Model test with any steps in any order: no delivery without verification, an accepting rule or an
//! operator; one verdict for each message, as a simple model expects; states move only along the documented
//! edges; only the holder of a claim settles it; the invariants hold.

use std::collections::HashMap;

use proptest::prelude::*;
use vestibule::access::AccessSettings;
use vestibule::config::Quota;
use vestibule::domain::{
    AccountStatus, Actor, DestinationName, DomainPattern, LedgerId, Reason, RequestId,
    RequestState, Timestamp, TokenHash, Transition, Verdict, VerificationMethod,
};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{
    Added, Choice, Claim, ClaimNumber, LedgerFilter, MailKind, MailOutcome, Page, Recovered,
    RequestFilter, RunLimits, Settlement, Store, TakenBack, Terms, VerificationOutcome,
};

use super::harness::{
    DAY, Harness, LIMITS, address, at, block_on, mail, operator, portal, random_sequences,
    settings, to, token,
};
use super::holders::{Holders, Workers};
use super::reference_model::{DENIED, Dmarc, Key, Model, Settings};
use crate::support::claims::{claim_mail, settle_delivery, settle_mail};

pub const PEOPLE: [&str; 4] = [
    "ann@corp.example",
    "bea@corp.example",
    "bob@shop.example",
    "eve@evil.example",
];

/// Small enough to be reached.
pub const QUOTA: Quota = Quota {
    requests: 4,
    bytes: 100 * 1024 * 1024,
};

#[derive(Debug, Clone)]
enum Step {
    Mail {
        who: usize,
        id: u8,
        portals: usize,
        dmarc: Dmarc,
    },
    VerificationMail {
        sent: bool,
    },
    Press {
        link: usize,
        how: u8,
    },
    NotMe {
        link: usize,
    },
    TakeBack {
        link: usize,
    },
    Vouch {
        who: usize,
    },
    Add {
        who: usize,
        sign_up: bool,
    },
    Renew {
        who: usize,
    },
    Recover {
        dropped: usize,
    },
    Force {
        dropped: usize,
    },
    Block {
        who: usize,
    },
    Unblock {
        who: usize,
    },
    Release {
        request: usize,
    },
    Discard {
        request: usize,
    },
    Retry {
        request: usize,
    },
    Claim {
        set: usize,
    },
    /// Every attempt fails for a while.
    Outage {
        attempts: u8,
    },
    /// A claim was recorded, but its workers were told that it failed.
    FailedClaim {
        set: usize,
    },
    GiveBack {
        set: usize,
        after: usize,
    },
    LeasesEnd,
    Settle {
        claim: usize,
        how: u8,
    },
    Settings {
        which: u8,
    },
    Days(u8),
    Tidy,
    Restart,
    Crash {
        in_the_midst: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PEOPLE.len();
    let any_of = 0..1000_usize;
    let results = vec![AuthenticationResult::Fail, AuthenticationResult::Pass];
    let dmarc = prop::option::weighted(0.6, prop::sample::select(results));
    prop_oneof![
        6 => (who.clone(), 0..12_u8, 1..3_usize, dmarc).prop_map(|(who, id, portals, dmarc)| {
            Step::Mail {
                who,
                id,
                portals,
                dmarc,
            }
        }),
        2 => any::<bool>().prop_map(|sent| Step::VerificationMail { sent }),
        2 => (any_of.clone(), 0..3_u8).prop_map(|(link, how)| Step::Press { link, how }),
        1 => any_of.clone().prop_map(|link| Step::NotMe { link }),
        1 => any_of.clone().prop_map(|link| Step::TakeBack { link }),
        1 => who.clone().prop_map(|who| Step::Vouch { who }),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, sign_up)| Step::Add { who, sign_up }),
        1 => who.clone().prop_map(|who| Step::Renew { who }),
        1 => any_of.clone().prop_map(|dropped| Step::Recover { dropped }),
        1 => any_of.clone().prop_map(|dropped| Step::Force { dropped }),
        1 => who.clone().prop_map(|who| Step::Block { who }),
        1 => who.prop_map(|who| Step::Unblock { who }),
        1 => any_of.clone().prop_map(|request| Step::Release { request }),
        1 => any_of.clone().prop_map(|request| Step::Discard { request }),
        1 => any_of.clone().prop_map(|request| Step::Retry { request }),
        3 => (0..2_usize).prop_map(|set| Step::Claim { set }),
        1 => (1..7_u8).prop_map(|attempts| Step::Outage { attempts }),
        1 => (0..2_usize).prop_map(|set| Step::FailedClaim { set }),
        1 => (0..2_usize, any_of.clone()).prop_map(|(set, after)| Step::GiveBack { set, after }),
        1 => Just(Step::LeasesEnd),
        3 => (any_of, 0..3_u8).prop_map(|(claim, how)| Step::Settle { claim, how }),
        1 => (0..5_u8).prop_map(|which| Step::Settings { which }),
        1 => (1..8_u8).prop_map(Step::Days),
        1 => Just(Step::Tidy),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(|in_the_midst| Step::Crash { in_the_midst }),
    ]
}

/// Results of the steps outside of the database.
struct Run {
    harness: Harness,
    store: Store,
    /// Sets of workers, as before and after a reload, and the number of openings of the database.
    workers: [Store; 2],
    opening: usize,
    now: Timestamp,
    links: Vec<TokenHash>,
    claims: Vec<Claim>,
    holders: Holders,
    requests: Vec<RequestId>,
    states: HashMap<RequestId, RequestState>,
    dropped: Vec<(LedgerId, Key, Dmarc)>,
    entries: usize,
    /// Restored as held by the last step.
    restored: Vec<RequestId>,
    model: Model,
}

/// True if the domain of this person is approved.
pub fn is_internal(who: usize) -> bool {
    PEOPLE[who].ends_with("@corp.example")
}

/// True for the edges of the table, apart from that back to held.
fn may_become(before: RequestState, after: RequestState) -> bool {
    let mut transitions = Transition::ALL.iter();
    after != RequestState::Held
        && transitions.any(|transition| before.after(*transition) == Some(after))
}

pub fn is_living(state: RequestState) -> bool {
    matches!(
        state,
        RequestState::Held | RequestState::Released | RequestState::Delivered
    )
}

fn pick<T: Clone>(all: &[T], which: usize) -> Option<T> {
    all.get(which.checked_rem(all.len())?).cloned()
}

fn workers(store: &Store) -> [Store; 2] {
    [(); 2].map(|()| store.clone().for_workers())
}

impl Run {
    async fn new() -> Self {
        let harness = Harness::open().await;
        Self {
            workers: workers(&harness.store),
            opening: 0,
            store: harness.store.clone(),
            harness,
            now: at(DAY),
            links: Vec::new(),
            claims: Vec::new(),
            holders: Holders::default(),
            requests: Vec::new(),
            states: HashMap::new(),
            dropped: Vec::new(),
            entries: 0,
            restored: Vec::new(),
            model: Model::default(),
        }
    }

    /// Refusals are permitted; the test checks their effects.
    async fn take(&mut self, step: Step) {
        let (store, now) = (self.store.clone(), self.now);
        let by = operator("root");
        match step {
            Step::Mail {
                who,
                id,
                portals,
                dmarc,
            } => {
                let mut message = mail(PEOPLE[who], &format!("{who}.{id}@x"), now);
                message.parts = ["it", "hr"].into_iter().take(portals).map(to).collect();
                message.quota = QUOTA;
                message.facts.authentication.dmarc = dmarc;
                let mut held = self.held(who).await;
                let mut states = HashMap::new();
                for portal in ["it", "hr"] {
                    let key = (who, id, portal.to_owned());
                    for request in self.model.copies_of(&key, now) {
                        let found = store.request(request).await.expect("read");
                        states.extend(found.map(|found| (request, found.state)));
                    }
                }
                let entries = store.accept(message).await.expect("accepted");
                self.entries += entries.len();
                for entry in &entries {
                    let portal = entry.portal.as_ref().expect("a portal").to_string();
                    let key = (who, id, portal);
                    let replaced =
                        self.model
                            .decided(&key, dmarc, entry, (&mut held, &states), now);
                    self.replaced(replaced);
                    if entry.verdict == Verdict::Dropped && entry.reason != Reason::Duplicate {
                        self.dropped.push((entry.ledger, key, dmarc));
                    }
                    self.requests.extend(entry.request);
                }
                // The next part may replace what this one created.
                let model = &self.model;
                self.requests.retain(|request| model.has(*request));
            }
            Step::VerificationMail { sent } => {
                let tokens: Vec<_> = (0..5).map(|_| token()).collect();
                let claimed = claim_mail(&store, tokens.clone(), LIMITS, 7 * DAY, now).await;
                for verification_mail in claimed.verification_mails {
                    let link = tokens[verification_mail.token];
                    let to = verification_mail.address.to_string();
                    let who = PEOPLE.iter().position(|person| *person == to);
                    let who = who.expect("one of them");
                    if verification_mail.kind == MailKind::AlreadyRegistered {
                        assert_eq!(self.model.status(who), Some(AccountStatus::Active));
                        assert!(self.model.is_verified(who), "the mail would hold no link");
                    } else {
                        self.links.push(link);
                        self.model.verification_mail(link, who, now);
                    }
                    let outcome = if sent {
                        MailOutcome::Sent
                    } else {
                        MailOutcome::Refused {
                            cause: "550".to_owned(),
                        }
                    };
                    settle_mail(&store, &verification_mail, outcome, now).await;
                }
            }
            Step::Press { link, how } => {
                if let Some(link) = pick(&self.links, link) {
                    let choice = match (self.requests.first(), how) {
                        (Some(first), 0) => Choice::Without(vec![*first]),
                        // Offers to any person.
                        (_, 1) => Choice::Picked {
                            left_out: Vec::new(),
                            ticked: self.model.offers(),
                        },
                        _ => Choice::All,
                    };
                    let all = how == 1;
                    let verification = store
                        .verify_account(VerificationMethod::Link(link), None, choice, now)
                        .await;
                    let verification = verification.expect("an answer");
                    self.model.pressed(link, &verification, now);
                    self.came_back(&verification, all);
                }
            }
            Step::NotMe { link } => {
                if let Some(link) = pick(&self.links, link) {
                    store.refuse(link, 30 * DAY, now).await.expect("an answer");
                }
            }
            Step::TakeBack { link } => {
                if let Some(link) = pick(&self.links, link) {
                    let taken = store.take_back_refusal(link, 14 * DAY, now).await;
                    if let TakenBack::Restored { restored, .. } = taken.expect("an answer") {
                        self.model.taken_back(link, &restored, now);
                        self.restored = restored;
                    }
                }
            }
            Step::Vouch { who } => {
                if let Some(account) = self.account(who).await {
                    let method = VerificationMethod::Operator(by);
                    let verification = store
                        .verify_account(method, Some(account), Choice::All, now)
                        .await;
                    let verification = verification.expect("an answer");
                    self.model.vouched(who, &verification);
                    self.came_back(&verification, false);
                }
            }
            Step::Block { who } => {
                if let Some(account) = self.account(who).await {
                    store.block_customer(account, by, now).await.expect("done");
                    self.holders.blocked(account);
                    let states = &self.states;
                    let released = states
                        .iter()
                        .filter(|(_, state)| **state == RequestState::Released);
                    self.model
                        .blocked(who, released.map(|(request, _)| *request));
                }
            }
            Step::Unblock { who } => {
                if let Some(account) = self.account(who).await {
                    store
                        .unblock_customer(account, by, now)
                        .await
                        .expect("done");
                    self.model.unblocked(who);
                }
            }
            Step::Release { request } => {
                if let Some(request) = pick(&self.requests, request) {
                    let release = by;
                    if store.release_request(request, release, now).await.is_ok() {
                        self.model.released_by_operator(request);
                        self.holders.released(request);
                    }
                }
            }
            Step::Discard { request } => {
                if let Some(request) = pick(&self.requests, request)
                    && store.discard_request(request, by, now).await.is_ok()
                {
                    self.holders.discarded(request, now);
                }
            }
            Step::Retry { request } => {
                if let Some(request) = pick(&self.requests, request) {
                    let retried = store.retry_request(request, by, now).await;
                    let was_failed = self.states.get(&request) == Some(&RequestState::Failed);
                    if was_failed && retried.is_ok() {
                        self.model.retried(request);
                    }
                }
            }
            Step::Claim { set } => {
                let claims = self.claim(set).await;
                self.claims.extend(claims);
            }
            Step::Outage { attempts } => {
                for _ in 0..attempts {
                    for claim in self.claim(0).await {
                        self.settle(&claim, 1).await;
                    }
                }
            }
            Step::FailedClaim { set } => {
                let known = self.claims.iter().map(Claim::number).max();
                let lost = self.claim(set).await;
                self.give_back(set, known.unwrap_or_default()).await;
                // Late results of lost claims have no more effect than other late results.
                self.claims.extend(lost);
            }
            Step::GiveBack { set, after } => {
                let after = pick(&self.claims, after).map(|claim| claim.number());
                self.give_back(set, after.unwrap_or_default()).await;
            }
            Step::LeasesEnd => self.now = now + jiff::SignedDuration::from_mins(10),
            Step::Settle { claim, how } => {
                if let Some(claim) = pick(&self.claims, claim) {
                    self.settle(&claim, how).await;
                }
            }
            Step::Settings { which } => {
                let mut changed: AccessSettings = settings();
                changed.site.external.verify = which == 1;
                changed.site.external.restrict_domains = which == 2;
                if which == 3 {
                    let own = changed.portals.entry(portal("hr")).or_default();
                    own.external.verify = Some(true);
                }
                if which == 4 {
                    changed.site.denied = DENIED
                        .map(|denied| DomainPattern::parse(denied).expect(denied))
                        .to_vec()
                        .into();
                }
                let base = store.access().await.expect("read").number;
                let made = store.change_access(base, changed, by, now).await;
                made.expect("changed");
                self.model.settings = Settings::of(which);
            }
            Step::Add { who, sign_up } => {
                let by = if sign_up { Actor::Person } else { by };
                let added = store
                    .add_customer(address(PEOPLE[who]), None, by, now)
                    .await;
                if matches!(added, Ok(Added::Created(_) | Added::Existing(_))) {
                    self.model.added(who, sign_up);
                }
            }
            Step::Renew { who } => {
                let renewed = store.renew_link(address(PEOPLE[who]), Actor::Person, now);
                renewed.await.expect("an answer");
            }
            Step::Recover { dropped } => {
                if let Some((ledger, key, dmarc)) = pick(&self.dropped, dropped) {
                    let mut held = self.held(key.0).await;
                    let mut lives = false;
                    let received_at = self.received_at(ledger).await;
                    for request in self.model.copies_of(&key, received_at) {
                        let found = store.request(request).await.expect("read");
                        lives |= found.is_some_and(|found| {
                            is_living(found.state)
                                && ledger.to_bytes() != request.to_bytes()
                                && !self.model.differs_from(dmarc, request)
                        });
                    }
                    let terms = Terms {
                        quota: QUOTA,
                        hold_for: 14 * DAY,
                        today: None,
                        portal: None,
                    };
                    let recovered = store.recover(ledger, terms, by, now).await;
                    if let Ok(Recovered::Request {
                        verdict,
                        reason,
                        request,
                        ..
                    }) = recovered
                    {
                        assert!(!lives, "a copy of it lives");
                        let replaced = self.model.recovered(
                            (&key, received_at),
                            dmarc,
                            (verdict, reason),
                            request,
                            &mut held,
                        );
                        self.requests.push(request);
                        self.replaced(replaced);
                    }
                }
            }
            Step::Force { dropped } => {
                if let Some((ledger, key, dmarc)) = pick(&self.dropped, dropped) {
                    let mut lives = false;
                    let received_at = self.received_at(ledger).await;
                    for request in self.model.copies_of(&key, received_at) {
                        let found = store.request(request).await.expect("read");
                        lives |= found.is_some_and(|found| is_living(found.state))
                            && !self.model.differs_from(dmarc, request);
                    }
                    let released = store.release_dropped(ledger, None, None, by, now).await;
                    if let Ok(released) = released {
                        let Recovered::Forced { request, .. } = released else {
                            panic!("{released:?}");
                        };
                        assert!(!lives, "a copy of it lives");
                        self.model.forced((&key, received_at), dmarc, request);
                        self.requests.push(request);
                    }
                }
            }
            Step::Days(days) => {
                let days = i64::from(days) * 24;
                self.now = now + jiff::SignedDuration::from_hours(days);
            }
            Step::Tidy => {
                while store.expire_holds(now, 100).await.expect("a step").more {}
                let remind = async || store.owe_reminders(now, 3 * DAY, 7 * DAY, 100).await;
                while remind().await.expect("a step").more {}
                let forget = async || store.delete_expired_content(now, 20 * DAY, 100).await;
                while forget().await.expect("a step").more {}
                // Small enough for something to be erased.
                store.trim_dropped_content(500, 100).await.expect("a step");
            }
            Step::Restart => {
                self.store.close().await;
                self.open_again().await;
            }
            Step::Crash { in_the_midst } => {
                let _ruins = self.harness.database.crash(in_the_midst);
                self.store.close().await;
                self.open_again().await;
            }
        }
    }

    /// Opens the store again, like the start of the daemon.
    async fn open_again(&mut self) {
        self.store = self.harness.again();
        self.workers = workers(&self.store);
        self.opening += 1;
        self.store.end_leases(self.now).await.expect("a start");
        self.holders.started(self.opening);
    }

    async fn settle(&mut self, claim: &Claim, how: u8) {
        let cause = "cause".to_owned();
        let settlement = match how {
            0 => Settlement::Delivered,
            1 => Settlement::Retry {
                at: self.now,
                cause,
            },
            _ => Settlement::Failed { cause },
        };
        let outcome = settle_delivery(&self.store, claim, settlement.clone(), self.now).await;
        self.holders.settled(claim, &settlement, outcome);
    }

    async fn give_back(&mut self, set: usize, after: ClaimNumber) {
        let given = self.workers[set].give_back_deliveries(after, self.now);
        given.await.expect("given back");
        let opening = self.opening;
        self.holders.given_back(Workers { opening, set }, after);
    }

    async fn account(&self, who: usize) -> Option<vestibule::domain::AccountId> {
        let found = self.store.customer(&address(PEOPLE[who])).await;
        found.expect("read").map(|account| account.id)
    }

    /// Held requests of a person, oldest first.
    async fn held(&self, who: usize) -> Vec<RequestId> {
        let filter = RequestFilter {
            state: Some(RequestState::Held),
            account: Some(address(PEOPLE[who])),
            ..RequestFilter::default()
        };
        let held = self.store.requests(filter).await.expect("read").rows;
        held.into_iter().rev().map(|request| request.id).collect()
    }

    async fn received_at(&self, ledger: LedgerId) -> Timestamp {
        let entry = self.store.ledger_entry(ledger).await.expect("read");
        entry.expect("there").received_at
    }

    /// Handles requests that became dropped entries.
    fn replaced(&mut self, replaced: Vec<(RequestId, Key, Dmarc)>) {
        for (request, key, dmarc) in replaced {
            self.requests.retain(|known| *known != request);
            self.states.remove(&request);
            let ledger = LedgerId::from_bytes(request.to_bytes());
            self.dropped.push((ledger, key, dmarc));
        }
    }

    /// Handles offers that may have become requests.
    fn came_back(&mut self, verification: &VerificationOutcome, all: bool) {
        let VerificationOutcome::Verified {
            address, released, ..
        } = verification
        else {
            return;
        };
        let who = PEOPLE
            .iter()
            .position(|person| *person == address.to_string());
        let who = who.expect("one of them");
        let released = released.iter().map(|(request, _)| *request);
        self.requests
            .extend(self.model.came_back(who, released, all));
    }

    /// Compares each account with the model.
    async fn compare(&self, step: &str) {
        for (who, person) in PEOPLE.iter().enumerate() {
            let account = self.store.customer(&address(person)).await.expect("read");
            let status = account.map(|account| account.status);
            assert_eq!(status, self.model.status(who), "{step}: {person}");
        }
    }

    /// Claims requests. Each of them may be delivered: this is the promise under test.
    async fn claim(&mut self, set: usize) -> Vec<Claim> {
        let portals = vec![portal("it"), portal("hr")];
        let lease = self.now + jiff::SignedDuration::from_mins(10);
        let destination = DestinationName::parse("desk").expect("a name");
        let limits = RunLimits {
            runs: 3,
            requests: 3,
            octets: 500,
        };
        let round = self.workers[set]
            .settle_and_claim_deliveries(&destination, &portals, [], limits, lease, self.now)
            .await
            .expect("a claim");
        let mut claims = Vec::new();
        for run in round.runs {
            let first = run[0].claim.number();
            for delivery in run {
                let workers = Workers {
                    opening: self.opening,
                    set,
                };
                let times = (self.now, lease);
                self.holders.claimed(&delivery.claim, workers, first, times);
                claims.push(delivery.claim);
            }
        }
        for claim in &claims {
            self.model.claimed(claim.request());
            let entry = self.store.ledger_entry(claim.ledger).await;
            let entry = entry.expect("read").expect("there");
            assert!(
                entry.verdict == Verdict::Accepted
                    || claim.verified.is_some()
                    || claim.released_by.is_some(),
                "{claim:?}"
            );
            assert_eq!(
                self.states.get(&claim.request()),
                Some(&RequestState::Released)
            );
            let raw = self.store.raw(claim.ledger).await.expect("read");
            assert!(raw.is_some(), "delivered content exists");
        }
        claims
    }

    /// Checks that every request stayed, or moved along an edge.
    async fn follow_states(&mut self, step: &str) {
        let filter = RequestFilter {
            page: Page::first(1000),
            ..RequestFilter::default()
        };
        let all = self.store.requests(filter).await.expect("read").rows;
        assert_eq!(all.len(), self.requests.len(), "no request comes or goes");
        let held = all.iter().filter(|one| one.state == RequestState::Held);
        let held: Vec<_> = held.map(|one| one.id).collect();
        assert!(self.restored.iter().all(|one| held.contains(one)), "{step}");
        for request in all {
            let before = self.states.insert(request.id, request.state);
            match before {
                Some(before) => assert!(
                    before == request.state
                        || may_become(before, request.state)
                        || (before == RequestState::Discarded
                            && request.state == RequestState::Held
                            && self.restored.contains(&request.id)),
                    "{step}: from {before} to {}",
                    request.state
                ),
                None => assert!(matches!(
                    request.state,
                    RequestState::Held | RequestState::Released
                )),
            }
        }
    }

    async fn check(&self) {
        let filter = LedgerFilter {
            page: Page::first(1000),
            ..LedgerFilter::default()
        };
        let entries = self.store.ledger(filter).await.expect("read").rows;
        assert_eq!(entries.len(), self.entries, "one entry for each 250");
        for who in PEOPLE {
            let account = self.store.customer(&address(who)).await.expect("read");
            let verified = account.filter(|account| {
                account.status == AccountStatus::Active && account.verified_at.is_some()
            });
            if let Some(account) = verified {
                assert_eq!(account.held, 0, "{who}");
            }
        }
        let violations = match self.store.check_invariants().await {
            Ok(violations) => violations,
            Err(error) => panic!("the invariants cannot be checked: {error}"),
        };
        let lines = violations
            .iter()
            .map(|one| format!("\n{}: {}", one.invariant, one.place));
        assert!(
            violations.is_empty(),
            "violated:{}",
            lines.collect::<String>()
        );
    }
}

proptest! {
    #![proptest_config(random_sequences())]

    #[test]
    fn no_order_of_events_breaks_a_promise(steps in prop::collection::vec(step(), 1..80)) {
        block_on(async {
            let mut run = Run::new().await;
            for step in steps {
                let name = format!("{step:?}");
                run.restored.clear();
                run.take(step).await;
                run.follow_states(&name).await;
                run.compare(&name).await;
            }
            run.check().await;
        });
    }
}
