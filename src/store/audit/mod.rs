//! The audit: events, and the list of operators' actions. Recording an event also writes the hook calls about it.

pub(super) mod events;
pub(super) mod operator_actions;
