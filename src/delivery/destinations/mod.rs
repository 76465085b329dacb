//! In: a configured destination. Out: a client that delivers messages to it.

pub(super) mod command;
pub(super) mod maildir;
pub(super) mod smtp;
pub(super) mod webhook;
mod webhook_json;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::OutgoingMessage;
use crate::config;
use crate::domain::Domain;
use crate::outbound::{AttemptOutcome, Cause};
use command::CommandRunner;
use maildir::Maildir;
use smtp::{SmtpClient, Timeouts};
use webhook::Webhook;

/// Time that an attempt may take beyond the configured timeout.
const MARGIN: Duration = Duration::from_secs(10);

/// A destination, with resources that it keeps between attempts, such as connections.
pub struct DestinationClient {
    protocol: Protocol,
    concurrency: usize,
    timeout: Duration,
}

enum Protocol {
    /// Takes many messages in one attempt.
    Maildir(Maildir),
    /// Takes one message after the other.
    Single(SingleProtocol),
}

enum SingleProtocol {
    Smtp(Box<SmtpClient>),
    Webhook(Box<Webhook>),
    Command(CommandRunner),
}

impl SingleProtocol {
    async fn attempt(&self, outgoing: &Arc<OutgoingMessage>) -> AttemptOutcome {
        match self {
            Self::Smtp(smtp) => smtp.attempt(outgoing).await,
            Self::Webhook(webhook) => webhook.attempt(outgoing).await,
            Self::Command(command) => command.attempt(outgoing).await,
        }
    }
}

impl DestinationClient {
    pub fn new(config: &config::Destination, hostname: &Domain) -> Self {
        let (protocol, concurrency, timeout) = match config {
            config::Destination::Smtp(smtp) => (
                Protocol::Single(SingleProtocol::Smtp(Box::new(SmtpClient::new(
                    smtp,
                    hostname,
                    Timeouts::DEFAULT,
                )))),
                smtp.concurrency,
                Timeouts::DEFAULT.message + MARGIN,
            ),
            config::Destination::Maildir(maildir) => (
                Protocol::Maildir(Maildir::new(maildir, hostname)),
                maildir::CONCURRENCY,
                Duration::from_mins(5),
            ),
            config::Destination::Webhook(webhook) => (
                Protocol::Single(SingleProtocol::Webhook(Box::new(Webhook::new(webhook)))),
                webhook.concurrency,
                webhook.endpoint.timeout + MARGIN,
            ),
            config::Destination::Command(command) => (
                Protocol::Single(SingleProtocol::Command(CommandRunner::new(command))),
                command.concurrency,
                command.timeout + MARGIN,
            ),
        };
        Self {
            protocol,
            concurrency: concurrency.max(1),
            timeout,
        }
    }

    /// Maximum number of concurrent attempts.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Longest duration of an attempt.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// True if an attempt with many messages costs little more than an attempt with one.
    pub fn takes_together(&self) -> bool {
        matches!(self.protocol, Protocol::Maildir(_))
    }

    /// Delivers messages in order until the deadline, with one outcome for each. The outcome is `None` for a
    /// message that was not attempted, because an earlier one has to be retried or because `stop` was cancelled.
    /// Dropping the future cancels the attempt at any point.
    pub async fn attempt(
        &self,
        messages: Vec<Arc<OutgoingMessage>>,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> Vec<Option<AttemptOutcome>> {
        let protocol = match &self.protocol {
            Protocol::Maildir(maildir) => return maildir.attempt(messages, deadline, stop).await,
            Protocol::Single(protocol) => protocol,
        };
        let mut attempts = vec![None; messages.len()];
        for (outgoing, outcome) in messages.iter().zip(&mut attempts) {
            let attempt = timeout_at(deadline, protocol.attempt(outgoing)).await;
            let attempt = attempt.unwrap_or_else(|_| self.time_out());
            let is_retried = matches!(attempt, AttemptOutcome::Retry(_));
            *outcome = Some(attempt);
            if is_retried {
                break;
            }
        }
        attempts
    }

    /// The outcome of an attempt that exceeded the timeout.
    pub fn time_out(&self) -> AttemptOutcome {
        let text = format!("not finished within {} s", self.timeout.as_secs());
        AttemptOutcome::Retry(Cause::of_destination(&text))
    }

    /// Called when there is nothing to deliver: closes idle connections.
    pub async fn close_idle(&self) {
        if let Protocol::Single(SingleProtocol::Smtp(smtp)) = &self.protocol {
            smtp.close_idle().await;
        }
    }
}
