//! Requests: their states, their content and their way to a destination.

pub(super) mod actions;
pub(super) mod content;
pub(super) mod decided_message;
pub(super) mod delivery_claims;
pub(super) mod delivery_queue;
pub(super) mod destinations;
pub(super) mod hold_quota;
pub(super) mod message_link_key;
mod other_copy;
pub(super) mod refused_messages;
pub(super) mod request;
pub(super) mod transitions;
