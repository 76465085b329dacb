//! The time from the start until the store is open: a migration can take long, and the database server may come up
//! after this machine.
//!
//! In: a configuration and the sockets. Out: the open store, or the error for which waiting does not help. At first
//! no connection is accepted: clients wait in the backlog of the sockets, as they do while one process replaces
//! another. After that, SMTP answers `421`, so that an MTA tries another node or queues the mail; `/healthz`
//! answers 200, and every other path 503. After a failed start, clients on systemd's sockets get the same answers.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::listeners::share;
use super::{InheritedSockets, Listeners, Signals, Stage, systemd};
use crate::config::Config;
use crate::domain::Timestamp;
use crate::observe::events;
use crate::store::{Location, Store, StoreError};
use crate::{smtp, web};

/// Time for which connections wait in the backlog of the sockets.
const HOLD: Duration = Duration::from_secs(5);

/// Time for which a failed start answers clients that wait in the backlog of systemd's sockets.
const ANSWERING: Duration = Duration::from_secs(5);

/// Pause between two attempts to reach a server.
const PAUSE: Duration = Duration::from_secs(1);

/// Pause after another transient failure, such as a full disk or a read-only server: each attempt makes others
/// wait.
const LONG_PAUSE: Duration = Duration::from_mins(1);

/// Interval at which an attempt in progress asks systemd for more time. It is longer than it takes to detect an
/// unreachable server: in that case `TimeoutStartSec=` still bounds the start.
const EXTENSION: Duration = Duration::from_secs(20);

/// Opens the store, as soon as it can be opened.
///
/// # Errors
/// The database cannot be opened, and waiting does not help.
pub(super) async fn open(config: &Config, listeners: &Listeners) -> anyhow::Result<Store> {
    let mut opening = std::pin::pin!(try_until_open(config));
    if let Ok(opened) = tokio::time::timeout(HOLD, opening.as_mut()).await {
        return opened;
    }
    let smtp: Vec<_> = listeners.smtp.iter().map(share).collect::<Result<_, _>>()?;
    let pages = vec![share(&listeners.http)?, share(&listeners.admin)?];
    let meanwhile = answer_meanwhile(smtp, pages, &config.http.trusted_proxies);
    let opened = opening.await;
    // Does not wait for slow clients.
    meanwhile.stop.cancel();
    opened
}

/// Answers the clients that wait on systemd's sockets after a failed start, if there are such sockets. systemd
/// keeps them open: an MTA would wait in their backlog until a start succeeds, and each waiting client would start
/// the daemon again at once, until systemd gives up after five starts in ten seconds and closes the sockets. A signal
/// to stop ends it early, so that the caller still reports the cause.
pub async fn answer_waiting_clients(sockets: InheritedSockets, signals: &mut Signals) {
    let InheritedSockets { smtp, http, admin } = sockets;
    let pages: Vec<_> = http.into_iter().chain(admin).collect();
    if smtp.is_empty() && pages.is_empty() {
        return;
    }
    let meanwhile = answer_meanwhile(smtp, pages, &[]);
    // Both the end of the time and a signal to stop end it.
    let _ = tokio::time::timeout(ANSWERING, signals.wait_for_stop()).await;
    meanwhile.stop.cancel();
}

async fn try_until_open(config: &Config) -> anyhow::Result<Store> {
    let location = Location::of(config);
    let mut told = String::new();
    loop {
        let error = match try_once(config, &location).await {
            Ok(store) => return Ok(store),
            Err(error) => error,
        };
        if !(error.passes() && matches!(location, Location::Server(_))) {
            return Err(error.into());
        }
        let cause = error.to_string();
        if cause != told {
            events::fault("daemon.start", &cause);
            systemd::set_status(&format!("Waiting: {cause}"));
            told = cause;
        }
        let is_soon = matches!(error, StoreError::Away(_) | StoreError::Busy(_));
        tokio::time::sleep(if is_soon { PAUSE } else { LONG_PAUSE }).await;
    }
}

/// Opens the store and seeds its first settings, on a thread that does not delay the end of the process.
async fn try_once(config: &Config, location: &Location) -> Result<Store, StoreError> {
    let (tell, mut opened) = oneshot::channel();
    let location = location.clone();
    std::thread::Builder::new()
        .name("opening".to_owned())
        .spawn(move || tell.send(Store::open(location)))
        .map_err(|error| {
            StoreError::Other(format!("cannot start a thread to open the store: {error}"))
        })?;
    let store = loop {
        match tokio::time::timeout(EXTENSION, &mut opened).await {
            Ok(Ok(opened)) => break opened?,
            Ok(Err(_)) => {
                return Err(StoreError::Other(
                    "the thread that opens the store panicked".to_owned(),
                ));
            }
            Err(_) => {
                systemd::extend_start(EXTENSION * 3);
                systemd::set_status(
                    "Opening the store: a migration, or a server that answers slowly",
                );
            }
        }
    };
    let seeded = store
        .seed_access(config.access.clone(), Timestamp::now())
        .await?;
    if seeded {
        events::access_changed(1, "configuration", "configuration");
    }
    Ok(store)
}

/// Answers clients until it is stopped. On duplicates of sockets, the sockets stay open afterwards.
fn answer_meanwhile(smtp: Vec<TcpListener>, pages: Vec<TcpListener>, proxies: &[IpNet]) -> Stage {
    let meanwhile = Stage::default();
    let Stage { stop, tasks } = &meanwhile;
    for listener in smtp {
        tasks.spawn(smtp::reject_all(listener, stop.clone()));
    }
    for listener in pages {
        let proxies = proxies.to_vec();
        let is_proxy = move |peer: IpAddr| proxies.iter().any(|net| net.contains(&peer));
        let served = web::serve(listener, web::starting_router(), is_proxy, stop.clone());
        tasks.spawn(served);
    }
    meanwhile
}
