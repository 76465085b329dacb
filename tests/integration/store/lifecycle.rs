//! Random sequences of everything that changes a request or an account: by people, operators, the directory, imports,
//! housekeeping and erasure. [`model`](super::model) predicts the verdicts and crashes the store; this test has more
//! operations, and checks what holds whatever the verdicts are:
//!
//! - No entry is lost, and a request moves along the edges of the table.
//! - An operation about one person changes nothing of another, and a refused one changes nothing.
//! - A person with held requests has a link, gets a mail, or will be reminded.
//! - Hooks learn every state.
//! - The counts equal the rows, and the invariants of the database hold.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;
use vestibule::access::AccessSettings;
use vestibule::domain::{
    AccountId, AccountStatus, Actor, DomainPattern, LedgerId, Reason, RequestId, RequestState,
    Timestamp, TokenHash, Transition, UserId, Verdict, VerificationMethod,
};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{
    Choice, Claim, Forgetting, MailKind, MailOutcome, NewDirectoryUser, Page, Person,
    RequestFilter, Settlement, Store, Terms, VerificationMail,
};

use super::harness::{
    DAY, Harness, LIMITS, address, at, block_on, mail, operator, portal, random_sequences,
    settings, to, token,
};
use super::model::{PEOPLE, QUOTA};
use super::reference_model::DENIED;
use super::told_states::ToldStates;
use crate::database::Database;
use crate::support::claims::{claim_deliveries, claim_mail, settle_delivery, settle_mail};

const PORTALS: [&str; 2] = ["it", "hr"];

/// Age in days at which entries are deleted; everything else is deleted earlier.
const KEEP_ENTRIES: u32 = 40;

#[derive(Debug, Clone)]
enum Operation {
    Mail {
        who: usize,
        id: u8,
        portal: usize,
        dmarc: Option<AuthenticationResult>,
    },
    ClaimMail,
    SettleMail {
        mail: usize,
        how: u8,
    },
    Press {
        link: usize,
        all: bool,
    },
    NotMe {
        link: usize,
    },
    TakeBack {
        link: usize,
    },
    Customer {
        who: usize,
        action: u8,
    },
    Import {
        who: usize,
        verified: bool,
    },
    /// The directory creates or replaces a user.
    PutUser {
        user: usize,
        active: bool,
    },
    /// The directory gives a user another address.
    MoveUser {
        user: usize,
        to: usize,
    },
    RemoveUser {
        user: usize,
    },
    Request {
        request: usize,
        action: u8,
    },
    Recover {
        dropped: usize,
        force: bool,
    },
    Claim,
    Settle {
        claim: usize,
        how: u8,
    },
    HookCalls {
        how: u8,
    },
    Settings {
        which: u8,
    },
    Forget {
        who: usize,
    },
    Days(u8),
    LeasesEnd,
    Tidy,
    Restart,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::{
        Claim, ClaimMail, Customer, Days, Forget, HookCalls, Import, LeasesEnd, Mail, MoveUser,
        NotMe, Press, PutUser, Recover, RemoveUser, Request, Restart, Settings, Settle, SettleMail,
        TakeBack, Tidy,
    };
    let who = 0..PEOPLE.len();
    let any_of = 0..1000_usize;
    let results = vec![AuthenticationResult::Fail, AuthenticationResult::Pass];
    let dmarc = prop::option::weighted(0.5, prop::sample::select(results));
    prop_oneof![
        8 => (who.clone(), 0..12_u8, 0..PORTALS.len(), dmarc)
            .prop_map(|(who, id, portal, dmarc)| Mail { who, id, portal, dmarc }),
        4 => Just(ClaimMail),
        4 => (any_of.clone(), 0..8_u8).prop_map(|(mail, how)| SettleMail { mail, how }),
        3 => (any_of.clone(), any::<bool>()).prop_map(|(link, all)| Press { link, all }),
        1 => any_of.clone().prop_map(|link| NotMe { link }),
        1 => any_of.clone().prop_map(|link| TakeBack { link }),
        6 => (who.clone(), 0..7_u8).prop_map(|(who, action)| Customer { who, action }),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, verified)| Import { who, verified }),
        3 => (who.clone(), any::<bool>()).prop_map(|(user, active)| PutUser { user, active }),
        1 => (who.clone(), who.clone()).prop_map(|(user, to)| MoveUser { user, to }),
        1 => who.clone().prop_map(|user| RemoveUser { user }),
        4 => (any_of.clone(), 0..3_u8)
            .prop_map(|(request, action)| Request { request, action }),
        2 => (any_of.clone(), any::<bool>())
            .prop_map(|(dropped, force)| Recover { dropped, force }),
        3 => Just(Claim),
        3 => (any_of, 0..5_u8).prop_map(|(claim, how)| Settle { claim, how }),
        2 => (0..6_u8).prop_map(|how| HookCalls { how }),
        1 => (0..5_u8).prop_map(|which| Settings { which }),
        1 => who.prop_map(|who| Forget { who }),
        3 => (1..10_u8).prop_map(Days),
        1 => Just(LeasesEnd),
        3 => Just(Tidy),
        1 => Just(Restart),
    ]
}

