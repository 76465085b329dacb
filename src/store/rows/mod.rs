//! Rows that several groups of operations read and write: accounts, and entries with their keys and content.

pub(super) mod account_rows;
pub(super) mod dropped_content;
pub(super) mod duplicates;
pub(super) mod entry_ids;
pub(super) mod expired_accounts;
pub(super) mod keys;
pub(super) mod orphaned_content;
pub(super) mod reason_codes;
pub(super) mod shown_facts;
