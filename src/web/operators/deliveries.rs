//! `/deliveries`: destinations and hooks, their queues, and pausing and resuming a destination.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Redirect;
use minijinja::context;

use super::AppState;
use super::auth::CurrentOperator;
use super::error::Error;
use super::form_fields::{FormFields, QueryFields};
use crate::domain::{DestinationName, RequestState};
use crate::operations::set_paused;
use crate::store::Bounded;
use crate::web::page::Page;

pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    Extension(operator): Extension<CurrentOperator>,
    QueryFields(asked): QueryFields,
) -> Result<Page, Error> {
    let config = app.config();
    let paused = app.store().paused_destinations().await?;
    let backlog = app.store().backlog().await?;
    let mut rows: Vec<_> = config
        .destinations
        .iter()
        .map(|(name, destination)| {
            let portals: Vec<_> = config
                .portals
                .iter()
                .filter(|portal| portal.destination == *name)
                .map(|portal| &portal.name)
                .collect();
            let count = |state| -> Option<String> {
                let found = backlog.iter().find(|backlog| backlog.state == state)?;
                let of_these = found
                    .by_portal
                    .iter()
                    .filter(|(portal, _)| portals.contains(&portal));
                let number = of_these.map(|(_, requests)| requests).sum();
                let more = found.requests.more;
                Some(Bounded { number, more }.to_string())
            };
            context! {
                name => name.as_str(),
                kind => destination.kind(),
                portals => portals.iter().map(ToString::to_string).collect::<Vec<_>>(),
                paused => paused.contains(name),
                waiting => count(RequestState::Released),
                failed => count(RequestState::Failed),
            }
        })
        .collect();
    for hook in &config.hooks {
        let count = app.store().hook_count(hook.name.clone()).await?;
        rows.push(context! {
            name => hook.name.as_str(),
            kind => "hook",
            portals => hook.events.iter().map(ToString::to_string).collect::<Vec<_>>(),
            paused => paused.contains(&hook.name),
            waiting => count.waiting,
            failed => count.failed,
        });
    }
    Ok(operator.page(
        "operators/deliveries.html",
        context! { rows => rows, done => asked.one("done") },
    ))
}

pub(super) async fn act(
    State(app): State<Arc<AppState>>,
    Extension(operator): Extension<CurrentOperator>,
    FormFields(sent): FormFields,
) -> Result<Redirect, Error> {
    let name = sent
        .read("destination", |name| DestinationName::parse(name).ok())?
        .ok_or(Error::NotFound("destination"))?;
    let paused = match sent.one("action") {
        Some("pause") => true,
        Some("resume") => false,
        _ => return Err(Error::Malformed("There is no such action.".to_owned())),
    };
    let (config, by) = (app.config(), operator.actor());
    set_paused(app.store(), &config, &name, paused, by).await?;
    let done = if paused { "paused" } else { "resumed" };
    Ok(Redirect::to(&format!("/deliveries?done={done}")))
}
