//! Changes of the settings, and their output.

use crate::access::{AccessSettings, Warning};
use crate::cli::context::{Context, actor};
use crate::cli::failure::{CommandError, CommandResult};
use crate::cli::output::{Output, count_of, note};
use crate::domain::EmailAddress;
use crate::operations::{ChangeTerms, SettingsChanged, change_settings};

/// Changes the current settings.
pub async fn change(
    context: &Context,
    dry_run: bool,
    out: &mut Output,
    how: impl Fn(&AccessSettings) -> Result<AccessSettings, CommandError>,
) -> CommandResult {
    let terms = ChangeTerms {
        by: actor(),
        dry_run,
        base: None,
    };
    let (changed, warnings) = change_settings(&context.store, &terms, how).await?;
    print_changes(&changed, &warnings, dry_run, out)
}

fn print_changes(
    changed: &SettingsChanged,
    warnings: &[Warning],
    dry_run: bool,
    out: &mut Output,
) -> CommandResult {
    if out.is_json() {
        return out.object(changed);
    }
    let SettingsChanged {
        revision,
        changes,
        stops,
        unlisted,
        ..
    } = changed;
    for change in changes {
        out.line(change)?;
    }
    if let Some(stops) = stops {
        out.line(format_args!(
            "stops {}: {}",
            count_of(stops.accounts, "account"),
            list_first(&stops.addresses, stops.accounts)
        ))?;
    }
    if let Some(unlisted) = unlisted {
        let whose = match (unlisted.accounts, dry_run) {
            (1, false) => "is not on any list but keeps its access",
            (1, true) => "would not be on any list but keep its access",
            (_, false) => "are not on any list but keep their access",
            (_, true) => "would not be on any list but keep their access",
        };
        out.line(format_args!(
            "{} {whose}: {}",
            count_of(unlisted.accounts, "active account"),
            list_first(&unlisted.addresses, unlisted.accounts)
        ))?;
        if !dry_run {
            out.line(
                "to block accounts that are not on any list: vestibule customers block --unlisted",
            )?;
        }
    }
    out.line(match (changes.is_empty(), dry_run) {
        (true, _) => format!("nothing changes; revision {revision} stays in force"),
        (false, true) => format!("nothing was changed; revision {revision} stays in force"),
        (false, false) => format!("revision {revision} is in force"),
    })?;
    warn(warnings, out)
}

/// Lists the first of the accounts, and the number of the others. There are `all` in total.
fn list_first(addresses: &[EmailAddress], all: u64) -> String {
    const MAX_SHOWN: usize = 20;
    let some: Vec<_> = addresses
        .iter()
        .take(MAX_SHOWN)
        .map(ToString::to_string)
        .collect();
    let more = all.saturating_sub(some.len() as u64);
    match more {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}

/// Prints warnings to standard error, after the output that they concern.
pub fn warn(warnings: &[Warning], out: &mut Output) -> CommandResult {
    out.flush()?;
    for warning in warnings {
        note(format_args!("warning: {warning}"));
    }
    Ok(())
}
