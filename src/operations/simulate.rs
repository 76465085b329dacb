//! What a draft of the access settings would have changed for the messages of the last days.

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{AccessSettings, Change};
use crate::store::Simulated;

/// What differs between what is in force and a draft, and what would have become of the messages.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Simulation {
    pub changes: Vec<Change>,
    /// What there is to be said about the draft that is not about what is in force.
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
