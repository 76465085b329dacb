//! `/dropped`: dropped messages, the domains they came from, and their recovery.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use url::form_urlencoded;

use super::auth::CurrentOperator;
use super::customers::portals;
use super::error::Error;
use super::form_fields::{Fields, FormFields, QueryFields};
use super::message::read_named_sender;
use super::period::Period;
use super::{AppState, messages};
use crate::config::Config;
use crate::domain::{DomainPattern, LedgerId, PortalName, Reason, Role, Timestamp, Verdict};
use crate::operations::{
    MOST_AT_ONCE, Outcomes, PREVIEW_PERIOD, RecoveryOutcome, Tally, is_recoverable, recover_many,
    recover_matching, release_dropped,
};
use crate::store::{LedgerEntry, LedgerFilter, Listed, Page};
use crate::web::page::WebPage;

/// Length of the ranking of domains, which covers the same period as deciding again.
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
    Ok(match fields.one("sender") {
        Some(text) => filter.of_sender(text),
        None => filter,
    })
}

/// Number of matching messages that can be recovered, as far as one action can reach; None if all are shown.
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
    let page = Page {
        limit: MOST_AT_ONCE,
        after: None,
    };
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
    State(app): State<Arc<AppState>>,
    Extension(operator): Extension<CurrentOperator>,
    QueryFields(asked): QueryFields,
) -> Result<WebPage, Error> {
    let config = app.config();
    let period = Period::read(&asked, &config.site.time_zone)?;
    let listed = app
        .store()
        .recent_entries(filter(&asked, &config, asked.page())?)
        .await?;
    let since = Timestamp::now()
        .saturating_sub(PREVIEW_PERIOD)
        .unwrap_or(Timestamp::MIN);
    let domains = app.store().dropped_domains(since, RANKED).await?;
    let domains: Vec<_> = domains
        .iter()
        .map(|domain| {
            context! {
                domain => domain.domain.as_str(),
                messages => domain.messages,
                people => domain.people,
                nearest => domain.nearest.as_ref().map(ToString::to_string),
            }
        })
        .collect();
    Ok(operator.page(
        "operators/dropped.html",
        context! {
            rows => listed
                .rows
                .iter()
                .map(|entry| context! {
                    recoverable => is_recoverable(entry, &app.config()),
                    ..messages::row(entry)
                })
                .collect::<Vec<_>>(),
            next_page => asked.older("/dropped", listed.next.as_deref()),
            newer_page => asked.newer("/dropped"),
            csv => asked.whole("/dropped.csv"),
            any => listed.rows.iter().any(|entry| is_recoverable(entry, &app.config())),
            matching => if operator.role >= Role::Agent { matching(&app, &asked, &listed).await? } else { None },
            kept => asked.keep(&FILTER),
            filtered => asked.is_filtered(),
            sort => asked.order("/dropped")?.context(),
            selected => asked.one("select") == Some("page"),
            select => asked.with_selection("/dropped", asked.one("select") != Some("page")),
            domains => domains,
            reasons => Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
            portals => portals(&app.config()),
            reason => asked.one("reason"),
            portal => asked.one("portal"),
            sender => asked.one("sender"),
            from_day => period.since_date,
            to_day => period.until_date,
            done => asked.one("done"),
            allowed => asked.one("domain"),
            count => asked.one("count"),
            failed => asked.one("failed"),
        },
    ))
}

/// Recovers messages by id, or all of a domain, or releases one as it is.
pub(super) async fn recover(
    State(app): State<Arc<AppState>>,
    Extension(operator): Extension<CurrentOperator>,
    FormFields(sent): FormFields,
) -> Result<Response, Error> {
    match sent.one("action") {
        None | Some("recover") => {}
        Some("force") => return release(&app, &operator, &sent).await,
        Some(other) => {
            return Err(Error::Malformed(format!("action cannot be {other:?}.")));
        }
    }
    let pattern = sent.read("domain", |text| DomainPattern::parse(text).ok())?;
    let (config, by) = (app.config(), operator.actor());
    let tally = if let Some(pattern) = pattern {
        recover_matching(app.store(), &config, pattern, &by).await?
    } else {
        let ids = if sent.one("every").is_some() {
            matching_ids(&app, &sent).await?.0
        } else {
            sent.all("ledger")
                .map(str::parse::<LedgerId>)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| Error::Malformed(format!("{error}.")))?
        };
        if ids.len() > MOST_AT_ONCE {
            return Err(Error::TooLarge);
        }
        let outcomes = recover_many(app.store(), &config, ids, &by).await?;
        let tally = Tally::of(&outcomes, RecoveryOutcome::is_request);
        if tally.failed > 0 {
            return Ok(report(&operator, &tally, &outcomes).into_response());
        }
        tally
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("done", "recovered")
        .append_pair("count", &tally.done.to_string())
        .append_pair("failed", &tally.failed.to_string());
    // Back to the list with the same filter.
    filter(&sent, &app.config(), Page::default())?;
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
async fn release(
    app: &AppState,
    operator: &CurrentOperator,
    sent: &Fields,
) -> Result<Response, Error> {
    let ledger: LedgerId = sent
        .read("ledger", |text| text.parse().ok())?
        .ok_or_else(|| Error::Malformed("There is no ledger entry.".to_owned()))?;
    let named = read_named_sender(sent)?;
    let (config, by) = (app.config(), operator.actor());
    release_dropped(app.store(), &config, ledger, named, by).await?;
    Ok(Redirect::to(&format!("/messages/{ledger}?done=released")).into_response())
}
