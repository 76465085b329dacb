//! `/find`: the search field of every page. Finds customers and messages by a part of an address or name,
//! words of the subject, a domain, an id or a Message-ID.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;

use super::auth::CurrentOperator;
use super::customers::portals;
use super::error::Error;
use super::form_fields::{Fields, QueryFields};
use super::period::Period;
use super::{AppState, messages};
use crate::config::Config;
use crate::domain::{PortalName, Reason, RequestState, Verdict};
use crate::operations;
use crate::store::{FindFilter, Page};

/// Reads the question and its filter.
pub(super) fn filter(asked: &Fields, config: &Config, page: Page) -> Result<FindFilter, Error> {
    let period = Period::read(asked, &config.site.time_zone)?;
    Ok(FindFilter {
        question: asked.one("q").unwrap_or_default().to_owned(),
        since: period.since,
        until: period.until,
        verdict: asked.read("verdict", Verdict::from_name)?,
        reason: asked.read("reason", Reason::from_name)?,
        portal: asked.read("portal", |name| PortalName::parse(name).ok())?,
        page,
        ..FindFilter::default()
    })
}

pub(super) async fn find(
    State(app): State<Arc<AppState>>,
    Extension(operator): Extension<CurrentOperator>,
    QueryFields(asked): QueryFields,
) -> Result<Response, Error> {
    let question = asked.one("q").unwrap_or_default();
    let config = app.config();
    let period = Period::read(&asked, &config.site.time_zone)?;
    let filter = filter(&asked, &config, asked.page())?;
    let found = operations::find(app.store(), filter).await?;
    if let ([message], [], None) = (
        found.messages.as_slice(),
        found.customers.as_slice(),
        &found.next,
    ) && asked.one("after").is_none()
        && question == message.ledger.to_string()
    {
        return Ok(Redirect::to(&format!("/messages/{question}")).into_response());
    }
    let rows = found.entries.iter().zip(&found.messages);
    let page = operator.page(
        "operators/find.html",
        context! {
            question => question,
            customers => found
                .customers
                .iter()
                .map(|account| context! {
                    id => account.id.to_string(),
                    address => account.address.to_string(),
                    status => account.status.as_str(),
                })
                .collect::<Vec<_>>(),
            rows => rows
                .map(|(entry, message)| context! {
                    state => message.state.map(RequestState::as_str),
                    ..messages::row(entry)
                })
                .collect::<Vec<_>>(),
            next_page => asked.older("/find", found.next.as_deref()),
            newer_page => asked.newer("/find"),
            csv => asked.whole("/find.csv"),
            gap => found.explain_gap(),
            verdicts => Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect::<Vec<_>>(),
            reasons => Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
            portals => portals(&config),
            verdict => asked.one("verdict"),
            reason => asked.one("reason"),
            portal => asked.one("portal"),
            since => period.since_date,
            until => period.until_date,
        },
    );
    Ok(page.into_response())
}
