//! A destination as configured in; out, one that parcels can be handed to.

use std::sync::Arc;
use std::time::Duration;

use super::command::Command;
use super::maildir::{self, Maildir};
use super::smtp::{Smtp, Timeouts};
use super::webhook::Webhook;
use super::{Attempt, OutgoingMessage};
use crate::config;
use crate::domain::Domain;

/// What an attempt may take beyond the time its destination is configured with.
const MARGIN: Duration = Duration::from_secs(10);

/// Where parcels go, with what it keeps between attempts, such as connections.
pub struct Destination {
    way: Way,
    concurrency: usize,
    timeout: Duration,
}

enum Way {
    Smtp(Box<Smtp>),
    Maildir(Maildir),
    Webhook(Box<Webhook>),
    Command(Command),
}

impl Destination {
    pub fn new(config: &config::Destination, hostname: &Domain) -> Self {
        let (way, concurrency, timeout) = match config {
            config::Destination::Smtp(smtp) => (
                Way::Smtp(Box::new(Smtp::new(smtp, hostname, Timeouts::DEFAULT))),
                smtp.concurrency,
                Timeouts::DEFAULT.message + MARGIN,
            ),
            config::Destination::Maildir(maildir) => (
                Way::Maildir(Maildir::new(maildir, hostname)),
                maildir::CONCURRENCY,
                Duration::from_mins(5),
            ),
            config::Destination::Webhook(webhook) => (
                Way::Webhook(Box::new(Webhook::new(webhook))),
                webhook.concurrency,
                webhook.endpoint.timeout + MARGIN,
            ),
            config::Destination::Command(command) => (
                Way::Command(Command::new(command)),
                command.concurrency,
                command.timeout + MARGIN,
            ),
        };
        Self {
            way,
            concurrency: concurrency.max(1),
            timeout,
        }
    }

    /// How many parcels may be on their way at a time.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The longest that an attempt may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Hands one parcel over. Dropping the future gives the attempt up, wherever it is.
    pub async fn attempt(&self, outgoing: &Arc<OutgoingMessage>) -> Attempt {
        match &self.way {
            Way::Smtp(smtp) => smtp.attempt(outgoing).await,
            Way::Maildir(maildir) => maildir.attempt(Arc::clone(outgoing)).await,
            Way::Webhook(webhook) => webhook.attempt(outgoing).await,
            Way::Command(command) => command.attempt(outgoing).await,
        }
    }

    /// There is nothing to hand over at present: gives back what others may want.
    pub async fn close_idle(&self) {
        if let Way::Smtp(smtp) = &self.way {
            smtp.close_idle().await;
        }
    }
}
