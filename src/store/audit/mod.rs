//! The audit: events, and the calls of hooks that they cause.

pub(super) mod calls_without_account;
pub(super) mod events;
pub(super) mod failed_calls;
pub(super) mod hook_calls;
pub(super) mod hooks;
pub(super) mod operator_actions;
