//! Intake: the acceptance of a message and what follows from it.

pub(super) mod accept;
pub(super) mod effects;
pub(super) mod for_us;
pub(super) mod prepared;
