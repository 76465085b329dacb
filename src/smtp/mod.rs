//! Bytes from an MTA in, an [`Envelope`](crate::domain::Envelope) and a raw message out.
//!
//! tokio owns the sockets, mailin the order of commands; this module knows the protocol and no
//! policy: what an address means and what becomes of a message is the [`MessageHandler`]'s affair.
//! What always holds:
//!
//! - `250` is written after DATA only when the reception says that the message is on disk.
//! - Only CRLF ends a line, only `CRLF . CRLF` a message. A bare LF ends the connection.
//! - What a peer can make us remember is bounded by [`Settings`], whatever it sends.
//!
//! ```text
//! listener ─► session ─► connection   bounded lines, timeouts
//!                    ├─► dialogue     a line in, a reply out; no I/O
//!                    └─► data, budget the body, and the memory it may take; rate, how fast it comes
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
pub use listener::serve;
pub use settings::{Settings, Tls};
