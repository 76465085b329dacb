//! The embedded engine: connections and their settings, the schema, checkpoints, and the maintenance of the file.

mod checkpoint;
mod coalesced_writes;
pub(super) mod compact;
pub(super) mod connection;
pub(super) mod driver;
mod entry_counts;
mod file_identity;
mod log_extension;
mod migrations;
pub(super) mod online_backup;
mod page_cache;
mod result_codes;
mod row_numbers;
pub(super) mod session;
#[cfg(test)]
mod tests;
mod vfs;
mod wal_index;

#[cfg(test)]
pub(in crate::store) use vfs::tests::faults;
