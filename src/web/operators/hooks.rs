//! `/hooks/{name}`: calls of a hook that failed for good.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use minijinja::context;

use super::auth::CurrentOperator;
use super::error::Error;
use super::form_fields::QueryFields;
use super::{AppState, when};
use crate::domain::DestinationName;
use crate::operations::find_queue;
use crate::web::display::one_line;
use crate::web::page::WebPage;

pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    Extension(operator): Extension<CurrentOperator>,
    Path(name): Path<String>,
    QueryFields(query): QueryFields,
) -> Result<WebPage, Error> {
    let name = DestinationName::parse(&name).map_err(|_| Error::NotFound("hook"))?;
    if !app.config().hooks.iter().any(|hook| hook.name == name) {
        return Err(Error::NotFound("hook"));
    }
    let queue = find_queue(app.store(), &app.config(), &name).await?;
    let listed = app.store().failed_calls(name.clone(), query.page()).await?;
    let rows: Vec<_> = listed
        .rows
        .iter()
        .map(|call| {
            context! {
                event => call.event.as_str(),
                created_at => when(call.created_at),
                attempts => call.attempts,
                last_error => call.last_error.as_deref().map(one_line),
            }
        })
        .collect();
    let path = format!("/hooks/{name}");
    Ok(operator.page(
        "operators/hook.html",
        context! {
            name => name.as_str(),
            state => queue.state.as_str(),
            waiting => queue.waiting,
            failed => queue.failed,
            last_error => queue.last_error.as_deref().map(one_line),
            rows => rows,
            next_page => query.older(&path, listed.next.as_deref()),
            newer_page => query.newer(&path),
        },
    ))
}
