//! HTTP. What comes in here came from anybody: bodies are bounded, time is bounded, nothing is
//! trusted, and every answer carries the same set of headers.
//!
//! [`public`] makes the pages for the people who write, [`operators`] those for the people who run
//! the house; [`api_router`] their programs, [`metrics_router`] other machines; [`serve`] runs any router on a listener.

mod api;
mod connections;
mod csrf;
mod display;
mod host;
mod language;
mod metrics;
mod operators;
mod paced;
mod page;
mod public;
mod rate_limit;
mod ready;
mod render;
mod serve;

use std::time::Duration;

pub use api::api_router;
pub use metrics::metrics_router;
pub use operators::{Operators, operators, operators_paths};
pub use public::{Public, public, public_paths};
pub use ready::Readiness;
pub use serve::serve;

/// From the head of a request to its answer, a dawdling body included.
const TIME_LIMIT: Duration = Duration::from_secs(30);
