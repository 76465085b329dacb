//! A claim and its content in; out, what every kind of destination needs of one request.

use super::{Message, trace};
use crate::domain::Domain;
use crate::store::Claim;

/// One released request with its message, ready to be handed over.
#[derive(Debug)]
pub struct Parcel {
    claim: Claim,
    message: Message,
}

impl Parcel {
    /// Adds the fields and takes off those that came from outside.
    pub fn new(claim: Claim, raw: Vec<u8>, hostname: &Domain) -> Self {
        let message = Message::new(trace::fields(&claim, hostname), raw, hostname);
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
}
