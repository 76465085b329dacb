//! Every change of the settings: read what is in force, change it, make that a revision, say what it
//! changed.

use serde::Serialize;

use crate::access::{AccessSettings, Change, Warning};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::house::{House, by};
use crate::cli::output::{Output, note};
use crate::domain::Timestamp;
use crate::store::StoreError;

/// How often a change begins again because somebody else changed the settings meanwhile.
const MOST_CONFLICTS: u32 = 5;

/// What a change did.
#[derive(Serialize)]
struct Changed {
    revision: u64,
    changes: Vec<Change>,
    warnings: Vec<String>,
}

/// Reads what is in force, changes it and makes that a revision; again from the start where
/// somebody else was faster.
pub async fn change(
    house: &House,
    dry_run: bool,
    out: &mut Output,
    how: impl Fn(&AccessSettings) -> Result<AccessSettings, Failure>,
) -> Outcome {
    let mut conflicts = 0;
    loop {
        let base = house.store.access().await?;
        let settings = how(&base.settings)?;
        let changes = base.settings.changes_to(&settings);
        let warnings = settings.warnings_beside(&base.settings);
        let revision = if dry_run || changes.is_empty() {
            base.number
        } else {
            let made = house
                .store
                .change_access(
                    base.number,
                    settings,
                    by(),
                    "command line".to_owned(),
                    Timestamp::now(),
                )
                .await;
            match made {
                Ok(revision) => revision.number,
                Err(StoreError::Conflict { .. }) if conflicts < MOST_CONFLICTS => {
                    conflicts += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        };
        return tell(revision, changes, &warnings, dry_run, out);
    }
}

fn tell(
    revision: u64,
    changes: Vec<Change>,
    warnings: &[Warning],
    dry_run: bool,
    out: &mut Output,
) -> Outcome {
    if out.is_json() {
        return out.object(&Changed {
            revision,
            changes,
            warnings: warnings.iter().map(ToString::to_string).collect(),
        });
    }
    for change in &changes {
        out.line(change)?;
    }
    out.line(match (changes.is_empty(), dry_run) {
        (true, _) => format!("nothing changes; revision {revision} stays in force"),
        (false, true) => format!("nothing was changed; revision {revision} stays in force"),
        (false, false) => format!("revision {revision} is in force"),
    })?;
    warn(warnings, out)
}

/// Warnings go to standard error, below what they are about.
pub fn warn(warnings: &[Warning], out: &mut Output) -> Outcome {
    out.flush()?;
    for warning in warnings {
        note(format_args!("warning: {warning}"));
    }
    Ok(())
}
