//! `audit`: what operators did, at the command line, on the pages and through the API.

use clap::Args;

use super::context::Global;
use super::failure::CommandResult;
use super::output::{Output, TableColumn, columns, or_dash, time};
use super::paging::Paging;
use super::time_range::TimeRange;
use crate::domain::Actor;
use crate::store::{AuditEntry, AuditFilter};

/// List what operators did, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vestibule audit
  vestibule audit --operator ann --since 7d
  vestibule audit --event request.released --json")]
pub struct AuditArgs {
    /// Only actions of this operator, or of this system user at the command line
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// Only this event, such as request.released
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    #[command(flatten)]
    period: TimeRange,
    #[command(flatten)]
    paging: Paging,
}

const COLUMNS: &[TableColumn<AuditEntry>] = columns! { row: AuditEntry;
    "at" Time => time(row.at),
    "operator" Whole => Actor::operator_name(&row.actor).unwrap_or(&row.actor),
    "from" Whole 1 => or_dash(row.origin.as_ref()),
    "event" Whole => row.event,
    "account" Text => or_dash(row.account.as_ref()),
    "detail" Text => or_dash(row.detail.as_ref()),
};

pub async fn run(args: AuditArgs, global: &Global, out: &mut Output) -> CommandResult {
    let context = global.open().await?;
    let filter = AuditFilter {
        operator: args.operator,
        event: args.event,
        since: args.period.since,
        until: args.period.until,
        page: args.paging.page(),
    };
    let listed = context.store.audit(filter).await?;
    out.list(&listed.rows, listed.next.as_deref(), COLUMNS)
}
