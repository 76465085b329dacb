//! A destination as configured in; out, one that parcels can be handed to.

use std::sync::Arc;

use super::maildir::{self, Maildir};
use super::smtp::{Patience, Smtp};
use super::{Attempt, Parcel};
use crate::config;
use crate::domain::Domain;

/// Where parcels go, with what it keeps between attempts, such as connections.
pub struct Destination(Way);

enum Way {
    Smtp(Smtp, usize),
    Maildir(Maildir),
}

impl Destination {
    pub fn new(config: &config::Destination, hostname: &Domain) -> Self {
        Self(match config {
            config::Destination::Smtp(smtp) => Way::Smtp(
                Smtp::new(smtp, hostname, Patience::DEFAULT),
                smtp.concurrency,
            ),
            config::Destination::Maildir(maildir) => Way::Maildir(Maildir::new(maildir, hostname)),
            _ => unimplemented!(),
        })
    }

    /// How many parcels may be on their way at a time.
    pub fn concurrency(&self) -> usize {
        match &self.0 {
            Way::Smtp(_, concurrency) => *concurrency,
            Way::Maildir(_) => maildir::CONCURRENCY,
        }
    }

    /// Hands one parcel over. Dropping the future gives the attempt up, wherever it is.
    pub async fn attempt(&self, parcel: &Arc<Parcel>) -> Attempt {
        match &self.0 {
            Way::Smtp(smtp, _) => smtp.attempt(parcel).await,
            Way::Maildir(maildir) => maildir.attempt(Arc::clone(parcel)).await,
        }
    }
}
