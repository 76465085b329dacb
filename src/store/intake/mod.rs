//! Intake: the acceptance of a message and what follows from it.

pub(super) mod accept;
pub(super) mod arrival;
mod decide_part;
pub(super) mod decision_effects;
pub(super) mod own_addresses;
mod prepared;
