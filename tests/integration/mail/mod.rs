//! Messages and the facts that are read from them.

mod corpora;
mod facts;
mod properties;
mod structure;
