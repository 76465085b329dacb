//! The current settings, the history, and differences.

use super::change::warn;
use crate::access::{AccessSettings, Key, Source};
use crate::cli::context::Context;
use crate::cli::failure::{CommandError, CommandResult};
use crate::cli::output::{Output, TableColumn, columns, note, time};
use crate::domain::{PortalName, join};
use crate::operations::{AccessView, RevisionEntry, compare_revisions, list_revisions};
use crate::store::{Page, Revision};

/// One setting in the output of `show`.
struct Setting {
    key: Key,
    value: String,
    source: Source,
}

const SETTINGS: &[TableColumn<Setting>] = columns! { row: Setting;
    "setting" Whole => row.key.as_str(),
    "value" Wrapped => if row.value.is_empty() { "(empty)" } else { &row.value },
    "from" Whole 1 => match row.source {
        Source::Default => "default",
        Source::Site => "site",
        Source::Portal => "portal",
    },
};

pub async fn show(
    context: &Context,
    portal: Option<PortalName>,
    out: &mut Output,
) -> CommandResult {
    let portal = context.portal(portal)?;
    let revision = context.store.access().await?;
    let settings = &revision.settings;
    let effective = settings.effective(portal.as_ref());
    let warnings = settings.warnings_for(portal.as_ref());
    if out.is_json() {
        return out.object(&AccessView::of(&revision, portal));
    }
    let rows: Vec<_> = Key::ALL
        .iter()
        .map(|key| Setting {
            key: *key,
            value: key.of(&effective).to_string(),
            source: settings.source(*key, portal.as_ref()),
        })
        .collect();
    out.table(&rows, SETTINGS, true)?;
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

const STEPS: &[TableColumn<RevisionEntry>] = columns! { step: RevisionEntry;
    "revision" Number => step.revision,
    "at" Time => time(step.at),
    "by" Whole => step.by,
    "from" Whole => step.origin,
    "changes" Wrapped => join(&step.changes, "; "),
};

pub async fn history(context: &Context, page: Page, out: &mut Output) -> CommandResult {
    let listed = list_revisions(&context.store, page).await?;
    out.list(&listed.rows, listed.next.as_deref(), STEPS)
}

pub async fn diff(
    context: &Context,
    from: u64,
    to: Option<u64>,
    out: &mut Output,
) -> CommandResult {
    let from = find(context, from).await?;
    let to = match to {
        Some(number) => find(context, number).await?,
        None => context.store.access().await?,
    };
    let found = compare_revisions(&from, &to);
    if out.is_json() {
        return out.object(&found);
    }
    let changes = found.changes;
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

/// The settings as TOML, for `apply` and as a copy.
pub async fn export(context: &Context, revision: Option<u64>, out: &mut Output) -> CommandResult {
    let revision = match revision {
        Some(number) => find(context, number).await?,
        None => context.store.access().await?,
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

async fn find(context: &Context, number: u64) -> Result<Revision, CommandError> {
    context.store.revision(number).await?.ok_or_else(|| {
        CommandError::NotFound(format!(
            "there is no revision {number}; see vestibule access history"
        ))
    })
}
