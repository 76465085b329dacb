//! Cost of each step of a message by itself: deciding, committing, rendering, retrying. Parsing has its own
//! bench, `facts`.
//!
//! `cargo bench --bench steps`. The database is a real file with real syncs, in `$TMPDIR`.

#[path = "sample/questions.rs"]
mod questions;
#[path = "sample/mail.rs"]
mod sample;

use std::hint::black_box;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sample::Sender;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use vestibule::access::decide;
use vestibule::config::Config;
use vestibule::domain::{ReplyToken, Timestamp, Token};
use vestibule::outbound::schedule;
use vestibule::store::{Arrival, MailOutcome, Settlement, Store, VerificationMail};
use vestibule::templates::{Language, Templates};
use vestibule::verification::{MailTokens, compose};
use vestibule::web::{Public, Readiness, public};

/// A database in its own folder.
struct Harness {
    config: Arc<Config>,
    store: Store,
    runtime: Runtime,
    _folder: TempDir,
}

impl Harness {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a store");
        let config = Arc::new(sample::config());
        let runtime = Runtime::new().expect("a runtime");
        runtime
            .block_on(store.seed_access(config.access.clone(), Timestamp::now()))
            .expect("settings");
        Self {
            config,
            store,
            runtime,
            _folder: folder,
        }
    }

    /// Some people of a domain, who write in turn.
    fn people(&self, count: usize, domain: &str) -> InTurn {
        let people = (0..count)
            .map(|n| Sender::new(&self.config, &format!("p{n}@{domain}")))
            .collect();
        InTurn { people, turn: 0 }
    }

    fn accept(&self, arrival: Arrival) {
        self.runtime
            .block_on(self.store.accept(arrival))
            .expect("accepted");
    }

    fn accept_all(&self, arrivals: Vec<Arrival>) {
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for arrival in arrivals {
                let store = self.store.clone();
                tasks.spawn(async move { store.accept(arrival).await });
            }
            while let Some(done) = tasks.join_next().await {
                done.expect("no panic").expect("accepted");
            }
        });
    }

    /// The verification mail for a person who wrote three times, and the token of its link.
    fn verification_mail(&self) -> (VerificationMail, Token) {
        let mut ann = Sender::new(&self.config, "ann@corp.example");
        self.accept_all((0..3).map(|_| ann.next()).collect());
        let token = Token::generate().expect("a token");
        let verification = &self.config.verification;
        let claimed = self
            .runtime
            .block_on(self.store.claim_mail(
                vec![token.hash()],
                verification.limits,
                verification.token_ttl,
                Timestamp::now(),
            ))
            .expect("claimed");
        let verification_mail = claimed
            .verification_mails
            .into_iter()
            .next()
            .expect("a letter");
        let outcome = MailOutcome::Sent;
        self.runtime
            .block_on(
                self.store
                    .settle_mail(&verification_mail, outcome, Timestamp::now()),
            )
            .expect("settled");
        (verification_mail, token)
    }
}

fn deciding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    group.throughput(Throughput::Elements(1));
    for case in questions::cases() {
        group.bench_function(case.name, |bencher| {
            bencher.iter(|| decide(black_box(&case.question())));
        });
    }
    group.finish();
}

