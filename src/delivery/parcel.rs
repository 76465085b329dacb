//! A claim and its content in; out, what every kind of destination needs of one request.

use super::message::PIECE;
use super::{Message, trace};
use crate::domain::Domain;
use crate::store::{Claim, Store, StoreError};

/// One released request with its message, ready to be handed over.
#[derive(Debug)]
pub struct Parcel {
    claim: Claim,
    message: Message,
}

impl Parcel {
    /// Adds the fields and takes off those that came from outside. None where the content is not
    /// kept any more.
    ///
    /// # Errors
    /// The content cannot be read.
    pub async fn open(
        claim: Claim,
        store: &Store,
        hostname: &Domain,
    ) -> Result<Option<Self>, StoreError> {
        let Some((content, start)) = store.content(claim.ledger, PIECE).await? else {
            return Ok(None);
        };
        let fields = trace::fields(&claim, hostname);
        let message = Message::open(fields, start, content, hostname).await?;
        Ok(Some(Self { claim, message }))
    }

    #[cfg(test)]
    pub(super) fn in_memory(claim: Claim, raw: Vec<u8>, hostname: &Domain) -> Self {
        let message = Message::in_memory(trace::fields(&claim, hostname), raw, hostname);
        Self { claim, message }
    }

    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    pub fn message(&self) -> &Message {
        &self.message
    }

    /// How and when the address was proved, or `no`.
    pub fn verified(&self) -> String {
        trace::verified(&self.claim)
    }

    /// What DMARC says of this message: `pass`, `fail`, `none` or `temperror`.
    pub fn authenticated(&self) -> &'static str {
        trace::authenticated(&self.claim)
    }
}
