//! Effects that a draft of the access settings would have had on the messages of the last days.

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{AccessSettings, Change};
use crate::store::Simulated;

/// Differences between the current settings and a draft, and their effects on messages.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Simulation {
    pub changes: Vec<Change>,
    /// Warnings about the draft that the current settings do not have.
    pub warnings: Vec<String>,
    #[serde(flatten)]
    pub simulated: Simulated,
}

impl Simulation {
    #[must_use]
    pub fn of(before: &AccessSettings, draft: &AccessSettings, simulated: Simulated) -> Self {
        let warnings = draft.warnings_beside(before);
        Self {
            changes: before.changes_to(draft),
            warnings: warnings.iter().map(ToString::to_string).collect(),
            simulated,
        }
    }
}
