//! Operators: their accounts, their sessions and tokens, their stored answers, the access settings that they change,
//! and their retry of hook calls.

pub(super) mod access_settings;
pub(super) mod duties;
pub(super) mod idempotency;
pub(super) mod issued_tokens;
pub(super) mod nodes;
pub(super) mod operator_accounts;
pub(super) mod passwords;
pub(super) mod pending_logins;
pub(super) mod retry_hook_calls;
pub(super) mod second_factor;
pub(super) mod sessions_and_tokens;
pub(super) mod sso_operators;
