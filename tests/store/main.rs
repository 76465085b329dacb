//! The store on real files with real syncs.

mod claims;
mod clock;
mod dropped;
mod expected;
mod fairness;
mod forget;
mod house;
mod housekeeping;
mod intake;
mod letters;
mod model;
mod operators;
mod proofs;
mod settings;
mod what_if;
