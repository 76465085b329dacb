//! The embedded engine: connections and their settings, the schema, checkpoints, and the maintenance of the file.

mod checkpoint;
pub(super) mod compact;
pub(super) mod connection;
pub(super) mod driver;
mod file_identity;
mod gather;
mod migrations;
mod numbers;
pub(super) mod online_backup;
mod page_cache;
mod result_codes;
pub(super) mod session;
#[cfg(test)]
mod tests;
mod vfs;
mod wal_index;