/// The parts of an account that only an operation about its person may change.
#[derive(Debug, Clone, PartialEq)]
struct AccountView {
    id: AccountId,
    status: AccountStatus,
    verified_at: Option<Timestamp>,
    quiet_until: Option<Timestamp>,
    deactivated_at: Option<Timestamp>,
}

/// A request, with the person who wrote it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RequestView {
    who: usize,
    state: RequestState,
}

/// A user of the directory, with the person whose address they have.
#[derive(Debug, Clone, Copy)]
struct User {
    id: Option<UserId>,
    who: usize,
}

/// The store, and what its callers keep.
struct Life {
    harness: Harness,
    store: Store,
    now: Timestamp,
    links: Vec<(TokenHash, usize)>,
    mails: Vec<VerificationMail>,
    claims: Vec<Claim>,
    users: Vec<User>,
    entries: Vec<(LedgerId, Timestamp)>,
    dropped: Vec<(LedgerId, usize)>,
    accounts: Vec<Option<AccountView>>,
    requests: BTreeMap<RequestId, RequestView>,
    told: ToldStates,
    /// The present operation was refused.
    refused: bool,
}

fn pick<T: Clone>(all: &[T], which: usize) -> Option<T> {
    all.get(which.checked_rem(all.len())?).cloned()
}

fn take_any<T>(all: &mut Vec<T>, which: usize) -> Option<T> {
    let place = which.checked_rem(all.len())?;
    Some(all.swap_remove(place))
}

fn who_has(address: &str) -> usize {
    let found = PEOPLE.iter().position(|person| *person == address);
    found.expect("one of them")
}

fn is_edge(before: RequestState, after: RequestState) -> bool {
    let mut transitions = Transition::ALL.iter();
    before == after || transitions.any(|transition| before.after(*transition) == Some(after))
}

/// A message may replace an older held request of its sender, which is dropped then.
fn may_replace(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Mail { .. } | Operation::Recover { .. }
    )
}

/// Number of accounts with held requests whose person can be verified and may be mailed, and has neither a link nor a
/// mail to come: a reminder comes only for requests that were not reminded, and only where a mail came before.
fn count_neglected(database: &Database, now: Timestamp) -> i64 {
    let now = now.as_millisecond();
    let held = format!("r.account = a.n AND r.state = 'held' AND r.due_at > {now}");
    database.number(&format!(
        "SELECT count(*) FROM account AS a
         WHERE a.forgotten_at IS NULL AND a.undeliverable = 0 AND a.unanswered_mails < 3
             AND (a.status = 'pending' OR (a.status = 'active' AND a.verified_at IS NULL))
             AND EXISTS (SELECT 1 FROM request AS r WHERE {held})
             AND NOT EXISTS (SELECT 1 FROM letter AS t
                 WHERE t.account = a.n AND (t.due_at IS NOT NULL OR t.state = 'refused'))
             AND NOT EXISTS (SELECT 1 FROM event AS e
                 WHERE e.account = a.n AND e.name = 'verification.refused')
             AND NOT EXISTS (SELECT 1 FROM token AS k
                 WHERE k.account = a.n AND k.expires_at > {now})
             AND (EXISTS (SELECT 1 FROM request AS r WHERE {held} AND r.reminded = 1)
                 OR NOT EXISTS (SELECT 1 FROM token AS k WHERE k.account = a.n))"
    ))
}

impl Life {
    async fn begin() -> Self {
        let harness = Harness::open().await;
        let store = harness.store.clone();
        let now = at(DAY);
        let told = ToldStates::subscribe(&store, now).await;
        Self {
            store,
            harness,
            now,
            links: Vec::new(),
            mails: Vec::new(),
            claims: Vec::new(),
            users: (0..PEOPLE.len())
                .map(|who| User { id: None, who })
                .collect(),
            entries: Vec::new(),
            dropped: Vec::new(),
            accounts: vec![None; PEOPLE.len()],
            requests: BTreeMap::new(),
            told,
            refused: false,
        }
    }

