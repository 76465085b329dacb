//! What a draft of the access settings would have changed for the messages of the last days.

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{AccessSettings, Change};
use crate::domain::Timestamp;
use crate::store::{DomainShift, Example, ShiftCount, Simulated};

/// What differs between what is in force and a draft, and what would have become of the messages.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Simulation {
    pub changes: Vec<Change>,
    /// What there is to be said about the draft that is not about what is in force.
    pub warnings: Vec<String>,
    /// The revision in force that the draft was compared with.
    pub revision: u64,
    pub since: Timestamp,
    /// Messages of that time; a repeat of one is none.
    pub messages: u64,
    /// Of these, what would change.
    pub changed: u64,
    pub shifts: Vec<ShiftCount>,
    /// The domains with most of what would change.
    pub domains: Vec<DomainShift>,
    /// How many domains there are, those that are not told among them.
    pub domains_changed: u64,
    /// The newest messages that would change.
    pub examples: Vec<Example>,
}

impl Simulation {
    #[must_use]
    pub fn of(before: &AccessSettings, draft: &AccessSettings, simulated: Simulated) -> Self {
        let warnings = draft.warnings_beside(before);
        Self {
            changes: before.changes_to(draft),
            warnings: warnings.iter().map(ToString::to_string).collect(),
            revision: simulated.revision,
            since: simulated.since,
            messages: simulated.messages,
            changed: simulated.changed,
            shifts: simulated.shifts,
            domains: simulated.domains,
            domains_changed: simulated.domains_changed,
            examples: simulated.examples,
        }
    }
}
