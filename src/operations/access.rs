//! The access settings: the current ones, the history, differences, and every change of them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::bulk_actions::{Tally, bulk};
use crate::access::{AccessSettings, Change, External, Internal, Key, Overrides, Source, Warning};
use crate::domain::{Actor, DomainPattern, PatternList, PortalName, Timestamp};
use crate::store::{
    Listed, Page, Result, Revision, StoppedAccounts, Store, StoreError, UnlistedAccounts,
};

/// Maximum retries of a change that conflicts with another change.
const MAX_CONFLICTS: u32 = 5;

/// The settings of one revision: the site's, or the effective ones of a portal.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Access)]
pub struct AccessView {
    pub revision: u64,
    pub at: Timestamp,
    /// `operator:NAME` or `configuration`.
    pub by: String,
    /// The portal of these settings; absent for the site's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_portal: Option<PortalName>,
    #[schema(value_type = Vec<DomainPattern>)]
    pub denied: PatternList,
    pub internal: Internal,
    pub external: External,
    /// Overrides of portals; absent where there are none, and for one portal's settings.
    #[serde(rename = "portal", skip_serializing_if = "BTreeMap::is_empty")]
    pub portals: BTreeMap<PortalName, Overrides>,
    /// The source of each value.
    pub sources: BTreeMap<&'static str, Source>,
    pub warnings: Vec<String>,
}

impl AccessView {
    #[must_use]
    pub fn of(revision: &Revision, portal: Option<PortalName>) -> Self {
        let settings = &revision.settings;
        let effective = settings.effective(portal.as_ref());
        let warnings = settings.warnings_for(portal.as_ref());
        let portals = match portal {
            Some(_) => BTreeMap::new(),
            None => settings.portals.clone(),
        };
        Self {
            revision: revision.number,
            at: revision.at,
            by: revision.by.clone(),
            sources: Key::ALL
                .iter()
                .map(|key| (key.as_str(), settings.source(*key, portal.as_ref())))
                .collect(),
            for_portal: portal,
            denied: effective.denied,
            internal: effective.internal,
            external: effective.external,
            portals,
            warnings: warnings.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A revision and what it changed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Revision)]
pub struct RevisionEntry {
    pub revision: u64,
    pub at: Timestamp,
    pub by: String,
    /// `command line`, `page`, `api` or `configuration`.
    pub origin: String,
    pub changes: Vec<Change>,
}

/// Differences between two revisions.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Difference)]
pub struct RevisionDifference {
    pub from: u64,
    pub to: u64,
    pub changes: Vec<Change>,
}

/// Result of a change.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Changed)]
pub struct SettingsChanged {
    /// The current revision.
    pub revision: u64,
    pub changes: Vec<Change>,
    /// Accounts that the deny list newly stops; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stops: Option<StoppedAccounts>,
    /// Active accounts that the new settings would not admit, if the change excludes any. They keep their access
    /// until they are blocked. Absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<UnlistedAccounts>,
    /// Warnings about the new settings that the old ones did not have.
    pub warnings: Vec<String>,
}

/// Maximum accounts that are listed one by one.
const MAX_STOPPED: usize = 100;

/// The accounts that a change of the deny list stops; `None` if it stops none.
pub async fn find_stopped_accounts(
    store: &Store,
    before: &AccessSettings,
    after: &AccessSettings,
) -> Result<Option<StoppedAccounts>> {
    let stops = store.stopped_accounts(before, after, MAX_STOPPED).await?;
    Ok((stops.accounts > 0).then_some(stops))
}

/// The active accounts that a change leaves off every list; `None` if it leaves out none.
pub async fn find_unlisted_accounts(
    store: &Store,
    before: &AccessSettings,
    after: &AccessSettings,
) -> Result<Option<UnlistedAccounts>> {
    let unlisted = store.unlisted_accounts(before, after, MAX_STOPPED).await?;
    Ok((unlisted.accounts > 0).then_some(unlisted))
}

/// Blocks all active accounts that the current settings would not let in. Returns their number.
pub async fn block_unlisted(store: &Store, by: &Actor) -> Result<u64> {
    let ids = store.unlisted_account_ids().await?;
    let now = Timestamp::now();
    let outcomes = bulk(ids, |id| store.block_customer(id, by.clone(), now)).await?;
    Ok(Tally::of(&outcomes, |_| true).done as u64)
}

/// Lists revisions, newest first. The cursor of a page is the number of its last revision.
pub async fn list_revisions(store: &Store, page: Page) -> Result<Listed<RevisionEntry>> {
    let rows = page.rows();
    let before = match page.after {
        None => u64::MAX,
        Some(cursor) => match cursor.parse() {
            Ok(number) => number,
            Err(_) => return Err(StoreError::not_found("cursor", cursor)),
        },
    };
    // One more, to compare the oldest shown revision with.
    let revisions = store
        .access_history_before(before, rows.saturating_add(1))
        .await?;
    let nothing = AccessSettings::default();
    let steps = revisions.iter().enumerate().take(rows);
    let steps: Vec<_> = steps
        .map(|(place, revision)| RevisionEntry {
            revision: revision.number,
            at: revision.at,
            by: revision.by.clone(),
            origin: revision.origin.clone(),
            changes: revisions
                .get(place + 1)
                .map_or(&nothing, |before| &before.settings)
                .changes_to(&revision.settings),
        })
        .collect();
    let last = steps.last().map(|step| step.revision.to_string());
    Ok(Listed {
        next: last.filter(|_| revisions.len() > rows),
        rows: steps,
    })
}

#[must_use]
pub fn compare_revisions(from: &Revision, to: &Revision) -> RevisionDifference {
    RevisionDifference {
        from: from.number,
        to: to.number,
        changes: from.settings.changes_to(&to.settings),
    }
}

/// The operator who changes the settings, and the conditions of the change.
#[derive(Debug, Clone)]
pub struct ChangeTerms {
    pub by: Actor,
    /// Only report what would change.
    pub dry_run: bool,
    /// The revision that the operator saw; `None` accepts any.
    pub base: Option<u64>,
}

/// Reads the current settings, changes them and stores them as a revision. Retries if someone else changed the
/// settings meanwhile.
///
/// # Errors
/// Errors of `how`; `Conflict` if the current revision is not the one that the operator saw.
pub async fn change_settings<E: From<StoreError>>(
    store: &Store,
    terms: &ChangeTerms,
    how: impl Fn(&AccessSettings) -> Result<AccessSettings, E>,
) -> Result<(SettingsChanged, Vec<Warning>), E> {
    let mut conflicts = 0;
    loop {
        let base = store.access().await?;
        if let Some(expected) = terms.base.filter(|expected| *expected != base.number) {
            let found = base.number;
            return Err(StoreError::Conflict { expected, found }.into());
        }
        let settings = how(&base.settings)?;
        let changes = base.settings.changes_to(&settings);
        let warnings = settings.warnings_beside(&base.settings);
        let stops = find_stopped_accounts(store, &base.settings, &settings).await?;
        let unlisted = find_unlisted_accounts(store, &base.settings, &settings).await?;
        let revision = if terms.dry_run || changes.is_empty() {
            base.number
        } else {
            let by = terms.by.clone();
            let made = store.change_access(base.number, settings, by, Timestamp::now());
            match made.await {
                Ok(revision) => revision.number,
                Err(StoreError::Conflict { .. }) if conflicts < MAX_CONFLICTS => {
                    conflicts += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let done = SettingsChanged {
            revision,
            changes,
            stops,
            unlisted,
            warnings: warnings.iter().map(ToString::to_string).collect(),
        };
        return Ok((done, warnings));
    }
}
