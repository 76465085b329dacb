//! `templates`: the built-in texts and templates as a starting point for an operator's own, and the check of
//! a folder of such files.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::context::Global;
use super::failure::{CommandError, CommandResult};
use super::output::{Output, TableColumn, columns, note};
use crate::templates::{self, Templates};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule templates list
  vestibule templates export /etc/vestibule/templates texts.en.toml
  vestibule templates check /etc/vestibule/templates")]
pub enum Command {
    /// List the files that a folder of your own can replace
    #[command(after_help = "\
Examples:
  vestibule templates list
  vestibule templates list --json")]
    List,
    /// Write the built-in files into a folder; existing files are not changed
    #[command(after_help = "\
Examples:
  vestibule templates export templates
  vestibule templates export templates letter.txt letter.html")]
    Export(ExportTemplates),
    /// Check whether a folder can be used; otherwise report the file and the line
    #[command(after_help = "\
Examples:
  vestibule templates check                (the folder of the configuration)
  vestibule templates check templates")]
    Check(Check),
}

#[derive(Debug, Args)]
pub struct ExportTemplates {
    /// The folder; created if it does not exist
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// These files only
    #[arg(value_name = "FILE")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Check {
    /// The folder; by default that of verification.templates
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

#[derive(Serialize)]
struct File {
    file: &'static str,
    octets: usize,
}

const COLUMNS: &[TableColumn<File>] = columns! { file: File;
    "file" Whole => file.file,
    "octets" Number => file.octets,
};

pub fn run(command: Command, global: &Global, out: &mut Output) -> CommandResult {
    match command {
        Command::List => {
            let files: Vec<_> = templates::built_in_files()
                .map(|(file, text)| File {
                    file,
                    octets: text.len(),
                })
                .collect();
            out.list(&files, None, COLUMNS)
        }
        Command::Export(export) => {
            let unknown =
                |name: &&String| !templates::built_in_files().any(|(file, _)| file == **name);
            if let Some(name) = export.names.iter().find(unknown) {
                return Err(CommandError::NotFound(format!(
                    "there is no built-in file {name}; see vestibule templates list"
                )));
            }
            for (file, text) in templates::built_in_files() {
                if export.names.is_empty() || export.names.iter().any(|name| name == file) {
                    write(&export.folder, file, text, out)?;
                }
            }
            Ok(())
        }
        Command::Check(check) => {
            let folder = match check.folder {
                Some(folder) if folder.try_exists().is_ok_and(|there| !there) => {
                    return Err(CommandError::not_found("folder", folder.display()));
                }
                Some(folder) => Some(folder),
                None => global.config()?.verification.templates,
            };
            let Some(folder) = folder else {
                note("verification.templates is not set; the built-in files are used");
                return Ok(());
            };
            Templates::load(Some(&folder)).map_err(anyhow::Error::from)?;
            if out.is_json() {
                return out.object(&json!({ "folder": folder.display().to_string() }));
            }
            out.line(format_args!("{}: can be used", folder.display()))
        }
    }
}

/// Writes a file. An existing file is never overwritten: an operator may have changed it.
fn write(folder: &Path, file: &str, text: &str, out: &mut Output) -> CommandResult {
    let path = folder.join(file);
    let place = |cause: std::io::Error| {
        CommandError::Failed(anyhow::anyhow!("{}: {cause}", path.display()))
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(place)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut made) => {
            made.write_all(text.as_bytes()).map_err(place)?;
            if out.is_json() {
                return out.object(&json!({ "file": path.display().to_string() }));
            }
            out.line(path.display())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            note(format_args!("{} already exists", path.display()));
            Ok(())
        }
        Err(error) => Err(place(error)),
    }
}
