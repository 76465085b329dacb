//! `requests`: held, released, failed and delivered requests.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

use super::context::{Context, Global, actor};
use super::failure::{CommandError, CommandResult};
use super::output::{Output, TableColumn, columns, fields, note, or_dash, size, time};
use super::paging::Paging;
use super::short_id::ShortId;
use super::time_range::{TimeRange, age};
use super::value_parser::word;
use crate::domain::{DestinationName, EmailAddress, PortalName, Reason, RequestId, RequestState};
use crate::operations::{
    RequestAction, WaitingCauses, act_on_requests, ago, earlier, matching_requests, order_by_time,
};
use crate::store::{Request, RequestFilter};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule requests list --state held
  vestibule requests release 01J9ZQ4D8N0VXB7T3WKE5M2R6C
  vestibule requests retry --all-failed --portal it")]
pub enum Command {
    /// List requests, newest first
    #[command(after_help = "\
Examples:
  vestibule requests list --state failed
  vestibule requests list --state held --older-than 3d --oldest-first
  vestibule requests list --since 2026-11-01 --until 2026-11-08
  vestibule requests list --account ann@corp.example --json")]
    List(ListRequests),
    /// Show one request
    #[command(after_help = "\
Examples:
  vestibule requests show 01J9ZQ4D8N0VXB7T3WKE5M2R6C")]
    Show(RequestArg),
    /// Release held, discarded or expired requests without verification of the address
    ///
    /// Also releases stopped and failed requests of a blocked account, which cannot be retried.
    #[command(after_help = "\
Examples:
  vestibule requests release 01J9ZQ4D8N0VXB7T3WKE5M2R6C")]
    Release(RequestArgs),
    /// Discard held, released or failed requests
    #[command(after_help = "\
Examples:
  vestibule requests discard 01J9ZQ4D8N0VXB7T3WKE5M2R6C")]
    Discard(RequestArgs),
    /// Retry delivery immediately
    #[command(after_help = "\
Examples:
  vestibule requests retry 01J9ZQ4D8N0VXB7T3WKE5M2R6C
  vestibule requests retry --all-failed
  vestibule requests retry --all-failed --portal it
  vestibule requests retry --destination helpdesk --state failed
  vestibule requests retry --destination helpdesk --state released")]
    Retry(RetryArgs),
    /// Write the original message to standard output
    #[command(after_help = "\
Examples:
  vestibule requests raw 01J9ZQ4D8N0VXB7T3WKE5M2R6C > message.eml")]
    Raw(RequestArg),
}

#[derive(Debug, Args)]
pub struct ListRequests {
    /// Only requests in this state
    #[arg(long, value_parser = word(RequestState::ALL, RequestState::as_str))]
    state: Option<RequestState>,
    /// Only requests for this portal
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
    /// Only requests of this account
    #[arg(long, value_name = "ADDRESS")]
    account: Option<EmailAddress>,
    /// Only requests whose message has a verdict of this reason
    #[arg(long, value_parser = word(Reason::ALL, Reason::as_str))]
    reason: Option<Reason>,
    #[command(flatten)]
    period: TimeRange,
    /// Only requests received longer ago than this, such as 3d or 1h30m
    #[arg(long, value_name = "TIME", value_parser = age)]
    older_than: Option<Duration>,
    /// Only requests received more recently than this
    #[arg(long, value_name = "TIME", value_parser = age)]
    newer_than: Option<Duration>,
    /// List the oldest first
    #[arg(long)]
    oldest_first: bool,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Args)]
pub struct RequestArg {
    /// The request's id, or its beginning or end
    #[arg(value_name = "ID")]
    request: ShortId,
}

#[derive(Debug, Args)]
pub struct RequestArgs {
    /// The requests' ids, or their beginnings or ends
    #[arg(value_name = "ID", required = true)]
    requests: Vec<ShortId>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true)
    .args(["requests", "all_failed", "state", "destination"]))]
pub struct RetryArgs {
    /// The requests' ids, or their beginnings or ends
    #[arg(value_name = "ID", conflicts_with_all = ["all_failed", "state", "destination", "portal"])]
    requests: Vec<ShortId>,
    /// Every failed request
    #[arg(long, conflicts_with = "state")]
    all_failed: bool,
    /// Every request in this state: failed (the default), or released, which are those that wait for their
    /// next attempt
    #[arg(long, value_parser = word(&[RequestState::Failed, RequestState::Released], RequestState::as_str))]
    state: Option<RequestState>,
    /// Only those for this portal
    #[arg(long, value_name = "NAME", requires = "which")]
    portal: Option<PortalName>,
    /// Only those for the portals of this destination
    #[arg(long, value_name = "NAME")]
    destination: Option<DestinationName>,
}

/// Columns of lists of requests.
pub const COLUMNS: &[TableColumn<Request>] = columns! { request: Request;
    "id" Id => request.id,
    "received" Time 1 => time(request.received_at),
    "portal" Whole 2 => request.portal,
    "state" Word => state(request),
    "account" Whole => request.account,
    "size" Number 3 => size(request.size),
    "subject" Text => or_dash(request.subject.as_ref()),
};

/// The state, with a remark if deliveries of a released request keep failing.
fn state(request: &Request) -> String {
    if request.failing {
        format!("{}, failing", request.state)
    } else {
        request.state.to_string()
    }
}

