//! `access`: the settings that decide who may write to a portal. Every change makes a new revision.

mod change;
mod show;
mod simulate;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::context::{Context, Global};
use super::failure::{CommandError, CommandResult};
use super::output::Output;
use super::paging::Paging;
use super::recover::{RecoverySelection, recover as take_up};
use super::time_range::instant;
use super::{settings_file, try_address};
use crate::access::{AccessSettings, Assignment, Key};
use crate::domain::{DomainPattern, EmailAddress, PortalName, Timestamp, join};
use change::change;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule access show
  vestibule access approve corp.example '*.corp.example'
  vestibule access set external.restrict_domains=true
  vestibule access allow partner.example
  vestibule access test bob@partner.example
  vestibule access simulate draft.toml")]
pub enum Command {
    /// Show the current settings, and the source of each value
    #[command(after_help = "\
Examples:
  vestibule access show
  vestibule access show --portal it --json")]
    Show(PortalScope),
    /// Change settings
    #[command(after_help = "\
Examples:
  vestibule access set external.restrict_domains=true
  vestibule access set internal.default_groups=staff,wiki external.verify=true
  vestibule access set external.verify=inherit --portal it")]
    Set(SetArgs),
    /// Add approved domains or addresses: their senders become internal customers
    #[command(after_help = "\
Examples:
  vestibule access approve corp.example
  vestibule access approve '*.corp.example' ann@partner.example --portal it")]
    Approve(PatternArgs),
    /// Add domains or addresses to the allow list: their senders may become external customers
    #[command(after_help = "\
Examples:
  vestibule access allow partner.example
  vestibule access allow '*.partner.example' --dry-run
  vestibule access allow acme.example --recover   (and recover what was dropped)")]
    Allow(Allow),
    /// Add to the deny list: mail of these senders is never accepted, even with an account
    #[command(after_help = "\
An address denies its mailbox: ann@example.com denies ann+news@example.com, too.
--dry-run lists the accounts that this stops.

Examples:
  vestibule access deny eve@evil.example
  vestibule access deny '*.evil.example' '*.top' --dry-run")]
    Deny(DeniedPatterns),
    /// Remove domains and addresses from all lists
    #[command(after_help = "\
Examples:
  vestibule access remove partner.example
  vestibule access remove eve@evil.example")]
    Remove(DeniedPatterns),
    /// List the revisions, newest first
    #[command(after_help = "\
Examples:
  vestibule access history
  vestibule access history --limit 10 --json")]
    History(Paging),
    /// Show the differences between two revisions
    #[command(after_help = "\
Examples:
  vestibule access diff 1 2
  vestibule access diff 3          (against the current settings)")]
    Diff(Diff),
    /// Write the settings as TOML, for `apply` and as a copy
    #[command(after_help = "\
Examples:
  vestibule access export > access.toml
  vestibule access export --revision 3")]
    Export(ExportArgs),
    /// Apply the settings of a file
    #[command(after_help = "\
Examples:
  vestibule access apply access.toml --dry-run
  vestibule access apply access.toml")]
    Apply(Apply),
    /// Show the verdict on ordinary mail from an address
    #[command(after_help = "\
Examples:
  vestibule access test ann@corp.example
  vestibule access test bob@partner.example --portal it --json
  vestibule access test bob@partner.example --access draft.toml")]
    Test(Test),
    /// Show what a draft would have changed for the mail of the last days
    #[command(after_help = "\
Each message is decided again with the account that its sender had at the time:
a sender without one then counts as new. Existing accounts keep their access,
whatever the draft says.

Examples:
  vestibule access export > draft.toml     (then edit it)
  vestibule access simulate draft.toml
  vestibule access simulate draft.toml --since 7d --portal it --json")]
    Simulate(Simulate),
}

#[derive(Debug, Args)]
pub struct PortalScope {
    /// A portal's settings instead of the site's
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
}

#[derive(Debug, Args)]
pub struct DryRun {
    /// Only report what would change
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct ChangeScope {
    #[command(flatten)]
    whose: PortalScope,
    #[command(flatten)]
    how: DryRun,
}

#[derive(Debug, Args)]
pub struct SetArgs {
    /// Settings and values; lists are comma-separated, `inherit` removes a portal's override
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = Assignment::parse)]
    assignments: Vec<Assignment>,
    #[command(flatten)]
    scope: ChangeScope,
}

#[derive(Debug, Args)]
pub struct PatternArgs {
    /// example.com for that domain only, *.example.com for its subdomains, or one address
    #[arg(value_name = "DOMAIN", required = true, value_parser = DomainPattern::parse)]
    patterns: Vec<DomainPattern>,
    #[command(flatten)]
    scope: ChangeScope,
}

