//! Vestibule, the front door of a help desk's mailbox.
//!
//! # The journey of a message
//!
//! 1. [`smtp`] takes bytes from an MTA and makes an envelope and a raw message of them. RCPT is answered
//!    by [`config`]: an address is a portal's, or it is unknown.
//! 2. [`mail`] reads the raw message into facts: who wrote, whether a program did, whether it is a report.
//!    [`sender_auth`] asks whether the sender's domain vouches for it.
//! 3. [`intake`] hands all of it to the [`store`], which asks [`access`] for the decision *inside* the
//!    transaction that records it, and answers when that is synced. Only then does the MTA see `250`.
//! 4. A **dropped** message is an entry in the ledger with a reason, and its content for a while.
//! 5. A **held** one is a request that waits. [`verification`] owes the sender a letter with a link;
//!    [`web`] shows what waits behind it; the button is a proof, and one operation of the store turns a
//!    proof into an active account and released requests.
//! 6. An **accepted** or released request is claimed by [`delivery`], handed to the portal's
//!    destination, and settled: delivered, tried again later, or failed.
//! 7. [`housekeeping`] does what time does, [`canary`] goes the whole way now and then, [`observe`] tells
//!    what happened, [`daemon`] puts the parts together, and [`cli`] is the operator's hand; what it asks
//!    and does is in [`operations`], which the pages and the API ask too.
//!
//! [`domain`] has the nouns that all of them share.

pub mod access;
pub mod canary;
pub mod cli;
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
pub mod sender_auth;
pub mod smtp;
pub mod store;
pub mod templates;
pub mod verification;
pub mod web;
