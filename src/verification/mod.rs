//! Verification that a person controls an address: the mail with the link, the worker that sends it, and the
//! handling of a token that comes back through the page or a reply.
//!
//! Invariants: a verification mail contains nothing that a sender wrote, except for a Message-ID that was
//! checked character by character; a token is in the mail and in the person's browser, and nowhere else.

mod compose;
pub mod confirm;
mod confirming_words;
pub mod digest;
mod header_fields;
mod mail_language;
pub mod mail_queue;
mod mailer;
mod message_id;
mod notices;
#[cfg(test)]
pub(crate) mod tests;
mod transport;

pub use compose::{ComposeError, ComposedMail, MailTokens, compose};
pub use confirming_words::ConfirmingWords;
pub use transport::{MailTransport, TransportError};
