//! Attempts against real sockets, folders and processes, with their faults as data in `testdata/faults`.

mod command;
mod fault_server;
mod giving_up;
mod maildir;
mod smtp;
mod timeouts;
mod webhook;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::sync::Arc;

use serde::Deserialize;

use super::OutgoingMessage;
use crate::domain::Domain;
use crate::outbound::{AttemptOutcome, Cause, Scope};
use crate::store::Claim;

const RAW: &[u8] = b"From: Ann <ann@corp.example>\r\n\
    Subject: Printer on fire\r\n\
    X-Vestibule-Account: forged\r\n\
    \r\n\
    .\r\n\
    ..two\r\n\
    caf\xe9\r\n\
    \r\n";

fn hostname() -> Domain {
    Domain::parse("gate.corp.example").expect("a domain")
}

fn outgoing() -> Arc<OutgoingMessage> {
    Arc::new(OutgoingMessage::in_memory(
        Claim::for_testing(),
        RAW.to_vec(),
        &hostname(),
    ))
}

/// The complete message that a destination should get.
async fn whole(outgoing: &OutgoingMessage) -> Vec<u8> {
    outgoing.message().to_vec().await.expect("in memory")
}

/// The outcome of an attempt during which the peer hangs. Once `hangs` completes, only timeouts are pending, so the
/// paused clock advances by itself.
async fn leave_hanging(
    attempt: impl Future<Output = AttemptOutcome>,
    hangs: impl Future,
) -> AttemptOutcome {
    let mut attempt = pin!(attempt);
    tokio::select! {
        early = &mut attempt => return early,
        _ = hangs => {}
    }
    tokio::time::pause();
    let attempt = attempt.await;
    tokio::time::resume();
    attempt
}

/// A port without a listener, below the range of ephemeral ports.
const NOBODY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1));

/// A file of `testdata/faults`.
#[derive(Debug, Deserialize)]
struct Table<Case> {
    case: Vec<Case>,
}

/// Expected outcome of a case in `testdata/faults`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Delivered,
    Retry,
    Refused,
}

#[derive(Debug, Deserialize)]
struct Expected {
    outcome: Outcome,
    scope: Option<String>,
    says: Option<String>,
}

impl Expected {
    /// Describes the first difference of an attempt.
    fn differs_from(&self, attempt: &AttemptOutcome) -> Option<String> {
        let cause = match (&self.outcome, attempt) {
            (Outcome::Delivered, AttemptOutcome::Delivered) => return None,
            (Outcome::Retry, AttemptOutcome::Retry(cause))
            | (Outcome::Refused, AttemptOutcome::Refused(cause)) => cause,
            _ => return Some(format!("{attempt:?}")),
        };
        let says = self.says.as_deref().unwrap_or_default();
        (self.scope.as_deref() != Some(word(cause)) || !cause.text.contains(says))
            .then(|| format!("{cause:?}"))
    }
}

fn word(cause: &Cause) -> &'static str {
    match cause.scope {
        Scope::Request => "request",
        Scope::Destination => "destination",
        Scope::Recipient => "recipient",
        Scope::Internal => "internal",
    }
}
