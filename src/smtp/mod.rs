//! The SMTP server: takes bytes from an MTA, returns an [`Envelope`](crate::domain::Envelope) and a raw
//! message.
//!
//! tokio owns the sockets and mailin the order of commands. This module knows the protocol and no policy:
//! the [`MessageHandler`] decides what an address means and what happens to a message. What always holds:
//!
//! - `250` follows DATA only after the handler reports that the message is on disk.
//! - Only CRLF ends a line, only `CRLF . CRLF` a message. A bare LF ends the connection.
//! - The memory that a peer can occupy is bounded by [`ServerSettings`], whatever it sends.
//!
//! ```text
//! listener ─► session ─► connection   bounded lines, timeouts
//!                    ├─► protocol     a line in, a reply out; no I/O
//!                    └─► data, budget the body and its memory; rate, its transfer rate
//! ```

mod budget;
mod command;
mod connection;
mod connection_slots;
mod data;
mod extensions;
mod handler;
mod listener;
mod path;
mod protocol;
mod rate;
mod reply;
mod session;
mod settings;
pub mod tls;
mod xforward;

pub use handler::{DataOutcome, MessageHandler, TryLater, UnknownRecipient};
pub use listener::{reject_all, serve};
pub use settings::{ServerSettings, Tls};
