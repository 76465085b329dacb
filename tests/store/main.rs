//! The store on real files with real syncs.

mod claims;
mod clock;
mod copies;
mod dropped;
mod expected;
mod fairness;
mod forget;
mod hold_quota;
mod house;
mod housekeeping;
mod intake;
mod letters;
mod max_content;
mod model;
mod operators;
mod proofs;
mod settings;
mod what_if;
