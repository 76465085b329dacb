//! In: queues of outgoing messages and calls. Out: [`AttemptOutcome`]s, each settled in its queue.
//!
//! A [`worker`] claims from one queue, makes attempts and settles them. Every attempt has an outcome, from which
//! [`retry`] derives the next step; a [`breaker`] protects a destination that is down. The clients of SMTP and HTTP
//! are here too. Nothing here knows what is sent.

pub mod access_token;
mod attempt;
pub mod body_stream;
pub mod breaker;
pub mod fetch;
pub mod http;
pub mod pool;
pub mod preflight;
mod private_network;
pub mod process_group;
pub mod queue;
pub mod retry;
mod run;
pub mod smtp;
pub mod tcp;
pub mod tls;
pub mod webhook_signature;
pub mod worker;
mod worker_generations;

pub use attempt::{AttemptOutcome, Cause, Scope};
pub use worker_generations::Generations;
