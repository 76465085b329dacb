//! Proving that a person controls an address: the letter with the link, the worker that sends it,
//! and what the pages and the reply do with a token that comes back.
//!
//! What always holds: nothing that a sender wrote is in a letter, except for a Message-ID that was
//! checked character by character; a token is in the letter and in the person's browser, and
//! nowhere else.

mod compose;
pub mod confirm;
pub mod mailer;
mod message_id;
pub mod notices;
mod reply;
mod schedule;
#[cfg(test)]
pub(crate) mod tests;
mod transport;

pub use compose::{ComposeError, Mail, MailTokens, compose};
pub use reply::ConfirmingWords;
pub use transport::{MailTransport, TransportError};
