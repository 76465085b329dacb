//! The engine for several nodes: sessions on a PostgreSQL server, its schema, and the outcome of a commit whose
//! connection breaks.

mod commit_outcome;
mod connection;
pub(super) mod driver;
mod endpoints;
mod error_codes;
mod index_builds;
mod insert_batches;
mod maintenance;
mod migrations;
mod notify;
mod parameters;
mod pipeline;
pub(super) mod preflight;
mod rows;
mod session;
mod statements;
mod stream;
mod tls;
mod transactions;
mod wire;
