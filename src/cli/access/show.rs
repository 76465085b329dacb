//! What is in force, what was, and what differs.

use serde::Serialize;

use super::change::warn;
use crate::access::{AccessSettings, Change, Key, Source};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::house::House;
use crate::cli::output::{Column, Layout, Output, note, time};
use crate::domain::{PortalName, Timestamp};
use crate::store::Revision;

/// One setting as `show` has it.
struct Setting {
    key: Key,
    value: String,
    source: Source,
}

#[derive(Serialize)]
struct Shown<'a> {
    revision: u64,
    at: Timestamp,
    by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_portal: Option<&'a PortalName>,
    #[serde(flatten)]
    settings: &'a AccessSettings,
    /// Where each value comes from.
    sources: std::collections::BTreeMap<&'static str, Source>,
    warnings: Vec<String>,
}

pub async fn show(house: &House, portal: Option<PortalName>, out: &mut Output) -> Outcome {
    let portal = house.portal(portal)?;
    let revision = house.store.access().await?;
    let settings = &revision.settings;
    let effective = settings.effective(portal.as_ref());
    let warnings = match portal {
        Some(_) => effective.warnings(),
        None => settings.warnings(),
    };
    if out.is_json() {
        let one = AccessSettings {
            site: effective,
            ..AccessSettings::default()
        };
        return out.object(&Shown {
            revision: revision.number,
            at: revision.at,
            by: &revision.by,
            for_portal: portal.as_ref(),
            settings: if portal.is_some() { &one } else { settings },
            sources: Key::ALL
                .iter()
                .map(|key| (key.as_str(), settings.source(*key, portal.as_ref())))
                .collect(),
            warnings: warnings.iter().map(ToString::to_string).collect(),
        });
    }
    let rows: Vec<_> = Key::ALL
        .iter()
        .map(|key| Setting {
            key: *key,
            value: key.of(&effective).to_string(),
            source: settings.source(*key, portal.as_ref()),
        })
        .collect();
    out.table(
        &rows,
        &[
            Column::new("setting", Layout::Whole, |row| row.key.as_str().to_owned()),
            Column::new("value", Layout::Whole, |row| {
                if row.value.is_empty() {
                    "(empty)".to_owned()
                } else {
                    row.value.clone()
                }
            }),
            Column::new("from", Layout::Whole, |row| {
                match row.source {
                    Source::Default => "default",
                    Source::Site => "site",
                    Source::Portal => "portal",
                }
                .to_owned()
            }),
        ],
        true,
    )?;
    if portal.is_none() && !settings.portals.is_empty() {
        out.line("")?;
        let overridden = AccessSettings {
            site: settings.site.clone(),
            ..AccessSettings::default()
        };
        for change in overridden.changes_to(settings) {
            out.line(format_args!(
                "portal {}: {} = {}",
                change.portal.as_ref().map_or("", PortalName::as_str),
                change.key.as_str(),
                change
                    .after
                    .map_or_else(String::new, |value| value.to_string())
            ))?;
        }
    }
    out.line(format_args!(
        "\nrevision {} of {} by {}",
        revision.number,
        time(revision.at),
        revision.by
    ))?;
    warn(&warnings, out)
}

/// A revision and what it changed.
#[derive(Serialize)]
struct Step {
    revision: u64,
    at: Timestamp,
    by: String,
    origin: String,
    changes: Vec<Change>,
}

pub async fn history(house: &House, limit: u32, out: &mut Output) -> Outcome {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // One more, so that the oldest that is shown has something to be compared with.
    let revisions = house.store.access_history(limit.saturating_add(1)).await?;
    let nothing = AccessSettings::default();
    let steps: Vec<_> = revisions
        .iter()
        .enumerate()
        .take(limit)
        .map(|(place, revision)| Step {
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
    out.list(
        &steps,
        None,
        &[
            Column::new("revision", Layout::Number, |step| step.revision.to_string()),
            Column::new("at", Layout::Whole, |step| time(step.at)),
            Column::new("by", Layout::Whole, |step| step.by.clone()),
            Column::new("from", Layout::Whole, |step| step.origin.clone()),
            Column::new("changes", Layout::Text, |step| {
                let changes: Vec<_> = step.changes.iter().map(ToString::to_string).collect();
                changes.join("; ")
            }),
        ],
    )
}

#[derive(Serialize)]
struct Difference {
    from: u64,
    to: u64,
    changes: Vec<Change>,
}

pub async fn diff(house: &House, from: u64, to: Option<u64>, out: &mut Output) -> Outcome {
    let from = find(house, from).await?;
    let to = match to {
        Some(number) => find(house, number).await?,
        None => house.store.access().await?,
    };
    let changes = from.settings.changes_to(&to.settings);
    if out.is_json() {
        return out.object(&Difference {
            from: from.number,
            to: to.number,
            changes,
        });
    }
    if changes.is_empty() {
        note(format_args!(
            "revisions {} and {} are the same",
            from.number, to.number
        ));
    }
    for change in &changes {
        out.line(change)?;
    }
    Ok(())
}

/// The settings as TOML, for `apply` and for keeping.
pub async fn export(house: &House, revision: Option<u64>, out: &mut Output) -> Outcome {
    let revision = match revision {
        Some(number) => find(house, number).await?,
        None => house.store.access().await?,
    };
    if out.is_json() {
        return out.object(&*revision.settings);
    }
    let text = toml::to_string(&*revision.settings).map_err(anyhow::Error::from)?;
    out.line(format_args!(
        "# Access settings, revision {} of {} by {}.\n{}",
        revision.number,
        time(revision.at),
        revision.by,
        text.trim_end()
    ))
}

async fn find(house: &House, number: u64) -> Result<Revision, Failure> {
    house.store.revision(number).await?.ok_or_else(|| {
        Failure::NotFound(format!(
            "there is no revision {number}; see vestibule access history"
        ))
    })
}
