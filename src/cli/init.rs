//! `vestibule init`. In: a few answers. Out: the documented configuration with these values.
//!
//! The text is `config/vestibule.toml` with some lines replaced, so it explains every key. It is parsed
//! before it is written, so it can always be loaded.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::{Config, Secrets};
use crate::domain::{Domain, DomainPattern, EmailAddress};

mod answers;

use answers::{Answers, HandOver, QUESTIONS};

const DOCUMENTED: &str = include_str!("../../config/vestibule.toml");

/// Write a commented configuration after a few questions
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Examples:
  vestibule init
  vestibule init --yes --output /tmp/trial/vestibule.toml")]
pub struct Args {
    /// Ask nothing, take the defaults
    #[arg(long, short)]
    pub yes: bool,
    /// The file to write; by default the one that is read by the other commands
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
}

/// Asks on `output`, reads answers from `input`, and writes the file.
///
/// # Errors
/// An existing file without `--force`, input that ends before the last question, and errors of the system.
pub fn run(
    args: &Args,
    config: Option<&Path>,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let path = match &args.output {
        Some(path) => path.clone(),
        None => Config::path(config),
    };
    // Reported before the questions, not after them.
    if path.exists() && !args.force {
        bail!(
            "{} is there already; name another file with --output, or overwrite it with --force",
            path.display()
        );
    }
    let mut answers = Answers::default();
    if !args.yes {
        ask(&mut answers, input, output)?;
    }
    let text = written(&answers);
    Config::parse_with(&text, &path, Secrets::Leave).context("these answers do not go together")?;
    write(&path, &text, args.force)
        .with_context(|| format!("{} was not written", path.display()))?;
    writeln!(output, "Wrote {}.", path.display())?;
    writeln!(
        output,
        "Look through it, then:\n  vestibule check --config {0}\n  vestibule serve --config {0}",
        path.display()
    )?;
    Ok(())
}

fn ask(
    answers: &mut Answers,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    writeln!(output, "Press Enter to take what stands in [brackets].\n")?;
    for question in QUESTIONS {
        loop {
            let default = (question.default)(answers);
            write!(output, "{} [{default}]: ", question.text)?;
            output.flush()?;
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 {
                bail!("the answers ended before the questions; to take the defaults use --yes");
            }
            let answer = match line.trim() {
                "" => default,
                answer => answer.to_owned(),
            };
            match (question.take)(answers, &answer) {
                Ok(()) => break,
                Err(cause) => writeln!(output, "  {cause}")?,
            }
        }
    }
    writeln!(output)?;
    Ok(())
}

/// Returns the documented configuration with the answers.
fn written(answers: &Answers) -> String {
    let mut text = DOCUMENTED.to_owned();
    let mut exchange = |line: &str, by: String| {
        debug_assert_eq!(text.matches(line).count(), 1, "{line}");
        text = text.replacen(line, &by, 1);
    };
    let address = quoted(&answers.address());
    exchange(
        "hostname = \"gate.corp.example\"\n",
        format!("hostname = {}\n", quoted(&answers.hostname)),
    );
    exchange(
        "\nname = \"it\"\n",
        format!("\nname = {}\n", quoted(&answers.portal)),
    );
    exchange(
        "title = \"IT Help\"\n",
        format!("title = {}\n", quoted(&answers.title)),
    );
    exchange(
        "addresses = [\"it-help@corp.example\"]\n",
        format!("addresses = [{address}]\n"),
    );
    exchange(
        "from = \"IT Help <no-reply@corp.example>\"\n",
        format!("from = {}\n", quoted(&answers.author())),
    );
    exchange(
        "type = \"smtp\"\nurl = \"smtp://127.0.0.1:25\"\n",
        format!("type = \"smtp\"\nurl = {}\n", quoted(&answers.outgoing)),
    );
    let domains: Vec<_> = answers.approved.iter().map(quoted).collect();
    if !domains.is_empty() {
        exchange(
            "#internal.approved_domains = []\n",
            format!("internal.approved_domains = [{}]\n", domains.join(", ")),
        );
    }
    if answers.enforce {
        exchange("#mode = \"report\"\n", "mode = \"enforce\"\n".to_owned());
    }
    match &answers.hand_over {
        HandOver::Smtp(url) => exchange(
            "url = \"smtp://127.0.0.1:2526\"\n",
            format!("url = {}\n", quoted(url)),
        ),
        HandOver::Maildir(path) => {
            let (before, rest) = text
                .split_once("[destination.helpdesk]\n")
                .unwrap_or((&text, ""));
            let (_, after) = rest.split_once("# A Maildir;").unwrap_or(("", rest));
            text = format!(
                "{before}[destination.helpdesk]\ntype = \"maildir\"\npath = {}\n\n# A Maildir;{after}",
                quoted(&path.display())
            );
        }
    }
    text
}

/// Quotes a TOML string.
fn quoted(text: &impl ToString) -> String {
    toml::Value::String(text.to_string()).to_string()
}

fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