pub async fn run(command: Command, global: &Global, out: &mut Output) -> CommandResult {
    let context = global.open().await?;
    match command {
        Command::List(list) => {
            let listed = context
                .store
                .requests(RequestFilter {
                    state: list.state,
                    portal: context.listed_portal(list.portal).await?,
                    account: list.account,
                    reason: list.reason,
                    received_before: earlier(list.older_than.map(ago), list.period.until),
                    received_after: list.newer_than.map(ago).max(list.period.since),
                    order: order_by_time(list.oldest_first),
                    page: list.paging.page(),
                })
                .await?;
            let causes = WaitingCauses::read(&context.store, &context.config).await?;
            let listed = causes.explain_list(listed);
            out.list(&listed.rows, listed.next.as_deref(), COLUMNS)
        }
        Command::Show(which) => {
            let request = which.find(&context).await?;
            let causes = WaitingCauses::read(&context.store, &context.config).await?;
            show(&causes.explain(request), out)
        }
        Command::Release(several) => {
            let requests = ShortId::find_requests(&context, &several.requests).await?;
            act(&context, RequestAction::Release, requests, out).await
        }
        Command::Discard(several) => {
            let requests = ShortId::find_requests(&context, &several.requests).await?;
            act(&context, RequestAction::Discard, requests, out).await
        }
        Command::Retry(retry) => {
            let requests = if retry.requests.is_empty() {
                retry.all(&context).await?
            } else {
                ShortId::find_requests(&context, &retry.requests).await?
            };
            if requests.is_empty() {
                note(match retry.state {
                    Some(RequestState::Released) => "no request waits",
                    _ => "no request has failed",
                });
            }
            act(&context, RequestAction::Retry, requests, out).await
        }
        Command::Raw(which) => {
            let request = which.find(&context).await?;
            let raw = context.store.raw(request.ledger).await?.ok_or_else(|| {
                CommandError::NotFound(format!(
                    "the message of request {} is no longer kept",
                    request.id
                ))
            })?;
            out.raw(&raw)
        }
    }
}

impl RequestArg {
    async fn find(&self, context: &Context) -> Result<Request, CommandError> {
        let id = self.request.find_request(context).await?;
        let request = context.store.request(id).await?;
        request.ok_or_else(|| CommandError::not_found("request", id))
    }
}

impl RetryArgs {
    /// All requests that match the filters, oldest first, so that the order of release is kept.
    async fn all(&self, context: &Context) -> Result<Vec<RequestId>, CommandError> {
        let portal = self.portal.clone();
        let portals = match &self.destination {
            // Also requests for portals that the configuration does not have any more.
            None => vec![context.listed_portal(portal).await?],
            Some(name) => {
                context.destination(name)?;
                let portal = context.portal(portal)?;
                let portals = context.config.portals.iter().filter(|wanted| {
                    wanted.destination == *name
                        && portal.as_ref().is_none_or(|name| *name == wanted.name)
                });
                portals.map(|wanted| Some(wanted.name.clone())).collect()
            }
        };
        let mut ids = Vec::new();
        for portal in portals {
            let filter = RequestFilter {
                state: Some(self.state.unwrap_or(RequestState::Failed)),
                portal,
                ..RequestFilter::default()
            };
            ids.extend(matching_requests(&context.store, filter).await?);
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

/// Applies an action to each request; a failure of one does not affect the others.
async fn act(
    context: &Context,
    action: RequestAction,
    requests: Vec<RequestId>,
    out: &mut Output,
) -> CommandResult {
    let Context { store, config } = context;
    let outcomes = act_on_requests(store, config, action, requests, &actor()).await?;
    let causes = WaitingCauses::read(store, config).await?;
    let is_one = outcomes.len() == 1;
    let mut worst = None;
    for (id, outcome) in outcomes {
        match outcome {
            Ok(request) if out.is_json() => out.object(&request)?,
            Ok(request) => match causes.of(&request) {
                Some(cause) => {
                    out.line(format_args!("{id} is {}, waiting: {cause}", request.state))?;
                }
                None => out.line(format_args!("{id} is {}", request.state))?,
            },
            Err(error) if is_one => return Err(error.into()),
            Err(error) => {
                out.flush()?;
                note(format_args!("error: {id}: {error}"));
                worst = Some(CommandError::Said);
            }
        }
    }
    worst.map_or(Ok(()), Err)
}

fn show(request: &Request, out: &mut Output) -> CommandResult {
    if out.is_json() {
        return out.object(request);
    }
    out.fields(fields! {
        "id" => Some(request.id),
        "state" => Some(state(request)),
        "portal" => Some(&request.portal),
        "account" => Some(&request.account),
        "subject" => request.subject.as_ref(),
        "message id" => request.message_id.as_ref(),
        "size" => Some(size(request.size)),
        "received" => Some(time(request.received_at)),
        "released" => request.released_at.map(time),
        "settled" => request.settled_at.map(time),
        "attempts" => request.released_at.map(|_| request.attempts),
        "next attempt" => request.next_attempt_at.map(time),
        "last error" => request.last_error.as_ref(),
        "ledger" => Some(request.ledger),
    })?;
    out.hint(format_args!("why: vestibule explain {}", request.ledger))
}
