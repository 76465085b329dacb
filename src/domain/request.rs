//! The states of a request and the edges between them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::account::names;

/// State of a request.
///
/// ```text
///         verification, operator      worker
///   held ─────────────────► released ───────► delivered
///    │                        ▲   │
///    ├─► discarded   retry    │   └─────────► failed
///    └─► expired              └────────────────┘
/// ```
///
/// An operator can release `discarded` and `expired` requests while their content is kept, and can discard
/// released and failed ones. The person can restore what their own "This was not me" discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Waits for verification of the sender.
    Held,
    /// Waits for delivery.
    Released,
    Delivered,
    /// Delivery failed for good; an operator can retry it.
    Failed,
    /// By the person ("This was not me") or an operator.
    Discarded,
    /// The address was not verified in time.
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