fn committing(criterion: &mut Criterion) {
    const AT_ONCE: u64 = 64;
    let mut group = criterion.benchmark_group("commit");
    group.sample_size(20);
    for (name, domain) in [
        ("one accepted", "partner.example"),
        ("one dropped", "elsewhere.example"),
    ] {
        let harness = Harness::open();
        let mut people = harness.people(500, domain);
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bencher| {
            let next = || people.next();
            bencher.iter_batched(next, |one| harness.accept(one), BatchSize::PerIteration);
        });
    }
    let harness = Harness::open();
    let mut people = harness.people(500, "partner.example");
    group.throughput(Throughput::Elements(AT_ONCE));
    group.bench_function("64 accepted", |bencher| {
        let next = || (0..AT_ONCE).map(|_| people.next()).collect();
        bencher.iter_batched(next, |all| harness.accept_all(all), BatchSize::PerIteration);
    });
    // Each from a new sender: an account, a request and a verification mail.
    let harness = Harness::open();
    let mut number = 0_u64;
    group.bench_function("64 held, all new", |bencher| {
        let next = || {
            (0..AT_ONCE)
                .map(|_| {
                    number += 1;
                    Sender::new(&harness.config, &format!("n{number}@corp.example")).next()
                })
                .collect()
        };
        bencher.iter_batched(next, |all| harness.accept_all(all), BatchSize::PerIteration);
    });
    group.finish();
}

fn rendering(criterion: &mut Criterion) {
    let harness = Harness::open();
    let (verification_mail, link) = harness.verification_mail();
    let reply = ReplyToken::generate().expect("a token");
    let tokens = MailTokens { link, reply };
    let templates = Arc::new(Templates::load(None).expect("the built-in templates"));
    let mut group = criterion.benchmark_group("render");
    group.throughput(Throughput::Elements(1));
    let now = Timestamp::now();
    group.bench_function("letter", |bencher| {
        let language = Language::default();
        bencher.iter(|| {
            compose(
                &verification_mail,
                &tokens,
                &harness.config,
                &templates,
                &language,
                now,
            )
            .expect("a letter")
        });
    });
    let (_keep, config) = watch::channel(Arc::clone(&harness.config));
    let pages = public(Public {
        config,
        store: harness.store.clone(),
        templates,
        readiness: Readiness::default(),
        tasks: TaskTracker::new(),
    });
    let link = format!("/verify/{}", tokens.link.reveal_for_link());
    for (name, path) in [("verify page", link.as_str()), ("sign-up page", "/signup")] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| harness.runtime.block_on(page(&pages, path)));
        });
    }
    group.finish();
}

/// A complete page, without the network.
async fn page(pages: &Router, path: &str) -> usize {
    let request = Request::get(path)
        .header("accept-language", "de-DE,de;q=0.9,en;q=0.5")
        .body(Body::empty())
        .expect("a request");
    let answer = match pages.clone().oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    assert_eq!(answer.status(), StatusCode::OK);
    let body = to_bytes(answer.into_body(), usize::MAX).await;
    body.expect("a body").len()
}

fn retrying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retry");
    group.throughput(Throughput::Elements(1));
    let now = Timestamp::now();
    group.bench_function("when next", |bencher| {
        let retry = vestibule::config::Retry::default();
        bencher.iter(|| schedule::next(&retry, black_box(3), now, now, None, 0.5));
    });
    // A thousand are queued; one is claimed, fails, and is due again.
    let harness = Harness::open();
    let mut people = harness.people(1000, "partner.example");
    harness.accept_all((0..1000).map(|_| people.next()).collect());
    group.sample_size(20);
    group.bench_function("claim and settle one", |bencher| {
        bencher.iter(|| harness.runtime.block_on(fail_one(&harness.store)));
    });
    group.finish();
}

async fn fail_one(store: &Store) {
    let now = Timestamp::now();
    let claims = store.claim_deliveries(vec![sample::portal()], 1, now, now);
    let claims = claims.await.expect("claimed").claims;
    let settlement = Settlement::Retry {
        at: now,
        cause: "451 4.3.0 try again later".to_owned(),
    };
    store
        .settle_delivery(&claims[0], settlement, now)
        .await
        .expect("settled");
}

/// Each in turn, without end.
struct InTurn {
    people: Vec<Sender>,
    turn: usize,
}

impl InTurn {
    fn next(&mut self) -> Arrival {
        self.turn += 1;
        let whose = self.turn % self.people.len();
        self.people[whose].next()
    }
}

criterion_group!(benches, deciding, committing, rendering, retrying);
criterion_main!(benches);
