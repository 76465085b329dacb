//! Privacy: export and erasure of what is stored about a person.

pub(super) mod erase;
mod erase_entries;
pub(super) mod export;
mod last_step;
mod leftovers;
pub(super) mod pseudonym;