/// As [`PatternArgs`], for the deny list, which may hold a public suffix.
#[derive(Debug, Args)]
pub struct DeniedPatterns {
    /// example.com for that domain only, *.example.com for its subdomains, or one address
    #[arg(value_name = "PATTERN", required = true, value_parser = DomainPattern::parse_denied)]
    patterns: Vec<DomainPattern>,
    #[command(flatten)]
    scope: ChangeScope,
}

#[derive(Debug, Args)]
pub struct Allow {
    #[command(flatten)]
    domains: PatternArgs,
    /// Decide dropped messages of these domains again
    #[arg(long, conflicts_with = "dry_run")]
    recover: bool,
}

#[derive(Debug, Args)]
pub struct Diff {
    /// A revision
    #[arg(value_name = "A")]
    from: u64,
    /// A later revision; the current one by default
    #[arg(value_name = "B")]
    to: Option<u64>,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A revision; the current one by default
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Apply {
    /// TOML as `export` writes it, or a configuration with an [access] section
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    how: DryRun,
}

#[derive(Debug, Args)]
pub struct Test {
    /// The sender's address
    #[arg(value_name = "ADDRESS", value_parser = EmailAddress::parse_customer)]
    address: EmailAddress,
    /// The recipient portal; every portal by default
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
    /// Use the settings of this draft instead of the current ones
    #[arg(long, value_name = "FILE")]
    access: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Simulate {
    /// TOML as `export` writes it, or a configuration with an [access] section
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only messages since this time: a day, a time, or how long ago
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = instant)]
    since: Timestamp,
    /// Only messages for this portal
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
    /// Maximum number of domains and of messages that are listed
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub async fn run(command: Command, global: &Global, out: &mut Output) -> CommandResult {
    let context = global.open().await?;
    match command {
        Command::Show(whose) => show::show(&context, whose.portal, out).await,
        Command::Set(set) => {
            let portal = context.portal(set.scope.whose.portal)?;
            change(&context, set.scope.how.dry_run, out, |settings| {
                settings
                    .with(portal.as_ref(), &set.assignments)
                    .map_err(|error| CommandError::Usage(error.to_string()))
            })
            .await
        }
        Command::Approve(PatternArgs { patterns, scope }) => {
            let key = Key::InternalApprovedDomains;
            add(&context, key, &patterns, scope, out).await
        }
        Command::Allow(Allow { domains, recover }) => {
            let PatternArgs { patterns, scope } = domains;
            let key = Key::ExternalAllowedDomains;
            add(&context, key, &patterns, scope, out).await?;
            if recover {
                take_up(&context, RecoverySelection::Domains(patterns), None, out).await?;
            }
            Ok(())
        }
        Command::Deny(DeniedPatterns { patterns, scope }) => {
            add(&context, Key::Denied, &patterns, scope, out).await
        }
        Command::Remove(DeniedPatterns { patterns, scope }) => {
            let portal = context.portal(scope.whose.portal)?;
            change(&context, scope.how.dry_run, out, |settings| {
                let (settings, unknown) = settings.without_domains(portal.as_ref(), &patterns);
                match unknown.as_slice() {
                    [] => Ok(settings),
                    unknown => Err(CommandError::NotFound(format!(
                        "no list contains {}; see vestibule access show",
                        join(unknown, ", ")
                    ))),
                }
            })
            .await
        }
        Command::History(paging) => show::history(&context, paging.page(), out).await,
        Command::Diff(diff) => show::diff(&context, diff.from, diff.to, out).await,
        Command::Export(export) => show::export(&context, export.revision, out).await,
        Command::Apply(apply) => {
            let draft = read_draft(&context, &apply.file)?;
            change(&context, apply.how.dry_run, out, |_| Ok(draft.clone())).await
        }
        Command::Test(test) => {
            let draft = test
                .access
                .as_deref()
                .map(settings_file::read)
                .transpose()?;
            let portal = context.portal(test.portal)?;
            try_address::run(&context, &test.address, portal, draft, out).await
        }
        Command::Simulate(simulate) => {
            let draft = read_draft(&context, &simulate.file)?;
            let portal = context.portal(simulate.portal)?;
            let most = usize::try_from(simulate.limit).unwrap_or(usize::MAX);
            simulate::run(&context, draft, portal, simulate.since, most, out).await
        }
    }
}

async fn add(
    context: &Context,
    key: Key,
    patterns: &[DomainPattern],
    scope: ChangeScope,
    out: &mut Output,
) -> CommandResult {
    let portal = context.portal(scope.whose.portal)?;
    change(context, scope.how.dry_run, out, |settings| {
        Ok(settings.with_domains(portal.as_ref(), key, patterns))
    })
    .await
}

/// Reads a draft. A portal that the configuration does not have is an error.
fn read_draft(context: &Context, file: &Path) -> Result<AccessSettings, CommandError> {
    let draft = settings_file::read(file)?;
    for portal in draft.portals.keys() {
        context.portal(Some(portal.clone()))?;
    }
    Ok(draft)
}
