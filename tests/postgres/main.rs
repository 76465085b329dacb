//! The store on PostgreSQL. Each test program starts a server of its own (`support/postgres.rs`).

mod balancer;
mod commits;
mod database;
mod demo;
mod differing_nodes;
mod duties;
mod failover;
mod held_transaction;
mod leases;
mod listed_nodes;
mod logins;
mod migrations;
mod nodes;
mod outages;
mod patroni;
mod pooler;
mod proxy;
mod recovery;
mod round_trips;
mod schema;
mod search;
mod sessions;
mod startup;
mod stopped_writer;
#[path = "../integration/store/mod.rs"]
mod store;
mod store_harness;
#[path = "../support/mod.rs"]
mod support;
mod transfer;
mod upgrades;
