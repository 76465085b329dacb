//! The states of a request and the edges between them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::keywords::keywords;

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
/// released and failed ones. A failed request of a blocked account can be released, but not retried. The person can
/// restore requests that their own "This was not me" discarded.
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

keywords!(RequestState {
    Held => "held",
    Released => "released",
    Delivered => "delivered",
    Failed => "failed",
    Discarded => "discarded",
    Expired => "expired",
});

/// A change of a request's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// By a verification, or by an operator.
    Release,
    /// An attempt succeeded.
    Deliver,
    /// Attempts failed for good.
    Fail,
    /// By an operator, after it failed.
    Retry,
    Discard,
    Expire,
    /// The person takes "This was not me" back; possible only for requests that it discarded.
    Restore,
}

impl Transition {
    pub const ALL: [Self; 7] = [
        Self::Release,
        Self::Deliver,
        Self::Fail,
        Self::Retry,
        Self::Discard,
        Self::Expire,
        Self::Restore,
    ];

    /// The state that it leads to.
    #[must_use]
    pub const fn target(self) -> RequestState {
        match self {
            Self::Release | Self::Retry => RequestState::Released,
            Self::Deliver => RequestState::Delivered,
            Self::Fail => RequestState::Failed,
            Self::Discard => RequestState::Discarded,
            Self::Expire => RequestState::Expired,
            Self::Restore => RequestState::Held,
        }
    }
}

impl RequestState {
    /// The state after a transition; None if it is not possible in this state. This is the table of all edges;
    /// the schema refuses all others.
    #[must_use]
    pub const fn after(self, transition: Transition) -> Option<Self> {
        let is_possible = match transition {
            Transition::Release => matches!(self, Self::Held | Self::Discarded | Self::Expired),
            Transition::Deliver | Transition::Fail => matches!(self, Self::Released),
            Transition::Retry => matches!(self, Self::Failed),
            Transition::Discard => matches!(self, Self::Held | Self::Released | Self::Failed),
            Transition::Expire => matches!(self, Self::Held),
            Transition::Restore => matches!(self, Self::Discarded),
        };
        if is_possible {
            Some(transition.target())
        } else {
            None
        }
    }
}
