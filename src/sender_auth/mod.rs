//! Our own sender authentication: checks whether the sender's domain vouches for a message.
//!
//! Takes a raw message, its envelope and the domain in From. Returns an
//! [`Authentication`](crate::mail::Authentication) with the results of DKIM (RFC 6376), SPF (RFC 7208), DMARC
//! (RFC 9989) and ARC (RFC 8617), and each finding behind them. The check never fails: a DNS failure gives
//! `temperror`, which does not count as a DMARC failure.
//!
//! No other module queries DNS about a message. [`crate::mail`] parses the results of a trusted MTA.

mod additions;
mod alignment;
mod arc;
mod arc_fields;
mod checker;
mod client;
mod dkim;
mod dmarc;
mod key_limits;
mod message;
mod outage;
mod own_results;
mod policy_records;
mod raw_fields;
mod reason;
mod resolver;
mod signed_body;
mod spf;

pub use arc::VouchedAuthor;
pub use checker::{Checker, CheckerError};
pub use client::outside_client;
pub use own_results::{claims_to_be_ours, field};
