//! Privacy: export and erasure of what is stored about a person, and expiry of content.

pub(super) mod erase;
pub(super) mod export;
pub(super) mod forget_content;
pub(super) mod pseudonym;
