//! Effects that a draft of the access settings would have had on the messages of the last days.

use jiff::SignedDuration;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::{find_stopped_accounts, find_unlisted_accounts};
use crate::access::{AccessSettings, Change, Warning};
use crate::domain::Timestamp;
use crate::store::{Result, Simulated, StoppedAccounts, Store, UnlistedAccounts, WhatIf};

/// Period whose messages a preview decides again.
pub const PREVIEW_PERIOD: SignedDuration = SignedDuration::from_hours(30 * 24);

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

/// Effects of a draft, shown to the operator before it is saved.
#[derive(Debug, Clone)]
pub struct Preview {
    pub changes: Vec<Change>,
    /// Warnings about the draft that the current settings do not have.
    pub warnings: Vec<Warning>,
    /// Accounts that the deny list would stop.
    pub stops: Option<StoppedAccounts>,
    /// Active accounts that the draft would not admit.
    pub unlisted: Option<UnlistedAccounts>,
    pub simulated: Simulated,
}

/// Compares a draft with the current settings, over all messages of the period or those of one domain.
/// `most` bounds the domains and messages that are listed.
pub async fn preview(
    store: &Store,
    before: &AccessSettings,
    draft: &AccessSettings,
    domain: Option<String>,
    most: usize,
) -> Result<Preview> {
    let what = WhatIf {
        draft: draft.clone(),
        since: Timestamp::now() - PREVIEW_PERIOD,
        portal: None,
        domain,
        most,
    };
    Ok(Preview {
        changes: before.changes_to(draft),
        warnings: draft.warnings_beside(before),
        stops: find_stopped_accounts(store, before, draft).await?,
        unlisted: find_unlisted_accounts(store, before, draft).await?,
        simulated: store.simulate(what, |_, _| {}).await?,
    })
}
