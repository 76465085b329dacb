//! `/dropped`: dropped messages, the domains they came from, and their recovery.

use axum::response::{IntoResponse, Redirect, Response};
use minijinja::value::Serde;
use minijinja::{Value, context};
use url::form_urlencoded;

use super::auth::{CurrentOperator, PageCall};
use super::customers::filter_portals;
use super::error::Error;
use super::form_fields::{Fields, FormFields, QueryFields};
use super::message_actions::read_named_sender;
use super::period::Period;
use super::{AppState, messages};
use crate::config::Config;
use crate::domain::{DomainPattern, LedgerId, PortalName, Reason, Role, Timestamp, Verdict};
use crate::operations::{
    MAX_BULK_ITEMS, Outcomes, PREVIEW_PERIOD, RecoveryOutcome, Tally, is_recoverable, recover_many,
    recover_matching, release_dropped,
};
use crate::store::{LedgerEntry, LedgerFilter, Listed, Page};
use crate::web::page::WebPage;

/// Number of domains in the ranking, which covers the same period as the preview of a change of the settings.
const RANKED: usize = 20;

/// Fields of the filter, which an action keeps.
const FILTER: [&str; 6] = ["reason", "portal", "sender", "since", "until", "sort"];

/// Reads the filter of the list from a form or a query.
pub(super) fn filter(fields: &Fields, config: &Config, page: Page) -> Result<LedgerFilter, Error> {
    let period = Period::read(fields, &config.site.time_zone)?;
    let filter = LedgerFilter {
        verdict: Some(Verdict::Dropped),
        reason: fields.read("reason", Reason::from_name)?,
        portal: fields.read("portal", |name| PortalName::parse(name).ok())?,
        received_after: period.since,
        received_before: period.until,
        order: fields.order("/dropped")?.order,
        page,
        ..LedgerFilter::default()
    };
    Ok(filter.of_sender(fields.one("sender")))
}

/// Number of matching messages that can be recovered, up to the limit of one action; None if all are shown.
async fn matching(
    app: &AppState,
    asked: &Fields,
    shown: &Listed<LedgerEntry>,
) -> Result<Option<String>, Error> {
    if shown.next.is_none() && asked.one("after").is_none() {
        return Ok(None);
    }
    let (ids, has_more) = matching_ids(app, asked).await?;
    let number = ids.len();
    Ok(match (number, has_more) {
        (0, _) => None,
        (_, true) => Some(format!("the first {number}")),
        (_, false) => Some(format!("all {number}")),
    })
}

/// The matching messages that can be recovered, and whether there may be more.
async fn matching_ids(app: &AppState, fields: &Fields) -> Result<(Vec<LedgerId>, bool), Error> {
    let config = app.config();
    let page = Page::first(MAX_BULK_ITEMS);
    let listed = app
        .store()
        .recent_entries(filter(fields, &config, page)?)
        .await?;
    let rows = listed.rows.iter();
    let ids = rows
        .filter(|entry| is_recoverable(entry, &config))
        .map(|entry| entry.ledger);
    Ok((ids.collect(), listed.next.is_some()))
}

pub(super) async fn list(
    call: PageCall,
    QueryFields(asked): QueryFields,
) -> Result<WebPage, Error> {
    let config = call.app.config();
    let period = Period::read(&asked, &config.site.time_zone)?;
    let listed = call
        .app
        .store()
        .recent_entries(filter(&asked, &config, asked.page())?)
        .await?;
    let since = Timestamp::now() - PREVIEW_PERIOD;
    let ranked = Page::first(RANKED);
    let domains = call.app.store().dropped_domains(since, ranked).await?;
    Ok(call.operator.page(
        "operators/dropped.html",
        context! {
            rows => listed
                .rows
                .iter()
                .map(|entry| context! {
                    recoverable => is_recoverable(entry, &config),
                    ..messages::row(entry)
                })
                .collect::<Vec<_>>(),
            any => listed.rows.iter().any(|entry| is_recoverable(entry, &config)),
            matching => if call.operator.role >= Role::Agent { matching(&call.app, &asked, &listed).await? } else { None },
            kept => asked.keep(&FILTER),
            sort => asked.order("/dropped")?.context(),
            selected => asked.one("select") == Some("page"),
            select => asked.with_selection("/dropped", asked.one("select") != Some("page")),
            domains => Value::from(Serde(&domains.rows)),
            reasons => Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
            portals => filter_portals(&config, &asked),
            from_day => period.since_date.as_deref(),
            to_day => period.until_date.as_deref(),
            allowed => asked.one("domain"),
            ..asked.list("/dropped", listed.next.as_deref(), &period, &FILTER)
        },
    ))
}

/// Recovers messages by id, or all of a domain, or releases one as it is.
pub(super) async fn recover(
    call: PageCall,
    FormFields(sent): FormFields,
) -> Result<Response, Error> {
    match sent.one("action") {
        None | Some("recover") => {}
        Some("force") => return release(&call, &sent).await,
        Some(other) => {
            return Err(Error::Malformed(format!(
                "{other:?} is not a valid value for action."
            )));
        }
    }
    let pattern = sent.read("domain", |text| DomainPattern::parse(text).ok())?;
    let (config, by) = (call.app.config(), call.operator.actor());
    let tally = if let Some(pattern) = pattern {
        recover_matching(call.app.store(), &config, pattern, &by).await?
    } else {
        let ids = if sent.one("every").is_some() {
            matching_ids(&call.app, &sent).await?.0
        } else {
            sent.all("ledger")
                .map(str::parse::<LedgerId>)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| Error::Malformed(format!("{error}.")))?
        };
        if ids.len() > MAX_BULK_ITEMS {
            return Err(Error::TooLarge);
        }
        let outcomes = recover_many(call.app.store(), &config, ids, None, &by).await?;
        let tally = Tally::of(&outcomes, RecoveryOutcome::is_request);
        if tally.failed > 0 {
            return Ok(report(&call.operator, &tally, &outcomes).into_response());
        }
        tally
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("done", "recovered")
        .append_pair("count", &tally.done.to_string())
        .append_pair("failed", &tally.failed.to_string());
    // Back to the list with the same filter.
    filter(&sent, &call.app.config(), Page::default())?;
    query.extend_pairs(sent.pick(&FILTER));
    Ok(Redirect::to(&format!("/dropped?{}", query.finish())).into_response())
}

/// Explains for each message why it stays dropped.
fn report(
    operator: &CurrentOperator,
    tally: &Tally,
    outcomes: &Outcomes<LedgerId, RecoveryOutcome>,
) -> WebPage {
    let rows: Vec<_> = outcomes
        .iter()
        .map(|(ledger, outcome)| {
            context! {
                ledger => ledger.to_string(),
                outcome => match outcome {
                    Ok(recovered) => recovered.outcome(),
                    Err(error) => error.to_string(),
                },
            }
        })
        .collect();
    operator.page(
        "operators/recovered.html",
        context! { rows => rows, back => tally.done },
    )
}

/// Releases one message as it is.
async fn release(call: &PageCall, sent: &Fields) -> Result<Response, Error> {
    let ledger: LedgerId = sent.require("ledger", |text| text.parse().ok())?;
    let named = read_named_sender(sent)?;
    let (config, by) = (call.app.config(), call.operator.actor());
    release_dropped(call.app.store(), &config, ledger, named, None, by).await?;
    Ok(Redirect::to(&format!("/messages/{ledger}?done=released")).into_response())
}
