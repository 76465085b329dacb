//! Claims: a worker takes a row of a queue for a time and settles it.

pub(super) mod holder;
pub(super) mod leases;
pub(super) mod outcomes;
pub(super) mod paused;
