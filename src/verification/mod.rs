//! Proving that a person controls an address: the letter with the link, the worker that sends it,
//! and what the pages and the reply do with a token that comes back.
//!
//! What always holds: nothing that a sender wrote is in a letter, except for a Message-ID that was
//! checked character by character; a token is in the letter and in the person's browser, and
//! nowhere else.

pub mod confirm;
mod letter;
pub mod mailer;
mod message_id;
pub mod notices;
mod post;
mod reply;
mod schedule;
#[cfg(test)]
pub(crate) mod tests;

pub use letter::{LetterError, Mail, MailTokens, compose};
pub use post::{Post, PostError};
pub use reply::ConfirmingWords;
