//! `/mail`: verification mail that waits to be sent.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use minijinja::context;

use super::auth::CurrentOperator;
use super::error::Error;
use super::form_fields::QueryFields;
use super::{AppState, when};
use crate::domain::PortalName;
use crate::web::display::one_line;
use crate::web::page::WebPage;

pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    Extension(operator): Extension<CurrentOperator>,
    QueryFields(query): QueryFields,
) -> Result<WebPage, Error> {
    let listed = app.store().queued_mail(query.page()).await?;
    let rows: Vec<_> = listed
        .rows
        .iter()
        .map(|queued| {
            let mail = &queued.mail;
            context! {
                account => queued.account.to_string(),
                address => queued.address.to_string(),
                kind => mail.kind.replace('_', " "),
                state => mail.state.as_str(),
                portal => mail.portal.as_ref().map(PortalName::as_str),
                created_at => when(mail.created_at),
                due_at => mail.due_at.map(when),
                attempts => mail.attempts,
                last_error => mail.last_error.as_deref().map(one_line),
            }
        })
        .collect();
    Ok(operator.page(
        "operators/mail.html",
        context! {
            rows => rows,
            next_page => query.older("/mail", listed.next.as_deref()),
            newer_page => query.newer("/mail"),
        },
    ))
}
