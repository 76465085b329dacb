//! HTTP. Input is untrusted: the size of bodies and the time of requests are bounded, and every answer
//! carries the same set of headers.
//!
//! [`public`] serves the pages for senders, [`operators`] the pages for operators, [`api_router`] the API,
//! [`scim_router`] the directory's interface, and [`metrics_router`] monitoring; [`serve`] runs any router on a
//! listener.

mod api;
mod bearer;
mod connections;
mod cookie;
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
mod scim;
mod serve;

use std::time::Duration;

pub use api::api_router;
pub use metrics::metrics_router;
pub use operators::{Operators, operators, operators_paths};
pub use public::{Public, public, public_paths};
pub use ready::Readiness;
pub use scim::scim_router;
pub use serve::serve;

/// Time limit from the head of a request to its answer, including a slowly sent body.
const TIME_LIMIT: Duration = Duration::from_secs(30);
