//! The embedded engine: connections and their settings, the schema, checkpoints, and the care of the file.

pub(super) mod checkpoint;
pub(super) mod compact;
pub(super) mod connection;
pub(super) mod file_identity;
pub(super) mod memory;
pub(super) mod numbers;
pub(super) mod vacuum;
