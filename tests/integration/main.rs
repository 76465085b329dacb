//! Tests that start no program but Vestibule: the library through its public face, and the real binary as
//! operators, senders and help desks use it.

mod access_rules;
mod bad_configs;
mod cli;
mod config;
mod daemon;
mod database;
mod delivery;
mod dependencies;
mod docs;
mod mail;
mod sender_auth;
mod smtp;
mod store;
mod store_files;
mod structure;
#[path = "../support/mod.rs"]
mod support;
