//! `stats`: what came and what became of it, and what waits.

use std::time::Duration;

use super::failure::Outcome;
use super::house::Global;
use super::output::{Column, Layout, Output, note, or_dash, time};
use super::requests::{age, ago};
use crate::domain::PortalName;
use crate::operations::stats;
use crate::store::{EntryCount, RequestCount};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule stats
  vestibule stats --since 1h --portal it
  vestibule stats --since 30d --json")]
pub struct Args {
    /// Count messages that came within this time, such as 1h or 30d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = age)]
    since: Duration,
    /// Only this portal
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
}

const ENTRIES: &[Column<EntryCount>] = &[
    Column::new("portal", Layout::Whole, |count| {
        or_dash(count.portal.as_ref())
    }),
    Column::new("verdict", Layout::Word, |count| count.verdict.to_string()),
    Column::new("reason", Layout::Whole, |count| count.reason.to_string()),
    Column::new("messages", Layout::Number, |count| {
        count.messages.to_string()
    }),
];

const REQUESTS: &[Column<RequestCount>] = &[
    Column::new("portal", Layout::Whole, |count| count.portal.to_string()),
    Column::new("state", Layout::Word, |count| count.state.to_string()),
    Column::new("requests", Layout::Number, |count| {
        count.requests.to_string()
    }),
];

pub async fn run(args: Args, global: &Global, out: &mut Output) -> Outcome {
    let house = global.open().await?;
    let portal = house.portal(args.portal)?;
    let since = ago(args.since);
    let counts = stats(&house.store, since, portal.as_ref()).await?;
    if out.is_json() {
        return out.object(&counts);
    }
    let messages = counts.messages;
    out.heading(&format!("Messages since {}: {messages}", time(since)))?;
    if !counts.entries.is_empty() {
        out.table(&counts.entries, ENTRIES, true)?;
    }
    out.line("")?;
    out.heading("Requests now")?;
    if counts.requests.is_empty() {
        out.flush()?;
        note("none");
        return Ok(());
    }
    out.table(&counts.requests, REQUESTS, true)
}
