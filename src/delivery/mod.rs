//! In: released requests. Out: attempts to deliver them to the help desk, and to notify hooks.
//!
//! A request arrives as a [`Claim`](crate::store::Claim), which only the store creates, and only for a released
//! request. It is delivered at least once, under one stable id: the original bytes, preceded by fields that tell
//! who sent them. Workers of [`outbound`](crate::outbound) make the attempts, so that a destination that is down
//! does not delay others.

mod added_headers;
mod destinations;
pub mod dropped_calls;
mod hook_queue;
mod hook_subscriptions;
mod message;
mod original;
mod outgoing_message;
mod request_queue;
mod stripped_headers;
mod supervisor;
#[cfg(test)]
mod tests;

pub use destinations::DestinationClient;
pub use message::DeliveredMessage;
pub use original::OriginalMessage;
pub use outgoing_message::OutgoingMessage;
pub use supervisor::run;
