//! `customers forget`: erases a person's data. Asks for confirmation, because it cannot be undone.

use std::io::{BufRead, IsTerminal};

use serde::Serialize;

use crate::cli::context::{Context, actor};
use crate::cli::failure::{CommandError, CommandResult};
use crate::cli::output::{Output, advance, fields, note};
use crate::config::Hook;
use crate::domain::{EmailAddress, PortalName, join};
use crate::operations::{complete_erasure, forget_customer};
use crate::store::{Forgotten, Holdings};

/// Forget a person: content, account, verification mail and links; the ledger keeps a pseudonym
///
/// For a person who asks to be forgotten (GDPR, article 17). Pending requests are discarded. The ledger keeps
/// one entry a message, with its verdict and the rule, under a pseudonym, so that all its promises still
/// hold. It cannot be undone. Later mail from the address is decided as mail from a new sender. Not reached:
/// copies in a help desk, backups, and the log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule customers export ann@corp.example   # first, if a copy is wanted
  vestibule customers forget ann@corp.example
  vestibule customers forget ann@ann-smith.example --domain --yes

Exit status: 0 forgotten, 1 not, or not completely (run it again to finish),
3 nothing is known about the address, and no trace of an earlier run remains.")]
pub struct Args {
    /// The person's address; it need not have an account
    #[arg(value_name = "ADDRESS", value_parser = EmailAddress::parse_stored)]
    address: EmailAddress,
    /// Forget the domain as well, if it belongs to the person
    #[arg(long)]
    domain: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

/// Told if not everything was overwritten.
const TRACES: &str = "deleted data may remain in free pages, or in the write-ahead log while it is being read; \
     run this command again, or vestibule compact, which rewrites the file while the service is stopped";

/// The JSON object: what was stored, and the summary of the erasure.
#[derive(Serialize)]
struct Done<'a> {
    account: bool,
    contents: u64,
    held: u64,
    released: u64,
    #[serde(rename = "letters")]
    verification_mails: u64,
    delivered: &'a [(PortalName, u64)],
    /// Has `entries` too: those that are under the pseudonym.
    #[serde(flatten)]
    forgotten: &'a Forgotten,
}

impl<'a> Done<'a> {
    fn new(before: &'a Holdings, forgotten: &'a Forgotten) -> Self {
        Self {
            account: before.account,
            contents: before.contents,
            held: before.held,
            released: before.released,
            verification_mails: before.verification_mails,
            delivered: &before.delivered,
            forgotten,
        }
    }
}

pub async fn run(context: &Context, args: Args, out: &mut Output) -> CommandResult {
    let address = args.address;
    let before = context.store.holdings(address.clone()).await?;
    if before.is_nothing() {
        return complete(context, &address).await;
    }
    if !args.yes {
        describe(&address, &before, &context.config.hooks, out)?;
        ask(&address)?;
    }
    let bar = out.progress(0);
    let (store, by, progress) = (&context.store, actor(), advance(&bar));
    let done = forget_customer(store, address.clone(), args.domain, by, progress).await;
    bar.finish_and_clear();
    let done = done?;
    if out.is_json() {
        out.object(&Done::new(&before, &done))?;
    } else {
        print_outcome(&address, &before, &done, &context.config.hooks, out)?;
    }
    if done.overwritten {
        return Ok(());
    }
    out.flush()?;
    note(TRACES);
    Err(CommandError::Said)
}

/// Completes an earlier run, if there was one: nothing is known about the address, but traces may remain.
async fn complete(context: &Context, address: &EmailAddress) -> CommandResult {
    if let Some(hooks) = describe_hooks(&context.config.hooks) {
        note(format_args!("hooks: {hooks}"));
    }
    if complete_erasure(&context.store, address, actor()).await? {
        return Err(CommandError::not_found("message or account of", address));
    }
    note(format_args!("nothing is known about {address}"));
    note(TRACES);
    Err(CommandError::Said)
}

fn describe(
    address: &EmailAddress,
    before: &Holdings,
    hooks: &[Hook],
    out: &mut Output,
) -> CommandResult {
    let some = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let waiting = before.held + before.released;
    out.line(format_args!("This will forget {address}:"))?;
    out.fields(fields! {
        "  account" => before.account.then_some("removed"),
        "  waiting" => some(waiting, "discarded, not yet delivered"),
        "  contents" => some(before.contents, "removed"),
        "  mail" => some(before.verification_mails, "removed, with their links"),
        "  ledger" => some(before.entries, "put under a pseudonym"),
        "  delivered" => describe_deliveries(before),
        "  hooks" => describe_hooks(hooks),
    })?;
    out.flush()
}

/// Copies that are outside this installation.
fn describe_deliveries(before: &Holdings) -> Option<String> {
    let by_portal = before.delivered.iter();
    let by_portal = by_portal.map(|(portal, count)| format!("{count} for {portal}"));
    (!before.delivered.is_empty()).then(|| {
        format!(
            "{}; the help desk has those copies, and must forget them itself",
            join(by_portal, ", ")
        )
    })
}

/// Systems that may know the account, also one that expired and left nothing, and are not told of its deletion.
fn describe_hooks(hooks: &[Hook]) -> Option<String> {
    (!hooks.is_empty()).then(|| {
        format!(
            "{} may have received events of the account; the systems behind them must forget it themselves",
            join(hooks.iter().map(|hook| &hook.name), ", ")
        )
    })
}

/// Asks for confirmation of an action that cannot be undone.
fn ask(address: &EmailAddress) -> CommandResult {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(CommandError::Usage(
            "standard input is not a terminal; add --yes to skip the confirmation".to_owned(),
        ));
    }
    eprint!("This cannot be undone. To continue, type the address again: ");
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if answer.trim().eq_ignore_ascii_case(&address.to_string()) {
        Ok(())
    } else {
        note("nothing was done");
        Err(CommandError::Said)
    }
}

fn print_outcome(
    address: &EmailAddress,
    before: &Holdings,
    done: &Forgotten,
    hooks: &[Hook],
    out: &mut Output,
) -> CommandResult {
    out.line(format_args!("{address} is forgotten"))?;
    out.fields(fields! {
        "entries" => Some(done.entries),
        "known as" => Some(&done.pseudonym),
        "discarded" => Some(done.discarded).filter(|count| *count > 0),
        "contents" => Some(before.contents),
        "mail" => Some(before.verification_mails),
        "delivered" => describe_deliveries(before),
        "hooks" => describe_hooks(hooks),
        "elsewhere" => Some("backups and earlier log lines still contain it"),
        "from now on" => Some("mail from the address counts as mail from a new sender"),
    })
}
