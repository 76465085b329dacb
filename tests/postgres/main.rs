//! The store on PostgreSQL. Each program of tests starts a server of its own (`support/postgres.rs`).

mod schema;
#[path = "../support/mod.rs"]
mod support;
