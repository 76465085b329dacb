//! `transfer`: moves the store to another place, from a file to a PostgreSQL server or back.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::context::{Global, database_of};
use super::failure::{CommandError, CommandResult};
use super::output::{Output, advance};
use super::toml_string::quote_as_toml;
use crate::config::{self, PostgresServer};
use crate::domain::Timestamp;
use crate::store::{self, Location};

/// Move the store to another database
///
/// Copies everything to an empty database, compares the copy with the original, and closes the old location:
/// a daemon that still runs there answers 451, so the sending servers retry and nothing is lost. Then set
/// [store] to the new location and start the daemon. To repeat an interrupted transfer, run the same command
/// again. Make a backup first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule transfer --to 'postgres://vestibule@db.example/vestibule' \\
      --password-file /etc/vestibule/database-password
  vestibule transfer --to /var/lib/vestibule/vestibule.db
  vestibule transfer --undo

Exit status: 0 the store was moved, 1 it was not moved, and may be closed until
the transfer is repeated or undone.")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["to", "undo"]))]
pub struct Args {
    /// A postgres:// URL as in [store], or the full path of a file that does not exist yet
    #[arg(long, value_name = "URL|FILE")]
    to: Option<String>,
    /// The file with the password of the server
    #[arg(long, value_name = "FILE", requires = "to")]
    password_file: Option<PathBuf>,
    /// The authorities of the server's certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "to")]
    ca_file: Option<PathBuf>,
    /// Reopen the store at the configured location, without what the other one received since
    #[arg(long)]
    undo: bool,
}

#[derive(Serialize)]
struct Done {
    from: String,
    to: String,
    tables: usize,
    rows: u64,
}

#[derive(Serialize)]
struct Undone {
    place: String,
    was_moved_to: String,
}

pub fn run(args: &Args, global: &Global, out: &mut Output) -> CommandResult {
    let here = database_of(&global.config()?)?;
    if !here.exists() {
        return Err(CommandError::not_found("database", here));
    }
    let Some(there) = &args.to else {
        return undo(&here, out);
    };
    let there = place(there, args)?;
    let bar = out.progress(0);
    let done = store::transfer(&here, &there, Timestamp::now(), advance(&bar));
    bar.finish_and_clear();
    let done = done?;
    if out.is_json() {
        return out.object(&Done {
            from: here.to_string(),
            to: there.to_string(),
            tables: done.tables,
            rows: done.rows,
        });
    }
    out.line(format_args!(
        "{there}: {} rows of {} tables copied and verified\n\
         {here}: closed; {}, and start the daemon",
        done.rows,
        done.tables,
        describe_settings(&there)
    ))
}

/// The change of the configuration that makes a location the current one.
fn describe_settings(there: &Location) -> String {
    let Location::File(file) = there else {
        return "set [store] to the new location".to_owned();
    };
    let rename = if file.ends_with("vestibule.db") {
        ""
    } else {
        "rename the new file to vestibule.db, "
    };
    let folder = quote_as_toml(&file.parent().unwrap_or(file).display());
    format!("{rename}set type = \"sqlite\" in [store] and data_dir = {folder}")
}

fn undo(here: &Location, out: &mut Output) -> CommandResult {
    let Some(there) = store::undo_transfer(here)? else {
        return Err(CommandError::Failed(anyhow::anyhow!(
            "{here} was not transferred; there is nothing to undo"
        )));
    };
    if out.is_json() {
        return out.object(&Undone {
            place: here.to_string(),
            was_moved_to: there,
        });
    }
    out.line(format_args!(
        "{here}: reopened, without what {there} received since"
    ))
}

/// The location that an option names.
fn place(text: &str, args: &Args) -> Result<Location, CommandError> {
    if !text.contains("://") {
        if args.password_file.is_some() || args.ca_file.is_some() {
            return Err(CommandError::Usage(
                "--password-file and --ca-file apply to a server, but --to names a file".to_owned(),
            ));
        }
        let file = Path::new(text);
        // Also a URL without its scheme. It may contain a password, so the error does not quote it.
        if !file.is_absolute() {
            return Err(CommandError::Usage(
                "--to: write a postgres:// URL, or the full path of a file, as in \
                 /var/lib/vestibule/vestibule.db"
                    .to_owned(),
            ));
        }
        return Ok(Location::from(file));
    }
    // The text may contain a password, so the error does not quote it.
    let mut server = PostgresServer::parse(text)
        .map_err(|cause| CommandError::Usage(format!("--to: {cause}")))?;
    if let Some(file) = &args.password_file {
        let password = config::read_secret(file);
        server.password = password.map_err(|cause| CommandError::Failed(anyhow::anyhow!(cause)))?;
    }
    server.ca_file.clone_from(&args.ca_file);
    Ok(Location::Server(Box::new(server)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_can_be_copied_into_the_configuration() {
        for (folder, file) in [
            ("/srv/vestibule", "vestibule.db"),
            ("/srv/the \"new\" store", "new.db"),
            ("/srv/back\\slash", "new.db"),
        ] {
            let told = describe_settings(&Location::from(Path::new(folder).join(file).as_path()));
            assert_eq!(told.starts_with("rename"), file == "new.db", "{told}");
            let (_, key) = told.split_once(" and ").expect("two keys");
            let table: toml::Table = key.parse().expect(key);
            assert_eq!(table["data_dir"].as_str(), Some(folder), "{told}");
        }
    }
}