    fn request_at(&self, which: usize) -> Option<RequestId> {
        let place = which.checked_rem(self.requests.len())?;
        self.requests.keys().nth(place).copied()
    }

    /// The people whom an operation is about.
    fn subjects(&self, operation: &Operation) -> Vec<usize> {
        let owner = |request: &RequestId| self.requests.get(request).map(|view| view.who);
        match operation {
            Operation::Mail { who, .. }
            | Operation::Customer { who, .. }
            | Operation::Import { who, .. }
            | Operation::Forget { who } => vec![*who],
            Operation::Press { link, .. }
            | Operation::NotMe { link }
            | Operation::TakeBack { link } => {
                let link = pick(&self.links, *link);
                link.into_iter().map(|(_, who)| who).collect()
            }
            Operation::PutUser { user, .. } | Operation::RemoveUser { user } => {
                vec![self.users[*user].who]
            }
            Operation::MoveUser { user, to } => vec![self.users[*user].who, *to],
            Operation::Request { request, .. } => {
                let request = self.request_at(*request);
                request.as_ref().and_then(owner).into_iter().collect()
            }
            Operation::Recover { dropped, .. } => {
                let dropped = pick(&self.dropped, *dropped);
                dropped.into_iter().map(|(_, who)| who).collect()
            }
            Operation::Settle { claim, .. } => {
                let claim = pick(&self.claims, *claim).map(|claim| claim.request());
                claim.as_ref().and_then(owner).into_iter().collect()
            }
            Operation::Tidy => (0..PEOPLE.len()).collect(),
            Operation::ClaimMail
            | Operation::SettleMail { .. }
            | Operation::Claim
            | Operation::HookCalls { .. }
            | Operation::Settings { .. }
            | Operation::Days(_)
            | Operation::LeasesEnd
            | Operation::Restart => Vec::new(),
        }
    }

