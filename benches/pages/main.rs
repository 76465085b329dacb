//! The operators' pages and the what-if simulation over a large database: the time from the request's head to
//! the complete page, with the router that the daemon serves.
//!
//! `cargo bench --bench pages [-- --quick] [-- --keep FILE]`; `--keep` uses the database of that name, and
//! creates it if it does not exist. The first answer after the start is reported separately: later ones find
//! the database in the page cache.

#[path = "../seed/mod.rs"]
mod seed;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::COOKIE;
use axum::http::{Request, StatusCode};
use jiff::SignedDuration;
use seed::Size;
use tokio::sync::watch;
use tower::ServiceExt;
use vestibule::access::AccessSettings;
use vestibule::config::Config;
use vestibule::domain::{Timestamp, Token};
use vestibule::store::{KeyKind, Store, WhatIf};
use vestibule::templates::Templates;
use vestibule::web::{Operators, operators};

/// Each page, and filters of it, some of which match nothing.
const PAGES: &[&str] = &[
    "/",
    "/customers",
    "/customers?status=blocked",
    "/customers?kind=internal&status=pending",
    "/customers?domain=d17.customer.example",
    "/customers?search=person77777",
    "/customers?search=nobody-has-this",
    "/requests",
    "/requests?state=held",
    "/requests?state=failed&portal=hr",
    "/requests?state=expired",
    "/requests?state=released",
    "/requests?age=over-week&portal=facilities",
    "/messages",
    "/messages?verdict=held&reason=internal_account_created",
    "/messages?reason=loop",
    "/messages?search=person4%40corp.example",
    "/dropped",
    "/dropped?reason=bounce&portal=facilities",
    "/dropped?reason=hold_quota",
    "/deliveries",
    "/audit",
    "/access",
];

const TIMES: usize = 30;

const CONFIGURATION: &str = include_str!("../seed/vestibule.toml");

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let size = if quick { Size::SMALL } else { Size::LARGE };
    let folder = tempfile::tempdir().expect("a folder");
    let kept = arguments.iter().position(|argument| argument == "--keep");
    let path: PathBuf = match kept {
        Some(place) => arguments.get(place + 1).expect("--keep FILE").into(),
        None => folder.path().join("vestibule.db"),
    };
    if !path.exists() {
        let began = Instant::now();
        seed::seed(&path, &size, Timestamp::now());
        eprintln!("seeded {size:?} in {:.0?}", began.elapsed());
    }
    let octets = path.metadata().expect("a file").len();
    println!("database: {} MiB", octets / 1024 / 1024);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(&path));
}

async fn measure(path: &Path) {
    let store = Store::open(path).expect("a database");
    let config = Config::parse(CONFIGURATION, Path::new("/nowhere/vestibule.toml"));
    let (_sender, receiver) = watch::channel(Arc::new(config.expect("a good configuration")));
    let router = operators(Operators {
        config: receiver,
        store: store.clone(),
        templates: Arc::new(Templates::load(None).expect("templates")),
        beside: None,
    });
    let cookie = session(&store).await;
    println!("\n| page | first | median | slowest of {TIMES} |\n|---|---|---|---|");
    for page in PAGES {
        let first = ask(&router, &cookie, page).await;
        let mut times = Vec::new();
        for _ in 0..TIMES {
            times.push(ask(&router, &cookie, page).await);
        }
        times.sort_unstable();
        println!(
            "| `{page}` | {} | {} | {} |",
            shown(first),
            shown(times[TIMES / 2]),
            shown(times[TIMES - 1])
        );
    }
    println!("\n| what-if over | changed | time |\n|---|---|---|");
    for days in [7, 30, 90] {
        let what = WhatIf {
            draft: AccessSettings::default(),
            since: Timestamp::now() - SignedDuration::from_hours(24 * days),
            portal: None,
            domain: None,
            most: 20,
        };
        let began = Instant::now();
        let found = store.simulate(what, |_, _| {}).await.expect("read");
        println!(
            "| {} messages of {days} days | {} | {} |",
            found.messages,
            found.changed,
            shown(began.elapsed())
        );
    }
    store.close().await;
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

async fn session(store: &Store) -> String {
    let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    seed::make_key(store, KeyKind::Session, &token).await;
    format!("vestibule_session={}", token.reveal())
}

async fn ask(router: &Router, cookie: &str, page: &str) -> Duration {
    let request = Request::get(page).header(COOKIE, cookie);
    let request = request.body(Body::empty()).expect("a request");
    let began = Instant::now();
    let response = router.clone().oneshot(request).await;
    let response = response.unwrap_or_else(|never| match never {});
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await;
    let taken = began.elapsed();
    let body = body.expect("a page");
    assert_eq!(
        status,
        StatusCode::OK,
        "{page}: {}",
        String::from_utf8_lossy(&body)
    );
    taken
}
