//! `replay`: decides messages in files, without side effects.
//!
//! Each message is decided as if it arrived now and were the only one. Effects of one message (an account, a
//! duplicate) do not influence the next, so the order of files is irrelevant.

mod context;
mod decider;
mod expect;
mod mbox;
mod pipeline;
mod send;
mod source;
mod tally;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::context::{Global, unknown_portal};
use super::failure::{CommandError, CommandResult};
use super::output::{Output, note};
use crate::domain::PortalName;
use context::DecisionContext;
use decider::{Decider, ReplayRow};
use expect::Expectations;
use source::{Broken, MboxPart, ReplayMessage};
use tally::ReplayTally;

/// Name of a file of expectations beside the messages.
const BESIDE: &str = "expected.jsonl";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule replay ~/Maildir                       how this would be decided
  vestibule replay old.mbox --access draft.toml    and under these settings
  vestibule replay testdata/mail --expect          against its expected.jsonl
  vestibule replay samples --send 127.0.0.1:2525   send it for real

Without --config, a vestibule.toml in the folder comes before the standard one;
without any, there is one portal, which receives everything.")]
pub struct Args {
    /// Messages (.eml), mbox files, Maildirs, or folders of them
    #[arg(value_name = "FILE|DIR", required = true)]
    messages: Vec<PathBuf>,
    /// Use the settings of this draft instead of the current ones
    #[arg(long, value_name = "FILE")]
    access: Option<PathBuf>,
    /// Fail if the outcome differs from this file; without FILE, expected.jsonl of the folder
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    expect: Option<OsString>,
    /// Decide all messages for this portal
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
    /// Send the messages over SMTP to this server instead, such as 127.0.0.1:2525
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["access", "expect"])]
    send: Option<String>,
}

pub fn run(args: Args, global: &Global, out: &mut Output) -> CommandResult {
    // If one of several is missing, it is reported among the results of the others.
    let is_missing = |path: &PathBuf| path.try_exists().is_ok_and(|there| !there);
    if let Some(missing) = args.messages.first()
        && args.messages.iter().all(is_missing)
    {
        return Err(CommandError::not_found("file or folder", missing.display()));
    }
    // A separate thread drives the database, so that the deciding threads can query it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let access = args.access.as_deref();
    let context = runtime.block_on(DecisionContext::new(global, &args.messages, access))?;
    if let Some(name) = &args.portal
        && context.config.public_portal(name).is_none()
    {
        return Err(unknown_portal(&context.config, name));
    }
    let expected = match &args.expect {
        None => None,
        Some(file) if file.is_empty() => Some(Expectations::read(&beside(&args.messages)?)?),
        Some(file) => Some(Expectations::read(Path::new(file))?),
    };
    let (files, broken) = source::files(&args.messages);
    let decider = Decider::new(&context, args.portal, runtime.handle().clone());
    if let Some(server) = &args.send {
        return runtime.block_on(send::run(server, &decider, files, broken, out));
    }
    if !out.is_json() {
        note(format_args!("decided by {}", context.origin));
    }
    let bar = out.progress(files.iter().map(|file| file.octets).sum());
    let mut tally = ReplayTally::new(expected.as_ref(), bar);
    for Broken { name, cause } in broken {
        tally.count_broken(&name, &cause, out)?;
    }
    pipeline::run_in_order(
        source::pieces(files),
        |piece| decide_part(piece, &decider),
        |results| tally.take(results, out),
    )?;
    tally.finish(out)
}

/// `expected.jsonl` in the one folder that was given.
fn beside(messages: &[PathBuf]) -> Result<PathBuf, CommandError> {
    match messages {
        [folder] if folder.is_dir() => Ok(folder.join(BESIDE)),
        _ => Err(CommandError::Usage(
            "--expect without a file needs one folder that contains expected.jsonl".to_owned(),
        )),
    }
}

/// Result of a piece: one for each of its messages, and its size in octets.
struct Decided {
    results: Vec<Result<ReplayRow, (String, CommandError)>>,
    octets: u64,
}

fn decide_part(piece: MboxPart, decider: &Decider) -> Decided {
    let octets = piece.octets();
    let decide = |message: ReplayMessage| match message {
        Ok((name, raw)) => decider
            .decide(name.clone(), &raw)
            .map_err(|failure| (name, failure)),
        Err(Broken { name, cause }) => Err((name, cause.into())),
    };
    let results = match piece {
        MboxPart::Messages(messages) => messages.into_iter().map(decide).collect(),
        MboxPart::Files(files) => files
            .iter()
            .flat_map(source::messages)
            .map(decide)
            .collect(),
    };
    Decided { results, octets }
}
