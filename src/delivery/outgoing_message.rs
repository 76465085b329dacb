//! In: a claim and its content. Out: the data of one request that every type of destination needs.

use std::time::Duration;

use super::{DeliveredMessage, added_headers};
use crate::domain::{Domain, Timestamp, join, later};
use crate::store::{Claim, MessageContent, Store, StoreError};

/// Lifetime of a link to a message, from the attempt that sends the link.
const LINK_TTL: Duration = Duration::from_hours(7 * 24);

/// Builds links to messages on the public pages.
#[derive(Debug, Clone)]
pub struct Links {
    pub store: Store,
    /// `http.public_url`.
    pub public_url: String,
}

/// One released request with its message, ready for delivery.
#[derive(Debug)]
pub struct OutgoingMessage {
    claim: Claim,
    message: DeliveredMessage,
    /// `None` if there are no public pages.
    links: Option<Links>,
}

impl OutgoingMessage {
    /// Adds our fields and removes those of the same names. `content` comes with its beginning already read.
    ///
    /// # Errors
    /// The content cannot be read.
    pub async fn open(
        claim: Claim,
        (content, start): (MessageContent, Vec<u8>),
        links: &Links,
        hostname: &Domain,
    ) -> Result<Self, StoreError> {
        let fields = added_headers::fields(&claim, hostname);
        let message = DeliveredMessage::open(fields, start, content, hostname).await?;
        Ok(Self {
            claim,
            message,
            links: Some(links.clone()),
        })
    }

    #[cfg(test)]
    pub(super) fn in_memory(claim: Claim, raw: Vec<u8>, hostname: &Domain) -> Self {
        let message =
            DeliveredMessage::in_memory(added_headers::fields(&claim, hostname), raw, hostname);
        Self {
            claim,
            message,
            links: None,
        }
    }

    #[cfg(test)]
    pub(super) fn panicking(claim: Claim) -> Self {
        Self {
            claim,
            message: DeliveredMessage::panicking(),
            links: None,
        }
    }

    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    pub fn message(&self) -> &DeliveredMessage {
        &self.message
    }

    /// A link to the original message, valid for a week from `now`.
    ///
    /// # Errors
    /// The key that signs links can be neither read nor created.
    pub async fn raw_url(&self, now: Timestamp) -> Result<Option<String>, StoreError> {
        let Some(links) = &self.links else {
            return Ok(None);
        };
        let key = links.store.link_key().await?;
        let expires_at = later(now, LINK_TTL);
        let token = key.sign(self.claim.ledger, expires_at);
        Ok(Some(format!("{}/message/{token}", links.public_url)))
    }

    /// The groups of the account, separated by commas, which none of them contains.
    pub fn groups(&self) -> String {
        let groups = self.claim.groups.iter();
        let escaped = groups.map(|group| added_headers::escape_group(group));
        join(escaped, ",")
    }
}
