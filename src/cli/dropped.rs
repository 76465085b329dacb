//! `dropped`: what was not passed on, and why.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::customers::word;
use super::failure::Outcome;
use super::house::Global;
use super::output::{Column, Layout, Output, or_dash, time};
use super::paging::Paging;
use crate::domain::{EmailAddress, LedgerId, PortalName, Reason, Timestamp, Verdict};
use crate::store::{LedgerEntry, LedgerFilter};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule dropped list
  vestibule dropped list --reason domain_not_allowed")]
pub enum Command {
    /// List dropped messages, newest first
    #[command(after_help = "\
Examples:
  vestibule dropped list --limit 20
  vestibule dropped list --reason automatic --portal it
  vestibule dropped list --sender bob@acme.example --json")]
    List(List),
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those dropped for this reason
    #[arg(long, value_parser = word(Reason::ALL, Reason::as_str))]
    reason: Option<Reason>,
    /// Only those for this portal
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
    /// Only those from this address
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<EmailAddress>,
    #[command(flatten)]
    paging: Paging,
}

/// One dropped message.
#[derive(Serialize)]
struct Dropped {
    ledger: LedgerId,
    sender: Option<EmailAddress>,
    domain: Option<String>,
    portal: Option<PortalName>,
    reason: Reason,
    subject: Option<String>,
    received_at: Timestamp,
    /// The content is still kept.
    recoverable: bool,
}

impl From<LedgerEntry> for Dropped {
    fn from(entry: LedgerEntry) -> Self {
        Self {
            ledger: entry.ledger,
            domain: entry
                .sender
                .as_ref()
                .map(|sender| sender.domain().to_string()),
            sender: entry.sender,
            portal: entry.portal,
            reason: entry.reason,
            subject: entry.facts.subject,
            received_at: entry.received_at,
            recoverable: entry.content_kept,
        }
    }
}

const COLUMNS: &[Column<Dropped>] = &[
    Column::new("ledger", Layout::Whole, |dropped| {
        dropped.ledger.to_string()
    }),
    Column::new("received", Layout::Whole, |dropped| {
        time(dropped.received_at)
    }),
    Column::new("portal", Layout::Whole, |dropped| {
        or_dash(dropped.portal.as_ref())
    }),
    Column::new("reason", Layout::Whole, |dropped| {
        dropped.reason.to_string()
    }),
    Column::new("sender", Layout::Whole, |dropped| {
        or_dash(dropped.sender.as_ref())
    }),
    Column::new("kept", Layout::Whole, |dropped| {
        if dropped.recoverable { "yes" } else { "no" }.to_owned()
    }),
    Column::new("subject", Layout::Text, |dropped| {
        or_dash(dropped.subject.as_ref())
    }),
];

pub async fn run(command: Command, global: &Global, out: &mut Output) -> Outcome {
    let house = global.open().await?;
    match command {
        Command::List(list) => {
            let listed = house
                .store
                .ledger(LedgerFilter {
                    verdict: Some(Verdict::Dropped),
                    reason: list.reason,
                    portal: house.portal(list.portal)?,
                    sender: list.sender,
                    page: list.paging.page(),
                    ..LedgerFilter::default()
                })
                .await?;
            let rows: Vec<Dropped> = listed.rows.into_iter().map(Dropped::from).collect();
            out.list(&rows, listed.next.as_deref(), COLUMNS)
        }
    }
}
