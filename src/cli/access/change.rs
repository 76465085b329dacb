//! Changes of the settings, and their output.

use crate::access::{AccessSettings, Warning};
use crate::cli::context::{Context, actor};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::{Output, note};
use crate::operations::{ChangeTerms, SettingsChanged, change_settings};

/// Changes the current settings.
pub async fn change(
    context: &Context,
    dry_run: bool,
    out: &mut Output,
    how: impl Fn(&AccessSettings) -> Result<AccessSettings, Failure>,
) -> Outcome {
    let terms = ChangeTerms {
        by: actor(),
        dry_run,
        base: None,
    };
    let (changed, warnings) = change_settings(&context.store, &terms, how).await?;
    tell(&changed, &warnings, dry_run, out)
}

fn tell(
    changed: &SettingsChanged,
    warnings: &[Warning],
    dry_run: bool,
    out: &mut Output,
) -> Outcome {
    if out.is_json() {
        return out.object(changed);
    }
    let SettingsChanged {
        revision,
        changes,
        stops,
        ..
    } = changed;
    for change in changes {
        out.line(change)?;
    }
    if let Some(stops) = stops {
        let addresses: Vec<_> = stops.addresses.iter().map(ToString::to_string).collect();
        let listed = addresses.join(", ");
        out.line(match (stops.accounts, addresses.len() as u64) {
            (1, _) => format!("stops 1 account: {listed}"),
            (all, some) if some < all => format!("stops {all} accounts: {listed} and others"),
            (all, _) => format!("stops {all} accounts: {listed}"),
        })?;
    }
    out.line(match (changes.is_empty(), dry_run) {
        (true, _) => format!("nothing changes; revision {revision} stays in force"),
        (false, true) => format!("nothing was changed; revision {revision} stays in force"),
        (false, false) => format!("revision {revision} is in force"),
    })?;
    warn(warnings, out)
}

/// Prints warnings to standard error, after the output that they concern.
pub fn warn(warnings: &[Warning], out: &mut Output) -> Outcome {
    out.flush()?;
    for warning in warnings {
        note(format_args!("warning: {warning}"));
    }
    Ok(())
}
