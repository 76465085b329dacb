//! Upkeep: work that is due by time, checks of the whole database, and copies of it.

pub(super) mod backup;
pub(super) mod canary;
pub(super) mod clock_repair;
pub(super) mod copy_rows;
pub(super) mod digest;
pub(super) mod examine;
pub(super) mod expired_content;
pub(super) mod holds;
pub(super) mod invariants;
pub(super) mod latest_times;
pub(super) mod pending_accounts;
pub(super) mod retention;
pub(super) mod transfer;
