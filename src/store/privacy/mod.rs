//! Privacy: export and erasure of what is stored about a person.

pub(super) mod erase;
pub(super) mod export;
mod last_step;
mod leftovers;
pub(super) mod pseudonym;
