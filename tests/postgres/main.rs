//! The store on PostgreSQL. Each program of tests starts a server of its own (`support/postgres.rs`).

mod commits;
mod failover;
mod logins;
mod nodes;
mod pooler;
mod proxy;
mod schema;
mod sessions;
mod stores;
#[path = "../support/mod.rs"]
mod support;
