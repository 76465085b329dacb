//! `vestibule init`. In: a few answers. Out: the documented configuration with these values, and the first
//! operator if one is wanted.
//!
//! The text is `config/vestibule.toml` with some lines replaced, so it explains every key. It is parsed
//! before it is written, so it can always be loaded. Unless an answer says otherwise, only people of approved
//! domains may write.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::failure::{CommandError, CommandResult};
use super::shell_path::quote_for_shell;
use crate::config::{Config, Secrets};
use crate::store::{Location, access_settings_of};
use answers::Answers;
use first_operator::FirstOperator;
use questions::{GivenAnswers, InitQuestion, answer_all};
use service::ServiceUser;

mod answers;
mod document;
mod first_operator;
mod questions;
mod service;

/// Root and the service's group read the file: access settings and hosts are nobody else's business.
const MODE: u32 = 0o640;

/// Write a commented configuration after a few questions
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Examples:
  vestibule init
  vestibule init --yes --output /tmp/trial/vestibule.toml
  vestibule init --yes --address help@corp.example --approve corp.example \\
      --others listed --allow partner.example,bob@example.org \\
      --operator ann --operator-password-file ann.password")]
pub struct Args {
    /// Ask nothing; use the defaults where no option is given
    #[arg(long, short)]
    pub yes: bool,
    /// The file to write; by default the one that is read by the other commands
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub given: GivenAnswers,
    #[command(flatten)]
    pub first_operator: FirstOperator,
}

/// Asks on `output`, reads answers from `input`, and writes the file.
///
/// # Errors
/// An existing file without `--force`, an invalid option, input that ends before the last question, and errors
/// of the system.
pub fn run(
    args: &Args,
    config: Option<&Path>,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> CommandResult {
    let path = match &args.output {
        Some(path) => path.clone(),
        None => Config::path(config),
    };
    // A file that nobody has changed since the package installed it holds nothing to lose.
    let overwrites = args.force || document::is_unchanged(&path);
    // Reported before the questions, not after them.
    if path.exists() && !overwrites {
        return Err(CommandError::Failed(anyhow!(
            "{} already exists; choose another file with --output, or overwrite it with --force",
            path.display()
        )));
    }
    let answers = if args.yes {
        answer_all(&args.given, |answers, question, default| {
            (question.take)(answers, &default).map_err(|cause| {
                CommandError::Usage(format!("--{} {default}: {cause}", question.option))
            })
        })?
    } else {
        writeln!(output, "Press Enter to accept the value in [brackets].\n")?;
        answer_all(&args.given, |answers, question, default| {
            ask(answers, question, &default, input, output)
        })?
    };
    let operator = args.first_operator.read(!args.yes, input, output)?;
    let text = document::render(&answers);
    let config = Config::parse_with(&text, &path, Secrets::Leave)
        .context("these answers are inconsistent")?;
    write(&path, &text, overwrites)
        .with_context(|| format!("{} was not written", path.display()))?;
    if !args.yes {
        writeln!(output)?;
    }
    writeln!(output, "Wrote {}.", path.display())?;
    if let Some((name, password)) = operator {
        let line = format!(
            "{name} may log in at http://{}/ as admin.",
            config.http.admin_listen
        );
        super::wait(first_operator::add(&config, &path, (name, password)))?;
        writeln!(output, "{line}")?;
    }
    describe_next_steps(&path, &config, output)
}

fn describe_next_steps(path: &Path, config: &Config, output: &mut impl Write) -> CommandResult {
    let internal = &config.access.site.internal;
    let database = Location::of(config);
    // If the database cannot be read, assume that a daemon has already started on it.
    let has_settings = match access_settings_of(&database) {
        Ok(settings) => settings.is_some(),
        Err(_) => true,
    };
    if has_settings {
        writeln!(
            output,
            "{database} already has access settings, and they stay in force: [access] in this file does \
             not apply.\nTo apply it: vestibule access apply {0} --config {0}",
            quote_for_shell(path)
        )?;
    } else if internal.approved_domains.is_empty()
        && !config.access.site.external.allow_portal_only_accounts
    {
        writeln!(
            output,
            "Nobody may write yet; after the first start: vestibule access approve DOMAIN --config {}",
            quote_for_shell(path)
        )?;
    }
    writeln!(
        output,
        "Review it, then:\n  vestibule check --config {0}\n  vestibule serve --config {0}",
        quote_for_shell(path)
    )?;
    Ok(())
}

fn ask(
    answers: &mut Answers,
    question: &InitQuestion,
    default: &str,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> CommandResult {
    if !question.explanation.is_empty() {
        writeln!(output, "\n{}", question.explanation)?;
    }
    loop {
        write!(output, "{} [{default}]: ", question.text)?;
        output.flush()?;
        let line = read_line(input)?;
        let answer = match line.trim() {
            "" => default,
            answer => answer,
        };
        match (question.take)(answers, answer) {
            Ok(()) => return Ok(()),
            Err(cause) => writeln!(output, "  {cause}")?,
        }
    }
}

/// Reads one line; the end of the input is an error.
fn read_line(input: &mut impl BufRead) -> Result<String, CommandError> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Err(CommandError::Failed(anyhow!(
            "the input ended before the last question; to accept the defaults use --yes"
        )));
    }
    Ok(line)
}

fn write(path: &Path, text: &str, overwrites: bool) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).mode(MODE);
    if overwrites {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(path)?;
    // Regardless of the umask, and of the mode of a file that is overwritten.
    file.set_permissions(Permissions::from_mode(MODE))?;
    if rustix::process::geteuid().is_root()
        && let Some(user) = ServiceUser::find()
    {
        user.may_read(path)?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
