//! `/deliveries`: destinations and hooks with their state and queues; pausing, resuming and retrying.

use axum::response::Redirect;
use minijinja::{Value, context};

use super::auth::PageCall;
use super::error::Error;
use super::form_fields::{FormFields, QueryFields};
use super::when;
use crate::domain::{DestinationName, RequestState};
use crate::operations::{QueueState, QueueStatus, list_queue_states, retry_queue, set_paused};
use crate::store::{Backlog, Bounded};
use crate::web::display::one_line;
use crate::web::page::WebPage;

pub(super) async fn list(
    call: PageCall,
    QueryFields(asked): QueryFields,
) -> Result<WebPage, Error> {
    let queues = list_queue_states(call.app.store(), &call.app.config()).await?;
    let backlog = call.app.store().backlog().await?;
    let stopped = call.app.store().stopped_backlog().await?;
    let row = |queue| row(queue, &backlog, &stopped);
    let rows: Vec<_> = queues.iter().map(row).collect();
    Ok(call.operator.page(
        "operators/deliveries.html",
        context! { rows => rows, done => asked.one("done") },
    ))
}

pub(super) async fn act(call: PageCall, FormFields(sent): FormFields) -> Result<Redirect, Error> {
    let name = sent
        .read("destination", |name| DestinationName::parse(name).ok())?
        .ok_or(Error::NotFound("destination"))?;
    let (store, config, by) = (call.app.store(), call.app.config(), call.operator.actor());
    let done = match sent.one("action") {
        Some("pause") => {
            set_paused(store, &config, &name, true, by).await?;
            "paused"
        }
        Some("resume") => {
            set_paused(store, &config, &name, false, by).await?;
            "resumed"
        }
        Some("retry") => {
            retry_queue(store, &config, &name, by).await?;
            "retried"
        }
        _ => return Err(Error::unknown_action()),
    };
    Ok(Redirect::to(&format!("/deliveries?done={done}")))
}

fn row(queue: &QueueStatus, backlog: &[Backlog], stopped: &Backlog) -> Value {
    // Requests are counted up to a bound.
    let count_here = |found: &Backlog| -> Bounded {
        let portals = found.by_portal.iter();
        let here = portals.filter(|(portal, _)| queue.portals.contains(portal));
        Bounded {
            number: here.map(|(_, requests)| requests).sum(),
            more: found.requests.more && !queue.portals.is_empty(),
        }
    };
    let stopped = count_here(stopped);
    let count = |state, without: u64| -> Option<String> {
        let found = backlog.iter().find(|backlog| backlog.state == state)?;
        let mut here = count_here(found);
        if !here.more {
            here.number = here.number.saturating_sub(without);
        }
        Some(here.to_string()).filter(|_| !queue.portals.is_empty())
    };
    context! {
        name => queue.destination.as_str(),
        // With one portal, the list of requests is filtered by it; with several, it shows all requests.
        query => match queue.portals.as_slice() {
            [portal] => format!("&portal={portal}"),
            _ => String::new(),
        },
        kind => queue.kind,
        portals => queue.portals.iter().map(ToString::to_string).collect::<Vec<_>>(),
        events => queue.events.iter().map(ToString::to_string).collect::<Vec<_>>(),
        state => queue.state.as_str(),
        paused => queue.state == QueueState::Paused,
        down_since => queue.down_since.map(when),
        waiting => count(RequestState::Released, stopped.number).unwrap_or_else(|| queue.waiting.to_string()),
        failed => count(RequestState::Failed, 0).unwrap_or_else(|| queue.failed.to_string()),
        stopped => Some(stopped.to_string()).filter(|_| stopped != Bounded::default()),
        oldest => queue.oldest_waiting.map(when),
        next_try_at => queue.next_try_at.map(when),
        last_error => queue.last_error.as_deref().map(one_line),
    }
}
