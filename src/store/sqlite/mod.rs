//! The embedded engine: connections and their settings, the schema, checkpoints, and the care of the file.

pub(super) mod backup;
pub(super) mod checkpoint;
pub(super) mod compact;
pub(super) mod connection;
mod file_identity;
pub(super) mod memory;
mod numbers;
mod result_codes;
pub(super) mod session;
#[cfg(test)]
mod tests;
