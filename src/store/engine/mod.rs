//! The engine: the writer thread that commits in groups, the readers, wakeups, and what the writer keeps in memory.

pub(super) mod disk_space;
pub(super) mod driver;
pub(super) mod health;
mod idle_time;
pub(super) mod job;
pub(super) mod notify;
mod overwriting;
mod prefetcher;
mod queue;
pub(super) mod readers;
pub(super) mod settings_cache;
pub(super) mod time_slice;
mod transaction;
pub(super) mod vacuum;
pub(super) mod writer;
