//! `/find`: the search field of every page. Finds customers and messages by a part of an address or name,
//! words of the subject, a domain, an id or a Message-ID.

use axum::response::{IntoResponse, Redirect, Response};
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::auth::PageCall;
use super::customers::filter_portals;
use super::error::Error;
use super::form_fields::{Fields, QueryFields};
use super::messages;
use super::period::Period;
use crate::config::Config;
use crate::domain::{PortalName, Reason, RequestState, Verdict};
use crate::operations;
use crate::store::{FindFilter, Page};

/// Reads the search text and its filter.
pub(super) fn filter(asked: &Fields, config: &Config, page: Page) -> Result<FindFilter, Error> {
    let period = Period::read(asked, &config.site.time_zone)?;
    Ok(FindFilter {
        search_text: asked.one("q").unwrap_or_default().to_owned(),
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
    call: PageCall,
    QueryFields(asked): QueryFields,
) -> Result<Response, Error> {
    let search_text = asked.one("q").unwrap_or_default();
    let config = call.app.config();
    let period = Period::read(&asked, &config.site.time_zone)?;
    let filter = filter(&asked, &config, asked.page())?;
    let found = operations::find(call.app.store(), filter).await?;
    if let ([message], [], None) = (
        found.messages.as_slice(),
        found.customers.as_slice(),
        &found.next,
    ) && asked.one("after").is_none()
        && search_text == message.ledger.to_string()
    {
        return Ok(Redirect::to(&format!("/messages/{search_text}")).into_response());
    }
    let rows = found.entries.iter().zip(&found.messages);
    let page = call.operator.page(
        "operators/find.html",
        context! {
            // Operators' own templates use this name.
            question => search_text,
            customers => Value::from(Serde(&found.customers)),
            rows => rows
                .map(|(entry, message)| context! {
                    state => message.state.map(RequestState::as_str),
                    ..messages::row(entry)
                })
                .collect::<Vec<_>>(),
            gap => found.explain_gap(),
            verdicts => Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect::<Vec<_>>(),
            reasons => Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
            portals => filter_portals(&config, &asked),
            ..asked.list("/find", found.next.as_deref(), &period, &["verdict", "reason", "portal"])
        },
    );
    Ok(page.into_response())
}
