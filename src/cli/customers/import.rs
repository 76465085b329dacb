//! `customers import`: people from a CSV file.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use crate::cli::context::{Context, actor};
use crate::cli::failure::{CommandError, CommandResult};
use crate::cli::output::{Output, count_of};
use crate::operations::{Import, ImportOutcome, ImportTally, ImportedPerson, PeopleFile};

/// Create or update accounts from a CSV file
///
/// The first line names the columns: address, and optionally kind (internal or external), groups (separated
/// by semicolons) and verified (yes or no). The access settings decide about new accounts, as they do for
/// mail. An import removes nothing: it does not unblock an account, turn an internal account external, or
/// reset a verification. An empty field means the value from the access settings, or for an existing account
/// its current value. Importing the same file again changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule customers import people.csv --dry-run
  vestibule customers import people.csv

Exit status: 0 no line is refused, 1 at least one is.")]
pub struct Args {
    /// The file, in UTF-8, with commas, semicolons or tabs
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(context: &Context, args: Args, out: &mut Output) -> CommandResult {
    let Args {
        file: path,
        dry_run,
    } = args;
    let name = path.display().to_string();
    let file = File::open(&path).map_err(|cause| match cause.kind() {
        ErrorKind::NotFound => CommandError::not_found("file", &name),
        _ => CommandError::Usage(format!("{name}: {cause}")),
    })?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let source = BufReader::new(out.progress(size).wrap_read(file));
    let refused = |error| CommandError::Usage(format!("{name}: {error}"));
    let mut people = PeopleFile::open(source).map_err(refused)?;
    let mut import = Import::new(&context.store, &context.config, dry_run, actor());
    let mut tally = ImportTally::default();
    while let Some(line) = people.next_line().map_err(refused)? {
        let rows = import.take(line).await?;
        print_outcome(&path, &rows, &mut tally, dry_run, out)?;
    }
    let rows = import.flush().await?;
    print_outcome(&path, &rows, &mut tally, dry_run, out)?;
    if !out.is_json() {
        summarize(&tally, dry_run, out)?;
    }
    if tally.refused > 0 {
        out.flush()?;
        return Err(CommandError::Said);
    }
    Ok(())
}

/// Prints the outcome of each line; for people without those that change nothing.
fn print_outcome(
    path: &Path,
    rows: &[ImportedPerson],
    tally: &mut ImportTally,
    dry_run: bool,
    out: &mut Output,
) -> CommandResult {
    for row in rows {
        tally.count(row.outcome);
        if out.is_json() {
            out.object(row)?;
            continue;
        }
        let what = match (row.outcome, dry_run) {
            (ImportOutcome::Unchanged, _) => continue,
            (ImportOutcome::Created, false) => "created: ",
            (ImportOutcome::Created, true) => "would be created: ",
            (ImportOutcome::Changed, false) => "changed: ",
            (ImportOutcome::Changed, true) => "would be changed: ",
            (ImportOutcome::Blocked | ImportOutcome::Refused, _) => "",
        };
        let address = match &row.address {
            Some(address) => format!("{address}: "),
            None => String::new(),
        };
        out.line(format_args!(
            "{}:{}: {address}{what}{}",
            path.display(),
            row.line,
            row.detail.as_deref().unwrap_or_default()
        ))?;
    }
    Ok(())
}

fn summarize(tally: &ImportTally, dry_run: bool, out: &mut Output) -> CommandResult {
    let would = if dry_run { "would be " } else { "" };
    out.line(format_args!(
        "{} {would}created, {} {would}changed, {} unchanged, {} blocked, {} refused",
        count_of(tally.created, "account"),
        tally.changed,
        tally.unchanged,
        tally.blocked,
        tally.refused
    ))
}
