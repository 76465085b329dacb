//! Whether the sender's domain vouches for a message, found out by ourselves.
//!
//! In: a raw message, its envelope and the domain in From. Out: an
//! [`Authentication`](crate::mail::Authentication) with the results of DKIM (RFC 6376), SPF
//! (RFC 7208), DMARC (RFC 9989) and ARC (RFC 8617), and each finding behind them. Asking never
//! fails: DNS that does not answer is `temperror`, which nothing is dropped for.
//!
//! Only here is DNS asked. The results of another, believed MTA are read in [`crate::mail`].

mod alignment;
mod arc;
mod checker;
mod client;
mod dkim;
mod dmarc;
mod field;
mod fields;
mod message;
mod outage;
mod reason;
mod resolver;
mod spf;

pub use arc::Author;
pub use checker::{Checker, CheckerError};
pub use client::outside_client;
pub use field::{claims_to_be_ours, field};
