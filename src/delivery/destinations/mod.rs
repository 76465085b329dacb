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
    Smtp(Box<SmtpClient>),
    Maildir(Maildir),
    Webhook(Box<Webhook>),
    Command(CommandRunner),
}

impl DestinationClient {
    pub fn new(config: &config::Destination, hostname: &Domain) -> Self {
        let (protocol, concurrency, timeout) = match config {
            config::Destination::Smtp(smtp) => (
                Protocol::Smtp(Box::new(SmtpClient::new(smtp, hostname, Timeouts::DEFAULT))),
                smtp.concurrency,
                Timeouts::DEFAULT.message + MARGIN,
            ),
            config::Destination::Maildir(maildir) => (
                Protocol::Maildir(Maildir::new(maildir, hostname)),
                maildir::CONCURRENCY,
                Duration::from_mins(5),
            ),
            config::Destination::Webhook(webhook) => (
                Protocol::Webhook(Box::new(Webhook::new(webhook))),
                webhook.concurrency,
                webhook.endpoint.timeout + MARGIN,
            ),
            config::Destination::Command(command) => (
                Protocol::Command(CommandRunner::new(command)),
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
        if let Protocol::Maildir(maildir) = &self.protocol {
            return maildir.attempt(messages, deadline, stop).await;
        }
        let mut attempts = vec![None; messages.len()];
        for (outgoing, outcome) in messages.iter().zip(&mut attempts) {
            let attempt = timeout_at(deadline, self.attempt_one(outgoing)).await;
            let attempt = attempt.unwrap_or_else(|_| self.time_out());
            let is_retried = matches!(attempt, AttemptOutcome::Retry(_));
            *outcome = Some(attempt);
            if is_retried {
                break;
            }
        }
        attempts
    }

    async fn attempt_one(&self, outgoing: &Arc<OutgoingMessage>) -> AttemptOutcome {
        match &self.protocol {
            Protocol::Smtp(smtp) => smtp.attempt(outgoing).await,
            Protocol::Webhook(webhook) => webhook.attempt(outgoing).await,
            Protocol::Command(command) => command.attempt(outgoing).await,
            Protocol::Maildir(_) => {
                AttemptOutcome::Retry(Cause::of_destination("messages go together"))
            }
        }
    }

    /// The outcome of an attempt that exceeded the timeout.
    pub fn time_out(&self) -> AttemptOutcome {
        let text = format!("not finished within {} s", self.timeout.as_secs());
        AttemptOutcome::Retry(Cause::of_destination(&text))
    }

    /// Called when there is nothing to deliver: closes idle connections.
    pub async fn close_idle(&self) {
        if let Protocol::Smtp(smtp) = &self.protocol {
            smtp.close_idle().await;
        }
    }
}
