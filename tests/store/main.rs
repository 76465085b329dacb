//! The store on real files with real syncs.

mod blocked;
mod claims;
mod clock_repair;
mod copies;
mod denied;
mod dropped;
mod expected;
mod fairness;
mod forget;
mod harness;
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
mod taken_back;
mod unverified;
mod verification_mail;
mod what_if;