    async fn take(&mut self, operation: Operation) {
        let (store, now, by) = (self.store.clone(), self.now, operator("root"));
        match operation {
            Operation::Mail {
                who,
                id,
                portal,
                dmarc,
            } => {
                let mut message = mail(PEOPLE[who], &format!("{who}.{id}@x"), now);
                message.parts = vec![to(PORTALS[portal])];
                message.quota = QUOTA;
                message.facts.authentication.dmarc = dmarc;
                for entry in store.accept(message).await.expect("accepted") {
                    self.entries.push((entry.ledger, now));
                    if entry.verdict == Verdict::Dropped && entry.reason != Reason::Duplicate {
                        self.dropped.push((entry.ledger, who));
                    }
                }
            }
            Operation::ClaimMail => {
                let tokens: Vec<_> = (0..3).map(|_| token()).collect();
                let claimed = claim_mail(&store, tokens.clone(), LIMITS, 7 * DAY, now).await;
                for mail in claimed.verification_mails {
                    if mail.kind != MailKind::AlreadyRegistered {
                        let who = who_has(&mail.address.to_string());
                        self.links.push((tokens[mail.token], who));
                    }
                    self.mails.push(mail);
                }
            }
            Operation::SettleMail { mail, how } => {
                if let Some(mail) = take_any(&mut self.mails, mail) {
                    let (at, cause) = (now + SignedDuration::from_hours(1), "cause".to_owned());
                    let outcome = match how {
                        0 => MailOutcome::Unattempted,
                        1 => MailOutcome::Retry { at, cause },
                        2 => MailOutcome::Unknown { at, cause },
                        3 => MailOutcome::Refused { cause },
                        4 => MailOutcome::NoSuchAddress { cause },
                        _ => MailOutcome::Sent,
                    };
                    settle_mail(&store, &mail, outcome, now).await;
                }
            }
            Operation::Press { link, all } => {
                if let Some((link, who)) = pick(&self.links, link) {
                    let mut own = self.requests.iter().filter(|(_, view)| view.who == who);
                    let choice = match own.next() {
                        Some((first, _)) if !all => Choice::Without(vec![*first]),
                        _ => Choice::All,
                    };
                    let method = VerificationMethod::Link(link);
                    let verification = store.verify_account(method, None, choice, now).await;
                    verification.expect("an answer");
                }
            }
            Operation::NotMe { link } => {
                if let Some((link, _)) = pick(&self.links, link) {
                    store.refuse(link, 30 * DAY, now).await.expect("an answer");
                }
            }
            Operation::TakeBack { link } => {
                if let Some((link, _)) = pick(&self.links, link) {
                    let taken = store.take_back_refusal(link, 14 * DAY, now).await;
                    taken.expect("an answer");
                }
            }
            Operation::Customer { who, action } => self.act_on_customer(who, action).await,
            Operation::Import { who, verified } => {
                let person = Person {
                    address: address(PEOPLE[who]),
                    kind: None,
                    groups: None,
                    verified,
                };
                let put = store.put_people(vec![person], false, by, now).await;
                put.expect("an outcome");
            }
            Operation::PutUser { user, active } => {
                let who = self.users[user].who;
                self.put_user(user, who, active).await;
            }
            Operation::MoveUser { user, to } => self.put_user(user, to, true).await,
            Operation::RemoveUser { user } => {
                if let Some(id) = self.users[user].id.take()
                    && let Some(known) = store.directory_user(id).await.expect("read")
                {
                    let removed = store.remove_user(id, known.version, by, now).await;
                    removed.expect("written").expect("removed");
                }
            }
            Operation::Request { request, action } => {
                if let Some(id) = self.request_at(request) {
                    self.refused = match action {
                        0 => store.release_request(id, by, now).await.is_err(),
                        1 => store.discard_request(id, by, now).await.is_err(),
                        _ => store.retry_request(id, by, now).await.is_err(),
                    };
                }
            }
            Operation::Recover { dropped, force } => {
                if let Some((ledger, _)) = pick(&self.dropped, dropped) {
                    let terms = Terms {
                        quota: QUOTA,
                        hold_for: 14 * DAY,
                        today: None,
                        portal: None,
                    };
                    let recovered = if force {
                        store.release_dropped(ledger, None, None, by, now).await
                    } else {
                        store.recover(ledger, terms, by, now).await
                    };
                    self.refused = recovered.is_err();
                }
            }
            Operation::Claim => {
                let portals = PORTALS.map(portal);
                let lease = now + SignedDuration::from_mins(10);
                let claims = claim_deliveries(&store, &portals, 3, lease, now).await;
                for claim in &claims {
                    let view = self.requests[&claim.request()];
                    assert_eq!(view.state, RequestState::Released, "{claim:?}");
                }
                self.claims.extend(claims);
            }
            Operation::Settle { claim, how } => {
                if let Some(claim) = take_any(&mut self.claims, claim) {
                    let cause = "cause".to_owned();
                    let settlement = match how {
                        0 => Settlement::Unattempted,
                        1 => Settlement::Failed { cause },
                        2 => Settlement::Retry { at: now, cause },
                        _ => Settlement::Delivered,
                    };
                    settle_delivery(&store, &claim, settlement, now).await;
                }
            }
            Operation::HookCalls { how } => {
                self.told.claim(&store, how, now).await;
            }
            Operation::Settings { which } => {
                let mut changed: AccessSettings = settings();
                changed.site.external.verify = which == 1 || which == 2;
                changed.site.external.restrict_domains = which == 3;
                if which == 4 {
                    let denied = DENIED.map(|one| DomainPattern::parse(one).expect(one));
                    changed.site.denied = denied.to_vec().into();
                }
                let base = store.access().await.expect("read").number;
                let made = store.change_access(base, changed, by, now).await;
                made.expect("changed");
            }
            Operation::Forget { who } => self.forget(who).await,
            Operation::Days(days) => {
                self.now = now + SignedDuration::from_hours(24 * i64::from(days));
                self.mails.clear();
            }
            Operation::LeasesEnd => {
                self.now = now + SignedDuration::from_mins(16);
                // Their worker has died.
                self.mails.clear();
            }
            Operation::Tidy => self.tidy().await,
            Operation::Restart => {
                store.close().await;
                self.store = self.harness.again();
                self.store.end_leases(now).await.expect("a start");
                self.mails.clear();
            }
        }
    }

