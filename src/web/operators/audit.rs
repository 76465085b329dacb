//! `/audit`: operators' actions, newest first, from the command line as well as from these pages.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use minijinja::context;

use super::auth::CurrentOperator;
use super::error::Error;
use super::form_fields::QueryFields;
use super::{AppState, when};
use crate::web::display::one_line;
use crate::web::page::Page;

pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    Extension(operator): Extension<CurrentOperator>,
    QueryFields(asked): QueryFields,
) -> Result<Page, Error> {
    let listed = app.store().audit(asked.page()).await?;
    let rows: Vec<_> = listed
        .rows
        .iter()
        .map(|row| {
            context! {
                at => when(row.at),
                event => row.event.as_str(),
                actor => row.actor.strip_prefix("operator:").unwrap_or(&row.actor),
                ledger => row.ledger.map(|id| id.to_string()),
                account => row.account.as_ref().map(ToString::to_string),
                origin => row.origin.as_deref(),
                detail => row.detail.as_deref().map(one_line),
            }
        })
        .collect();
    Ok(operator.page(
        "operators/audit.html",
        context! { rows => rows, next_page => asked.next("/audit", listed.next.as_deref()) },
    ))
}
