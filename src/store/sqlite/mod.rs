//! The embedded engine: connections and their settings, the schema, checkpoints, and the maintenance of the file.

mod checkpoint;
pub(super) mod compact;
pub(super) mod connection;
pub(super) mod copy_pages;
pub(super) mod driver;
mod file_identity;
mod gather;
mod migrations;
mod numbers;
mod page_cache;
mod result_codes;
pub(super) mod session;
#[cfg(test)]
mod tests;
mod vfs;
mod wal_index;
