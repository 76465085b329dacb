//! `dropped`: dropped messages, the reasons, and their recovery.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::context::{Context, Global};
use super::failure::{CommandError, CommandResult};
use super::output::{Output, TableColumn, columns, or_dash, time};
use super::paging::Paging;
use super::recover::{self, RecoverySelection, recover};
use super::short_id::ShortId;
use super::time_range::{TimeRange, age};
use super::value_parser::word;
use crate::domain::{DomainPattern, EmailAddress, LedgerId, PortalName, Reason, Verdict};
use crate::operations::{DroppedMessage, ago, order_by_time};
use crate::store::{DroppedDomain, LedgerFilter};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule dropped list
  vestibule dropped list --reason domain_not_allowed
  vestibule dropped domains
  vestibule dropped recover --domain acme.example")]
pub enum Command {
    /// List dropped messages, newest first
    #[command(after_help = "\
Examples:
  vestibule dropped list --limit 20
  vestibule dropped list --reason automatic --portal it
  vestibule dropped list --sender bob@acme.example --json
  vestibule dropped list --sender @acme.example --since 7d")]
    List(ListDropped),
    /// Rank the domains that the access settings kept out, with the closest allowed domain
    #[command(after_help = "\
Examples:
  vestibule dropped domains
  vestibule dropped domains --since 7d --limit 10 --json")]
    Domains(RankArgs),
    /// Decide dropped messages again by the current settings, or release them as they are
    #[command(after_help = "\
Examples:
  vestibule dropped recover 01J9ZQ4D8N0VXB7T3WKE5M2R6C
  vestibule dropped recover --domain acme.example
  vestibule dropped recover --all
  vestibule dropped recover 01J9ZQ4D8N0VXB7T3WKE5M2R6C --force
  vestibule dropped recover 01J9ZQ4D8N0VXB7T3WKE5M2R6C --portal it")]
    Recover(RecoverArgs),
    /// Print a dropped message in its original form
    #[command(after_help = "\
Examples:
  vestibule dropped raw 01J9ZQ4D8N0VXB7T3WKE5M2R6C > message.eml")]
    Raw(RawArgs),
}

#[derive(Debug, Args)]
pub struct RankArgs {
    /// Only messages of this period
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = age)]
    since: Duration,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub struct RecoverArgs {
    /// The ledger ids of messages, or their beginnings or ends
    #[arg(value_name = "LEDGER", group = "which")]
    entries: Vec<ShortId>,
    /// All messages for a portal from this domain; *.example.com for all of its subdomains
    #[arg(long, value_name = "DOMAIN", group = "which", value_parser = DomainPattern::parse)]
    domain: Option<DomainPattern>,
    /// All messages for a portal whose content is still kept
    #[arg(long, group = "which")]
    all: bool,
    /// Release these as they are, whatever the reason; later messages of the senders are not affected
    #[arg(long, conflicts_with_all = ["domain", "all"])]
    force: bool,
    /// The sender, for messages without a usable one
    #[arg(long = "as", value_name = "ADDRESS", requires = "force", value_parser = EmailAddress::parse_customer)]
    named: Option<EmailAddress>,
    /// The portal, for messages to an address of Vestibule's own, such as answers to verification mail
    #[arg(long, value_name = "NAME", conflicts_with_all = ["domain", "all"])]
    portal: Option<PortalName>,
}

#[derive(Debug, Args)]
pub struct RawArgs {
    /// The ledger id of the message, or its beginning or end
    #[arg(value_name = "LEDGER")]
    entry: ShortId,
}

#[derive(Debug, Args)]
pub struct ListDropped {
    /// Only those dropped for this reason
    #[arg(long, value_parser = word(Reason::ALL, Reason::as_str))]
    reason: Option<Reason>,
    /// Only those for this portal
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
    /// Only those from this address, or with this part of an address: @acme.example
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    #[command(flatten)]
    period: TimeRange,
    /// List the oldest first
    #[arg(long)]
    oldest_first: bool,
    #[command(flatten)]
    paging: Paging,
}

const COLUMNS: &[TableColumn<DroppedMessage>] = columns! { dropped: DroppedMessage;
    "ledger" Id => dropped.ledger,
    "received" Time 1 => time(dropped.received_at),
    "portal" Whole 3 => or_dash(dropped.portal.as_ref()),
    "reason" Whole => dropped.reason,
    "sender" Whole => or_dash(dropped.sender.as_ref()),
    "recoverable" Whole 2 => match (dropped.request, dropped.recoverable) {
        (Some(_), _) => "released",
        (None, true) => "yes",
        (None, false) => "no",
    },
    "subject" Text => or_dash(dropped.subject.as_ref()),
};

const DOMAINS: &[TableColumn<DroppedDomain>] = columns! { row: DroppedDomain;
    "domain" Whole => row.domain,
    "messages" Number => row.messages,
    "people" Number => row.people,
    "nearest allowed" Whole => or_dash(row.nearest.as_ref()),
};

pub async fn run(command: Command, global: &Global, out: &mut Output) -> CommandResult {
    let context = global.open().await?;
    match command {
        Command::List(list) => {
            let filter = LedgerFilter {
                verdict: Some(Verdict::Dropped),
                reason: list.reason,
                portal: context.listed_portal(list.portal).await?,
                received_after: list.period.since,
                received_before: list.period.until,
                order: order_by_time(list.oldest_first),
                page: list.paging.page(),
                ..LedgerFilter::default()
            }
            .of_sender(list.sender.as_deref());
            let listed = context.store.ledger(filter).await?;
            let row = |entry| DroppedMessage::of(entry, &context.config);
            let rows: Vec<DroppedMessage> = listed.rows.into_iter().map(row).collect();
            out.list(&rows, listed.next.as_deref(), COLUMNS)
        }
        Command::Domains(domains) => {
            let (since, page) = (ago(domains.since), domains.paging.page());
            let listed = context.store.dropped_domains(since, page).await?;
            out.list(&listed.rows, listed.next.as_deref(), DOMAINS)
        }
        Command::Recover(which) if which.force => {
            let portal = context.portal(which.portal)?;
            let entries = ShortId::find_entries(&context, &which.entries).await?;
            recover::force(
                &context,
                entries,
                which.named.as_ref(),
                portal.as_ref(),
                out,
            )
            .await
        }
        Command::Recover(which) => {
            let portal = context.portal(which.portal)?;
            let which = match which.domain {
                Some(domain) => RecoverySelection::Domains(vec![domain]),
                None if which.all => RecoverySelection::All,
                None => RecoverySelection::Entries(
                    ShortId::find_entries(&context, &which.entries).await?,
                ),
            };
            match recover(&context, which, portal.as_ref(), out).await? {
                0 => Err(CommandError::Said),
                _ => Ok(()),
            }
        }
        Command::Raw(RawArgs { entry }) => {
            let entry = entry.find(&context, "ledger entry").await?;
            raw(&context, entry, out).await
        }
    }
}

async fn raw(context: &Context, ledger: LedgerId, out: &mut Output) -> CommandResult {
    let entry = context.store.ledger_entry(ledger).await?;
    let entry = entry.ok_or_else(|| CommandError::not_found("ledger entry", ledger))?;
    if entry.verdict != Verdict::Dropped {
        return Err(CommandError::Failed(anyhow::anyhow!(
            "{ledger} was not dropped; see vestibule requests raw"
        )));
    }
    let raw = context.store.raw(ledger).await?.ok_or_else(|| {
        CommandError::NotFound(format!("the content of {ledger} is no longer kept"))
    })?;
    out.raw(&raw)
}
