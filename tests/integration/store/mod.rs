//! The store on real databases: files of SQLite here, and PostgreSQL where `tests/postgres` includes this.

mod blocked;
mod claims;
mod clock_repair;
mod copies;
mod damaged;
mod denied;
mod dropped;
mod expected;
mod fairness;
pub mod forget;
pub mod harness;
mod hold_quota;
mod holders;
mod housekeeping;
mod intake;
mod mail_claims;
mod max_content;
mod model;
mod notices;
mod numbers;
mod operators;
mod proofs;
mod settings;
mod simulate;
mod taken_back;
mod unverified;
mod verification_mail;
