//! Hooks: their subscriptions, the calls owed to them, and the claims of workers on those calls.

pub(super) mod calls;
pub(super) mod calls_about_accounts;
pub(super) mod calls_without_account;
pub(super) mod failed_calls;
pub(super) mod subscriptions;
