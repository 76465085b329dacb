//! The ledger: lists, counts, dropped messages and simulations over it.

pub(super) mod backlog_history;
pub(super) mod counts;
pub(super) mod dropped_domains;
pub(super) mod dropped_entry;
pub(super) mod entries;
pub(super) mod find;
pub(super) mod lists;
pub(super) mod recover_dropped;
pub(super) mod release_dropped;
pub(super) mod request_lists;
pub(super) mod search_index;
mod search_words;
pub(super) mod simulate;
