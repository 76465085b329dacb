//! Vestibule, an inbound mail gateway for help desks.
//!
//! # The journey of a message
//!
//! 1. [`smtp`] reads bytes from an MTA and builds an envelope and a raw message. RCPT is answered by
//!    [`config`]: an address belongs to a portal or to Vestibule itself, or it is unknown.
//! 2. [`mail`] parses the raw message into facts: the author, whether it is automatic, whether it is a
//!    bounce. [`sender_auth`] checks whether the sender's domain vouches for it.
//! 3. [`intake`] passes all of it to the [`store`], which asks [`access`] for the decision *inside* the
//!    transaction that records it, and returns when that is synced. Only then does the MTA get `250`.
//! 4. A **dropped** message is an entry in the ledger with a reason; its content is kept for a while.
//! 5. A **held** message is a request. [`verification`] sends a verification mail with a link; [`web`] shows
//!    the held requests under the link; the button verifies the address, and one operation of the store turns
//!    that into an active account and released requests.
//! 6. An **accepted** or released request is claimed by [`delivery`], delivered to the portal's destination,
//!    and settled: delivered, retried later, or failed. [`outbound`] has the workers and the clients.
//! 7. [`housekeeping`] does time-driven work, [`canary`] tests the whole pipeline at an interval, [`observe`]
//!    logs and counts, [`daemon`] assembles the parts, and [`cli`] is the command line; its queries and
//!    actions are in [`operations`], which the pages and the API use, too.
//!
//! [`sso`] signs operators and customers in at the organisation's provider.
//! [`server_trust`] has the TLS of clients, [`clock`] says whether the wall clock can be trusted, [`panics`] turns panics
//! into errors, and [`domain`] has the types that all of them share.

pub mod access;
pub mod canary;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod delivery;
pub mod domain;
pub mod failpoint;
pub mod housekeeping;
pub mod intake;
pub mod mail;
pub mod observe;
pub mod operations;
pub mod outbound;
pub mod panics;
pub mod sender_auth;
pub mod server_trust;
pub mod smtp;
pub mod sso;
pub mod store;
pub mod templates;
pub mod verification;
pub mod web;