    async fn act_on_customer(&self, who: usize, action: u8) {
        let (store, now, by) = (&self.store, self.now, operator("root"));
        let known = self.accounts[who].as_ref().map(|account| account.id);
        match (action, known) {
            (0, Some(id)) => {
                let method = VerificationMethod::Operator(by);
                let verification = store.verify_account(method, Some(id), Choice::All, now);
                verification.await.expect("an answer");
            }
            (1, Some(id)) => {
                store.block_customer(id, by, now).await.expect("blocked");
            }
            (2, Some(id)) => {
                let unblocked = store.unblock_customer(id, by, now).await;
                unblocked.expect("unblocked");
            }
            (3 | 4, _) => {
                let by = if action == 3 { by } else { Actor::Person };
                let renewed = store.renew_link(address(PEOPLE[who]), by, now).await;
                renewed.expect("an answer");
            }
            (5 | 6, _) => {
                let by = if action == 5 { by } else { Actor::Person };
                let added = store.add_customer(address(PEOPLE[who]), None, by, now);
                added.await.expect("an answer");
            }
            _ => {}
        }
    }

    /// The directory creates a user, or replaces one, with the address of this person.
    async fn put_user(&mut self, user: usize, who: usize, active: bool) {
        let (store, by) = (&self.store, operator("root"));
        let new = NewDirectoryUser {
            user_name: format!("user-{user}"),
            external_id: None,
            emails: Vec::new(),
            roles: Vec::new(),
            active: Some(active),
            address: address(PEOPLE[who]),
        };
        let known = match self.users[user].id {
            Some(id) => store.directory_user(id).await.expect("read"),
            None => None,
        };
        let put = match known {
            Some(known) => {
                let replaced = store.replace_user(known.id, known.version, new, by, self.now);
                replaced.await
            }
            None => store.create_user(new, by, self.now).await,
        };
        if let Ok(stored) = put.expect("written") {
            let id = Some(stored.id);
            self.users[user] = User { id, who };
        } else {
            self.refused = true;
        }
    }

    async fn forget(&mut self, who: usize) {
        let forgetting = Forgetting {
            address: address(PEOPLE[who]),
            domain_too: false,
            by: operator("root"),
            now: self.now,
        };
        let forgotten = self.store.forget_customer(forgetting, |_, _| {}).await;
        if forgotten.is_err() {
            // One of their requests is being delivered.
            self.refused = true;
            return;
        }
        let left = self.store.holdings(address(PEOPLE[who])).await;
        let left = left.expect("read");
        assert!(left.is_nothing(), "{left:?}");
    }

    /// Does what housekeeping does.
    async fn tidy(&self) {
        let (store, now) = (&self.store, self.now);
        while store.expire_holds(now, 100).await.expect("a step").more {}
        let remind = async || store.owe_reminders(now, 3 * DAY, 7 * DAY, 100).await;
        while remind().await.expect("a step").more {}
        let forget = async || store.delete_expired_content(now, 20 * DAY, 100).await;
        while forget().await.expect("a step").more {}
        store.trim_dropped_content(500, 100).await.expect("a step");
        let keep = KEEP_ENTRIES * DAY;
        let delete = async || store.delete_expired_entries(now, keep, 100).await;
        while delete().await.expect("a step").more {}
        let delete = async || store.delete_expired_mail(now, keep, 100).await;
        while delete().await.expect("a step").more {}
        let expire = async || store.expire_pending_accounts(now, 30 * DAY, 100).await;
        while expire().await.expect("a step").more {}
        let delete = async || store.delete_settled_calls(now, 10 * DAY, 100).await;
        while delete().await.expect("a step").more {}
    }

    async fn read_accounts(&self) -> Vec<Option<AccountView>> {
        let mut views = Vec::new();
        for person in PEOPLE {
            let account = self.store.customer(&address(person)).await.expect("read");
            views.push(account.map(|account| AccountView {
                id: account.id,
                status: account.status,
                verified_at: account.verified_at,
                quiet_until: account.quiet_until,
                deactivated_at: account.deactivated_at,
            }));
        }
        views
    }

    async fn read_requests(&self) -> BTreeMap<RequestId, RequestView> {
        let filter = RequestFilter {
            page: Page::first(1000),
            ..RequestFilter::default()
        };
        let listed = self.store.requests(filter).await.expect("read").rows;
        let view = |request: vestibule::store::Request| {
            let known = self.requests.get(&request.id).map(|view| view.who);
            // Only a new request is sure to have the address of its sender.
            let who = known.unwrap_or_else(|| who_has(&request.account.to_string()));
            let state = request.state;
            (request.id, RequestView { who, state })
        };
        listed.into_iter().map(view).collect()
    }

