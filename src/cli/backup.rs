//! `backup`: a copy of the database while the daemon runs, verified after writing.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::check::resources::round_down;
use super::context::{Global, database_of};
use super::failure::{CommandError, CommandResult};
use super::output::{Output, advance, note};
use super::shell_path::quote_for_shell;
use crate::store::{self, Violation};

/// Copy the database into a file, while the daemon runs
///
/// The copy is the state of one moment. After writing, its integrity and its contents are checked. An
/// existing file is not overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule backup /var/backups/vestibule-2026-11-23.db
  vestibule backup /mnt/backup/vestibule.db --json

Exit status: 0 the copy is good, 1 there is no copy, or its contents are
inconsistent.")]
pub struct Args {
    /// The copy, which must not exist yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Serialize)]
struct Copied<'a> {
    file: &'a str,
    octets: u64,
    entries: u64,
    schema: usize,
    violations: &'a [Violation],
}

pub fn run(args: &Args, global: &Global, out: &mut Output) -> CommandResult {
    let database = database_of(&global.config()?)?;
    if !database.exists() {
        return Err(CommandError::not_found("database", database));
    }
    let folder = match args.file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(CommandError::Failed(anyhow::anyhow!(
            "the folder {} does not exist; create one that no other user can read: install -d -m 0700 {}",
            folder.display(),
            quote_for_shell(folder)
        )));
    }
    let bar = out.progress(0);
    let found = store::backup(&database, &args.file, advance(&bar));
    bar.finish_and_clear();
    let found = found?;
    let file = args.file.display().to_string();
    if out.is_json() {
        out.object(&Copied {
            file: &file,
            octets: found.octets,
            entries: found.entries,
            schema: found.schema,
            violations: &found.violations,
        })?;
    } else {
        out.line(format_args!(
            "{file}: {}, {} of the ledger, examined",
            round_down(found.octets),
            match found.entries {
                1 => "1 entry".to_owned(),
                entries => format!("{entries} entries"),
            }
        ))?;
    }
    if found.violations.is_empty() {
        return Ok(());
    }
    out.flush()?;
    note(format_args!(
        "the copy was kept, but it is inconsistent in {} places; check the database with: \
         vestibule doctor",
        found.violations.len()
    ));
    Err(CommandError::Said)
}
