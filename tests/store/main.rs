//! The store on real files with real syncs.

mod claims;
mod house;
mod intake;
mod letters;
mod proofs;
mod settings;