    /// Takes an operation, and compares everything before and after it.
    async fn follow(&mut self, operation: Operation) {
        let mut subjects = self.subjects(&operation);
        self.refused = false;
        self.take(operation.clone()).await;
        if self.refused {
            subjects.clear();
        }
        let accounts = self.read_accounts().await;
        let requests = self.read_requests().await;
        for (who, person) in PEOPLE.iter().enumerate() {
            let (before, after) = (&self.accounts[who], &accounts[who]);
            if !subjects.contains(&who) {
                assert_eq!(before, after, "{operation:?} is not about {person}");
            }
            if matches!(operation, Operation::Tidy) && before != after {
                let status = before.as_ref().map(|account| account.status);
                assert_eq!(status, Some(AccountStatus::Pending), "{person} expired");
                assert_eq!(*after, None, "{person} expired");
            }
        }
        for (request, after) in &requests {
            let Some(before) = self.requests.get(request) else {
                assert!(
                    subjects.contains(&after.who),
                    "{operation:?} made {request}"
                );
                continue;
            };
            assert!(
                before == after || subjects.contains(&after.who),
                "{operation:?} is not about {request}"
            );
            let is_restored =
                before.state == RequestState::Discarded && after.state == RequestState::Held;
            assert!(
                is_edge(before.state, after.state)
                    && (!is_restored || matches!(operation, Operation::TakeBack { .. })),
                "{operation:?}: from {} to {}",
                before.state,
                after.state
            );
        }
        for (request, before) in &self.requests {
            if requests.contains_key(request) {
                continue;
            }
            if before.state == RequestState::Held && may_replace(&operation) {
                assert!(subjects.contains(&before.who), "{request} is replaced");
                let ledger = LedgerId::from_bytes(request.to_bytes());
                self.dropped.push((ledger, before.who));
            } else {
                // A request that was held may have expired first.
                let is_settled = before.state != RequestState::Released;
                let is_retention = matches!(operation, Operation::Tidy) && is_settled;
                assert!(is_retention, "{operation:?} removed {request}: {before:?}");
            }
        }
        (self.accounts, self.requests) = (accounts, requests);
        if matches!(operation, Operation::Tidy) {
            self.check_links();
        }
    }

    fn check_links(&self) {
        let neglected = count_neglected(&self.harness.database, self.now);
        assert_eq!(neglected, 0, "nobody is told that their requests wait");
    }

    /// Compares the counts with the rows.
    async fn check_counts(&self) {
        for (who, person) in PEOPLE.iter().enumerate() {
            let account = self.store.customer(&address(person)).await.expect("read");
            let is_held = |view: &&RequestView| view.who == who && view.state == RequestState::Held;
            let held = self.requests.values().filter(is_held).count();
            let counted = account.map_or(0, |account| account.held);
            assert_eq!(usize::try_from(counted), Ok(held), "{person}");
        }
        let mut found = BTreeMap::new();
        for view in self.requests.values() {
            *found.entry(view.state.as_str()).or_insert(0_u64) += 1;
        }
        let mut counted = BTreeMap::new();
        for count in self.store.request_counts().await.expect("read") {
            *counted.entry(count.state.as_str()).or_insert(0_u64) += count.requests;
        }
        counted.retain(|_, requests| *requests > 0);
        assert_eq!(counted, found);
    }

    async fn check(&mut self) {
        self.check_links();
        self.check_counts().await;
        let keep = SignedDuration::try_from(KEEP_ENTRIES * DAY).expect("days");
        for (ledger, received_at) in &self.entries {
            let entry = self.store.ledger_entry(*ledger).await.expect("read");
            let is_old = *received_at + keep <= self.now;
            assert!(entry.is_some() || is_old, "{ledger} is lost");
        }
        self.told.claim_all(&self.store, self.now).await;
        for (request, view) in &self.requests {
            let shown = self.store.request(*request).await.expect("read");
            // Nothing is told of a person who was forgotten or whose account expired.
            if shown.expect("there").has_account {
                self.told.check_request(*request, view.state);
            }
        }
        for account in self.accounts.iter().flatten() {
            self.told.check_account(account.id, account.status);
        }
        let violations = self.store.check_invariants().await.expect("checked");
        assert!(violations.is_empty(), "{violations:#?}");
    }
}

proptest! {
    #![proptest_config(random_sequences())]

    #[test]
    fn no_order_of_operations_loses_a_request_or_touches_another_person(
        operations in prop::collection::vec(operation(), 1..80)
    ) {
        block_on(async {
            let mut life = Life::begin().await;
            for operation in operations {
                life.follow(operation).await;
            }
            life.check().await;
        });
    }
}
