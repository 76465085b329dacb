//! A store in a temporary folder, a configuration with two portals, and mail for them.

use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vestibule::access::AccessSettings;
use vestibule::clock::{self, CheckedClock, Clock};
use vestibule::config::Config;
use vestibule::delivery;
use vestibule::domain::{PortalName, RequestId, RequestState, Timestamp};
use vestibule::store::{Page, RequestFilter, Store};

use crate::support::arrival::arrival;
use crate::support::harness::DEADLINE;

pub struct Harness {
    pub folder: TempDir,
    pub store: Store,
    config: watch::Sender<Arc<Config>>,
}

/// The workers, until shutdown.
pub struct Workers {
    pub stop: CancellationToken,
    pub running: JoinHandle<()>,
}

/// A clock that housekeeping has checked.
pub fn trusted_clock() -> CheckedClock {
    let (checked, _) = Clock::start(None, Timestamp::now(), Instant::now());
    clock::channel(checked).1
}

impl Harness {
    /// The portal `it` delivers to a Maildir, `shop` as configured by `shop`.
    pub async fn open(shop: &str) -> Self {
        Self::open_with(shop, &[]).await
    }

    /// As [`open`](Self::open), with files that the configuration refers to.
    pub async fn open_with(shop: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a store");
        let seeded = store.seed_access(AccessSettings::default(), Timestamp::now());
        assert!(seeded.await.expect("settings"));
        let config = watch::Sender::new(Arc::new(configuration(&folder, "Maildir", shop)));
        Self {
            folder,
            store,
            config,
        }
    }

    /// Opens the database again, as another process or after a restart.
    pub fn store_again(&self) -> Store {
        Store::open(&self.folder.path().join("vestibule.db")).expect("a store")
    }

    pub fn config(&self) -> watch::Receiver<Arc<Config>> {
        self.config.subscribe()
    }

    pub fn reload(&self, maildir: &str, shop: &str) {
        let config = configuration(&self.folder, maildir, shop);
        self.config.send_replace(Arc::new(config));
    }

    pub fn start(&self) -> Workers {
        let stop = CancellationToken::new();
        let (config, store) = (self.config(), self.store.clone());
        let workers = delivery::run(config, store, trusted_clock(), stop.clone());
        Workers {
            stop,
            running: tokio::spawn(workers),
        }
    }

    /// A message of a new external customer, which needs no verification.
    pub async fn mail(&self, portal: &str, number: usize) -> RequestId {
        let from = format!("customer{number}@shop.example");
        self.mail_from(from, portal, number).await
    }

    /// A message as by [`mail`](Self::mail), from any address.
    pub async fn mail_from(&self, from: String, portal: &str, number: usize) -> RequestId {
        let text = "It is on fire.\r\n";
        self.mail_with_text(from, portal, number, text).await
    }

    pub async fn mail_with_text(
        &self,
        from: String,
        portal: &str,
        number: usize,
        text: &str,
    ) -> RequestId {
        let raw = format!(
            "From: {from}\r\nTo: {portal}-help@corp.example\r\n\
             Message-ID: <{number}.{portal}@shop.example>\r\n\
             Subject: Request {number}\r\n\r\n{text}"
        );
        let config = self.config.borrow().clone();
        let arrival = arrival(&config, &from, portal, &raw, Timestamp::now());
        let entries = self.store.accept(arrival).await.expect("accepted");
        entries[0].request.expect("released")
    }

    pub async fn in_state(&self, portal: &str, state: RequestState) -> Vec<RequestId> {
        let filter = RequestFilter {
            state: Some(state),
            portal: Some(PortalName::parse(portal).expect("a name")),
            page: Page::first(100_000),
            ..RequestFilter::default()
        };
        let listed = self.store.requests(filter).await.expect("a list");
        listed.rows.into_iter().map(|request| request.id).collect()
    }

    /// Counts the requests, which is faster than listing them.
    pub async fn count(&self, portal: &str, state: RequestState) -> usize {
        let counts = self.store.counts(Timestamp::now()).await.expect("counts");
        let here = counts
            .requests
            .iter()
            .filter(|count| count.portal.as_str() == portal && count.state == state);
        let count: u64 = here.map(|count| count.requests).sum();
        usize::try_from(count).expect("few")
    }

    pub fn messages(&self, maildir: &str) -> Vec<PathBuf> {
        std::fs::read_dir(self.folder.path().join(maildir).join("new"))
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("an entry").path())
            .collect()
    }
}

impl Workers {
    /// Drains as SIGTERM does.
    pub async fn drain(self) {
        self.stop.cancel();
        self.running.await.expect("no panic");
    }
}

fn configuration(folder: &TempDir, maildir: &str, shop: &str) -> Config {
    Config::parse(&text(maildir, shop), &folder.path().join("vestibule.toml"))
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

pub fn text(maildir: &str, shop: &str) -> String {
    format!(
        r#"
        hostname = "gate.corp.example"
        data_dir = "."
        [[portal]]
        name = "it"
        addresses = ["it-help@corp.example"]
        destination = "it"
        [[portal]]
        name = "shop"
        addresses = ["shop-help@corp.example"]
        destination = "shop"
        [destination.it]
        type = "maildir"
        path = "{maildir}"
        [destination.shop]
        {shop}
        [verification]
        from = "IT Help <no-reply@corp.example>"
        [outgoing]
        type = "file"
        dir = "outgoing"
        "#
    )
}

/// Waits for a condition, with a time limit.
pub async fn until(what: &str, is_so: impl AsyncFnMut() -> bool) {
    until_within(DEADLINE, what, is_so).await;
}

pub async fn until_within(timeout: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + timeout;
    let mut pause = Duration::from_millis(2);
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}: not within {timeout:?}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Runs all futures concurrently; returns the results in order.
pub async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for (future, result) in &mut waiting {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *result = Some(value),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    let results = waiting.into_iter().map(|(_, result)| result);
    results.map(|result| result.expect("done")).collect()
}
