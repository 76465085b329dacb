//! `compact`: rewrites the database while no daemon uses it.

use serde::Serialize;

use super::check::resources::round_down;
use super::context::Global;
use super::failure::{CommandError, CommandResult};
use super::output::Output;
use crate::daemon::Lock;
use crate::store::{self, Location};

/// Rewrite the database without unused pages, while the service is stopped
///
/// The daemon frees unused pages by itself, a few at a time. This command rewrites the whole file: after much
/// was deleted at once, or to remove all traces of deleted data. It needs up to twice the size of the database as
/// free space in the folder of the database.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo systemctl stop vestibule
  sudo -u vestibule vestibule compact
  sudo systemctl start vestibule

Exit status: 0 done, 1 failed, and nothing has changed.")]
pub struct Args {}

#[derive(Serialize)]
struct Done {
    octets_before: u64,
    octets: u64,
}

pub fn run(global: &Global, out: &mut Output) -> CommandResult {
    let config = global.config()?;
    if let Location::Server(server) = Location::of(&config) {
        return Err(CommandError::Usage(format!(
            "{server} reuses freed space by itself; to return it to the disk, its operator runs VACUUM FULL"
        )));
    }
    let database = config.database();
    if !database.exists() {
        return Err(CommandError::not_found("database", database.display()));
    }
    let _lock = Lock::take(&config.data_dir, &database)?;
    let done = store::compact(&database)?;
    if out.is_json() {
        return out.object(&Done {
            octets_before: done.before,
            octets: done.after,
        });
    }
    out.line(format_args!(
        "{}: {} before, {} now",
        database.display(),
        round_down(done.before),
        round_down(done.after)
    ))
}
