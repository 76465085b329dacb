//! `deliveries`: destinations and hooks, and their queues.

use clap::{Args, Subcommand};

use super::context::{Context, Global, actor};
use super::failure::{CommandError, CommandResult};
use super::output::{Output, TableColumn, columns, note, or_dash, time};
use super::paging::Paging;
use super::time_range::TimeRange;
use crate::domain::{DestinationName, EmailAddress, HOOK_EVENTS, join};
use crate::operations::{
    QueueState, QueueStatus, find_queue, list_queues, retry_queue, set_paused,
};
use crate::store::{FailedCall, FailedCallFilter};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule deliveries list
  vestibule deliveries pause helpdesk
  vestibule deliveries retry directory")]
pub enum Command {
    /// List destinations and hooks, and their queues
    #[command(after_help = "\
Examples:
  vestibule deliveries list
  vestibule deliveries list --json")]
    List,
    /// Pause a destination or hook: its requests or calls wait
    #[command(after_help = "\
Examples:
  vestibule deliveries pause helpdesk")]
    Pause(QueueArg),
    /// Resume a paused destination or hook
    #[command(after_help = "\
Examples:
  vestibule deliveries resume helpdesk")]
    Resume(QueueArg),
    /// Immediately retry all failed and all waiting deliveries of a destination or hook
    #[command(after_help = "\
Examples:
  vestibule deliveries retry directory")]
    Retry(QueueArg),
    /// List the calls of a hook that failed for good, newest first
    #[command(after_help = "\
Examples:
  vestibule deliveries failed directory
  vestibule deliveries failed directory --account ann@corp.example
  vestibule deliveries failed directory --event account.created --since 7d")]
    Failed(FailedArgs),
}

#[derive(Debug, Args)]
pub struct FailedArgs {
    /// The hook's name in the configuration
    #[arg(value_name = "NAME")]
    hook: DestinationName,
    /// Only calls about the account with this address
    #[arg(long, value_name = "ADDRESS", value_parser = EmailAddress::parse)]
    account: Option<EmailAddress>,
    /// Only calls about this event
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(HOOK_EVENTS))]
    event: Option<String>,
    #[command(flatten)]
    period: TimeRange,
    #[command(flatten)]
    paging: Paging,
}

const CALLS: &[TableColumn<FailedCall>] = columns! { call: FailedCall;
    "event" Whole => call.event,
    "address" Whole 1 => or_dash(call.address.as_ref()),
    "created" Time => time(call.created_at),
    "attempts" Number => call.attempts,
    "last error" Wrapped => or_dash(call.last_error.as_ref()),
};

#[derive(Debug, Args)]
pub struct QueueArg {
    /// The destination's or hook's name in the configuration
    #[arg(value_name = "NAME")]
    destination: DestinationName,
}

const COLUMNS: &[TableColumn<QueueStatus>] = columns! { queue: QueueStatus;
    "destination" Whole => queue.destination,
    "type" Whole 1 => queue.kind,
    "state" Word => queue.state.as_str(),
    "waiting" Number => queue.waiting,
    "failed" Number => queue.failed,
    "oldest" Time 2 => queue.oldest_waiting.map_or_else(|| "-".to_owned(), time),
    "next try" Time 3 => queue.next_try_at.map_or_else(|| "-".to_owned(), time),
    "last error" Wrapped => or_dash(queue.last_error.as_ref()),
    "for" Wrapped => {
        let portals = queue.portals.iter().map(ToString::to_string);
        let events = queue.events.iter().map(ToString::to_string);
        join(portals.chain(events), ", ")
    },
};

pub async fn run(command: Command, global: &Global, out: &mut Output) -> CommandResult {
    let context = global.open().await?;
    match command {
        Command::List => {
            let queues = list_queues(&context.store, &context.config).await?;
            out.list(&queues, None, COLUMNS)
        }
        Command::Pause(which) => pause(&context, which, true, out).await,
        Command::Resume(which) => pause(&context, which, false, out).await,
        Command::Retry(which) => retry(&context, which, out).await,
        Command::Failed(list) => {
            check_hook(&context, &list.hook)?;
            let filter = FailedCallFilter {
                hook: list.hook,
                account: list.account,
                event: list.event,
                since: list.period.since,
                until: list.period.until,
                page: list.paging.page(),
            };
            let listed = context.store.failed_calls(filter).await?;
            out.list(&listed.rows, listed.next.as_deref(), CALLS)
        }
    }
}

/// Refuses a name that the configuration does not have.
fn check(context: &Context, name: &DestinationName) -> CommandResult {
    let destinations = context.config.destinations.keys();
    let hooks = context.config.hooks.iter().map(|hook| &hook.name);
    let known: Vec<_> = destinations.chain(hooks).collect();
    if known.contains(&name) {
        return Ok(());
    }
    Err(CommandError::NotFound(format!(
        "there is no destination or hook {name}; there are {}",
        join(known, ", ")
    )))
}

/// Refuses the name of a destination, which has failed requests instead of calls.
fn check_hook(context: &Context, name: &DestinationName) -> CommandResult {
    check(context, name)?;
    if context.config.hooks.iter().any(|hook| hook.name == *name) {
        return Ok(());
    }
    Err(CommandError::Usage(format!(
        "{name} is a destination, not a hook; to see what failed there: vestibule requests list --state failed"
    )))
}

async fn pause(
    context: &Context,
    which: QueueArg,
    paused: bool,
    out: &mut Output,
) -> CommandResult {
    let QueueArg { destination: name } = which;
    check(context, &name)?;
    let Context { store, config } = context;
    set_paused(store, config, &name, paused, actor()).await?;
    print_queue(&find_queue(store, config, &name).await?, out)
}

async fn retry(context: &Context, which: QueueArg, out: &mut Output) -> CommandResult {
    let QueueArg { destination: name } = which;
    check(context, &name)?;
    let Context { store, config } = context;
    retry_queue(store, config, &name, actor()).await?;
    let queue = find_queue(store, config, &name).await?;
    print_queue(&queue, out)?;
    if queue.state == QueueState::Paused {
        out.flush()?;
        note(format_args!(
            "nothing is attempted until it is resumed: vestibule deliveries resume {name}"
        ));
    }
    Ok(())
}

fn print_queue(queue: &QueueStatus, out: &mut Output) -> CommandResult {
    if out.is_json() {
        return out.object(queue);
    }
    let stopped = match queue.stopped {
        0 => String::new(),
        stopped => format!(", {stopped} stopped because their accounts are blocked"),
    };
    out.line(format_args!(
        "{} is {}; {} waiting{stopped}",
        queue.destination,
        queue.state.as_str(),
        queue.waiting
    ))
}
