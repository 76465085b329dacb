//! The canary: a message of our own that passes the whole pipeline at an interval: in through the SMTP listener,
//! into the database, through the rules, and out by a worker to a private folder. The time that it takes is
//! measured. If it does not arrive, that reveals a fault that might have gone unnoticed.
//!
//! It reaches no help desk and stays in no ledger. It does not test the outgoing server or a help desk:
//! `check` and the deliveries themselves do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lettre::address::Envelope;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Canary, Config};
use crate::domain::{LedgerId, RequestId, RequestState, Timestamp, canary};
use crate::observe::events;
use crate::observe::metrics::{self, ProcessingStep};
use crate::store::{Duty, Store};

/// Interval at which the request of a canary is polled.
const LOOK: Duration = Duration::from_millis(50);

/// Sends one canary after the other until `shutdown`, and reports to `report` whether each arrived.
pub async fn run(
    mut config: watch::Receiver<Arc<Config>>,
    store: Store,
    smtp: SocketAddr,
    report: impl Fn(Option<bool>),
    shutdown: CancellationToken,
) {
    let sending = async {
        // An earlier process may have been killed with a canary in flight. One of another node may be in flight
        // now.
        let interval = config
            .borrow()
            .canary
            .as_ref()
            .map(|canary| canary.interval);
        let duty = store.hold_duty(Duty::Canary, interval.unwrap_or_default(), Timestamp::now());
        if duty.await.unwrap_or(false)
            && let Err(error) = store.delete_canaries().await
        {
            events::fault("canary", &error);
        }
        let mut well = None;
        loop {
            let now = Arc::clone(&config.borrow_and_update());
            let Some(canary) = &now.canary else {
                report(None);
                well = None;
                if config.changed().await.is_err() {
                    return std::future::pending().await;
                }
                continue;
            };
            let duty = store.hold_duty(Duty::Canary, canary.interval, Timestamp::now());
            if duty.await.unwrap_or(true) {
                let arrived = send_and_wait(canary, &now, &store, smtp).await;
                well = Some(record_arrival(&arrived, well));
            } else {
                // Another node has the duty.
                well = None;
            }
            report(well);
            tokio::select! {
                () = tokio::time::sleep(canary.interval) => {}
                _ = config.changed() => {}
            }
        }
    };
    shutdown.run_until_cancelled(sending).await;
}

/// Records the metrics, and emits an event if the result changed.
fn record_arrival(arrived: &Result<Duration, String>, before: Option<bool>) -> bool {
    match arrived {
        Ok(took) => {
            metrics::took(ProcessingStep::Canary, *took);
            if before == Some(false) {
                events::canary_recovered();
            }
        }
        Err(cause) => events::canary_failed(cause),
    }
    metrics::canary(arrived.is_ok());
    arrived.is_ok()
}

/// Sends one canary, from the greeting to its delivery. Returns its duration, or its failure.
async fn send_and_wait(
    canary: &Canary,
    config: &Config,
    store: &Store,
    smtp: SocketAddr,
) -> Result<Duration, String> {
    // Removes a canary that arrived after the last poll.
    tidy(store, &canary.folder).await?;
    let begin = Instant::now();
    let way = async {
        let request = send(config, smtp).await?;
        arrival(store, request).await
    };
    let arrived = tokio::time::timeout(canary.timeout, way).await;
    let took = begin.elapsed();
    let tidied = tidy(store, &canary.folder).await;
    match arrived {
        Ok(Ok(())) => tidied.map(|()| took),
        Ok(Err(cause)) => Err(cause),
        Err(_) => Err(format!(
            "it did not arrive within {} s",
            canary.timeout.as_secs()
        )),
    }
}

/// Sends the canary to our own listener, as an MTA would.
async fn send(config: &Config, smtp: SocketAddr) -> Result<RequestId, String> {
    let (from, to) = (canary::sender(), canary::address());
    let said = |error: &dyn std::fmt::Display| format!("our own listener, {smtp}: {error}");
    // The certificate is for our public name.
    let tls = TlsParameters::builder(config.hostname.to_string())
        .dangerous_accept_invalid_certs(true)
        .dangerous_accept_invalid_hostnames(true)
        .build()
        .map_err(|error| said(&error))?;
    let transport =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(reachable(smtp.ip()).to_string())
            .port(smtp.port())
            .tls(Tls::Opportunistic(tls))
            .hello_name(ClientId::Domain(canary::DOMAIN.to_owned()))
            .pool_config(PoolConfig::new().min_idle(0).max_size(1))
            .build();
    let address = |text: String| text.parse::<Address>().map_err(|error| said(&error));
    let envelope = Envelope::new(
        Some(address(from.to_string())?),
        vec![address(to.to_string())?],
    )
    .map_err(|error| said(&error))?;
    let message = format!(
        "From: {from}\r\nTo: {to}\r\nSubject: Canary\r\nDate: {}\r\nMessage-ID: <{from}>\r\n\r\n\
         A test of the whole way.\r\n",
        Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000")
    );
    let reply = transport
        .send_raw(&envelope, message.as_bytes())
        .await
        .map_err(|error| said(&error))?;
    reply
        .message()
        .last()
        .and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .ok_or_else(|| said(&"its answer names no request"))
}

/// An address at which a listener on the unspecified address can be reached.
fn reachable(listening: IpAddr) -> IpAddr {
    match listening {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Waits for the delivery of the canary.
async fn arrival(store: &Store, id: RequestId) -> Result<(), String> {
    loop {
        let request = store.request(id).await.map_err(|error| error.to_string())?;
        match request.map(|request| (request.state, request.last_error)) {
            Some((RequestState::Delivered, _)) => return Ok(()),
            Some((RequestState::Released, None)) => {}
            Some((_, Some(cause))) => return Err(format!("it was not delivered: {cause}")),
            Some((state, None)) => {
                return Err(format!(
                    "its request is {state}; see vestibule explain {id}"
                ));
            }
            None => {
                let entry = store
                    .ledger_entry(LedgerId::from_bytes(id.to_bytes()))
                    .await;
                let reason = entry.ok().flatten().map(|entry| entry.reason);
                return Err(match reason {
                    Some(reason) => format!("it was dropped: {reason}"),
                    None => "it is not in the ledger".to_owned(),
                });
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Removes all traces of the canary, whichever step it reached.
async fn tidy(store: &Store, folder: &Path) -> Result<(), String> {
    store
        .delete_canaries()
        .await
        .map_err(|error| error.to_string())?;
    let folder = folder.join("new");
    tokio::task::spawn_blocking(move || {
        for arrived in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(arrived.path());
        }
    })
    .await
    .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_by_loopback() {
        for (listening, expected) in [
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let listening = listening.parse().expect("an address");
            assert_eq!(reachable(listening).to_string(), expected);
        }
    }
}
