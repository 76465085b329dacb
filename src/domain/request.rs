//! The states of a request, and the one picture of how they follow each other.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::account::names;

/// Where a request stands.
///
/// ```text
///            proof, operator          worker
///   held ─────────────────► released ───────► delivered
///    │                        ▲   │
///    ├─► discarded   retry    │   └─────────► failed
///    └─► expired              └────────────────┘
/// ```
///
/// `discarded` and `expired` can be released by an operator while the content is kept. An operator can
/// also discard what is released or failed. What the person discarded by "This was not me" they can have
/// held again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Waits for the sender's proof.
    Held,
    /// Waits for delivery.
    Released,
    Delivered,
    /// Delivery was given up; an operator can retry.
    Failed,
    /// By the person ("This was not me") or an operator.
    Discarded,
    /// Nobody proved the address in time.
    Expired,
}

names!(RequestState {
    Held => "held",
    Released => "released",
    Delivered => "delivered",
    Failed => "failed",
    Discarded => "discarded",
    Expired => "expired",
});
