//! `migrate`: migrates the schema of the database while no daemon uses it, or beside the nodes on a server.

use anyhow::anyhow;
use serde::Serialize;

use super::context::Global;
use super::failure::{CommandError, CommandResult};
use super::output::Output;
use crate::daemon::Lock;
use crate::store::{self, Location, StoreError};

/// Migrate the schema of the database
///
/// The daemon does this itself when it starts. This command does it earlier, to see that it works or how long
/// it takes. With a database in a file it refuses while a daemon runs, which may be of an older version, and a
/// failure leaves the file as it was. On a PostgreSQL server the nodes can keep running if the release
/// notes say so. Migrations that succeeded before a failure remain, and the next run continues after them. It
/// also rebuilds indexes that an interrupted run left invalid. Make a backup first: an older version does not
/// open a newer schema.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo systemctl stop vestibule
  sudo -u vestibule vestibule migrate
  sudo systemctl start vestibule

Exit status: 0 the schema is up to date, 1 it is not, or an index is missing;
the error says why.")]
pub struct Args {}

#[derive(Serialize)]
struct Migrated {
    schema_before: usize,
    schema: usize,
}

pub fn run(global: &Global, out: &mut Output) -> CommandResult {
    let config = global.config()?;
    let database = Location::of(&config);
    if !database.exists() {
        return Err(CommandError::not_found("database", &database));
    }
    // A server's schema is migrated beside the nodes that use it.
    let _lock = match database {
        Location::File(_) => Some(Lock::take(&config.data_dir, &config.database())?),
        Location::Server(_) => None,
    };
    let (before, now) = store::migrate(&database).map_err(|error| explain(&error, &database))?;
    if out.is_json() {
        return out.object(&Migrated {
            schema_before: before,
            schema: now,
        });
    }
    if before == now {
        return out.line(format_args!("{database}: schema {now}, up to date"));
    }
    out.line(format_args!(
        "{database}: schema {before} before, {now} now"
    ))
}

/// Adds the resulting state of the schema to the error of a failed migration.
fn explain(error: &StoreError, database: &Location) -> CommandError {
    CommandError::Failed(match store::schema_of(database) {
        Ok((now, known)) if now < known => anyhow!(
            "{error}\nthe schema is {now} now, and this program's is {known}; once the cause is fixed, run it again"
        ),
        _ => anyhow!("{error}"),
    })
}
