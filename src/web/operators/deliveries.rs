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
    let rows: Vec<_> = queues.iter().map(|queue| row(queue, &backlog)).collect();
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

fn row(queue: &QueueStatus, backlog: &[Backlog]) -> Value {
    // Requests are counted up to a bound.
    let count = |state, without: u64| -> Option<String> {
        let found = backlog.iter().find(|backlog| backlog.state == state)?;
        let portals = found.by_portal.iter();
        let here = portals.filter(|(portal, _)| queue.portals.contains(portal));
        let number: u64 = here.map(|(_, requests)| requests).sum();
        let more = found.requests.more;
        let number = if more {
            number
        } else {
            number.saturating_sub(without)
        };
        Some(Bounded { number, more }.to_string()).filter(|_| !queue.portals.is_empty())
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
        waiting => count(RequestState::Released, queue.stopped).unwrap_or_else(|| queue.waiting.to_string()),
        failed => count(RequestState::Failed, 0).unwrap_or_else(|| queue.failed.to_string()),
        stopped => queue.stopped,
        oldest => queue.oldest_waiting.map(when),
        next_try_at => queue.next_try_at.map(when),
        last_error => queue.last_error.as_deref().map(one_line),
    }
}
