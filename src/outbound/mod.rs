//! In: queues of what goes out. Out: [`Attempt`]s, each settled in its queue.
//!
//! A [`worker`] claims from one queue, makes attempts and settles them. Every attempt has one of three
//! outcomes, from which the [`schedule`] derives the next step; a [`breaker`] spares a destination that is
//! down. The clients of SMTP and HTTP are here too. Nothing here knows what is sent.

mod attempt;
pub mod breaker;
pub mod flow;
pub mod http;
pub mod preflight;
pub mod schedule;
pub mod settlement;
pub mod signature;
pub mod smtp;
pub mod tls;
pub mod worker;

pub use attempt::{Attempt, Cause, Scope};
