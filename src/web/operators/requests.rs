//! `/requests`: held, released, failed and delivered requests; searches and filters them, and releases,
//! discards and retries them in bulk. A bulk action asks for confirmation first: the confirmation page holds
//! exactly the requests that it shows, and their states.

use axum::response::{IntoResponse, Redirect, Response};
use jiff::SignedDuration;
use minijinja::{Value, context};
use url::form_urlencoded;

use super::auth::{CurrentOperator, PageCall};
use super::customers::filter_portals;
use super::error::Error;
use super::form_fields::{Fields, FormFields, QueryFields};
use super::period::Period;
use super::{AppState, when};
use crate::config::Config;
use crate::domain::{
    AccountStatus, EmailAddress, LedgerId, PortalName, Reason, RequestId, RequestState, Role,
    Timestamp,
};
use crate::operations::{
    MAX_BULK_ITEMS, Outcomes, RequestAction, Tally, WaitingCauses, act_on_requests, earlier,
};
use crate::store::{Listed, Page as Part, Request, RequestFilter, SeenRequest, SeenState};
use crate::web::display::one_line;
use crate::web::page::WebPage;

/// A choice of the filter by age.
struct Age {
    name: &'static str,
    words: &'static str,
    hours: i64,
    /// True for requests older than the age, instead of newer.
    over: bool,
}

const fn age(name: &'static str, words: &'static str, hours: i64, over: bool) -> Age {
    Age {
        name,
        words,
        hours,
        over,
    }
}

const AGES: [Age; 6] = [
    age("last-hour", "in the last hour", 1, false),
    age("last-day", "in the last day", 24, false),
    age("last-week", "in the last 7 days", 7 * 24, false),
    age("over-day", "more than a day ago", 24, true),
    age("over-3-days", "more than 3 days ago", 3 * 24, true),
    age("over-week", "more than 7 days ago", 7 * 24, true),
];

const ACTIONS: [RequestAction; 3] = [
    RequestAction::Release,
    RequestAction::Discard,
    RequestAction::Retry,
];

/// Fields of the filter, which the confirmation page and the way back keep.
const FILTER: [&str; 8] = [
    "state", "portal", "reason", "account", "age", "since", "until", "sort",
];

/// Reads the filter of the list from a form or a query.
pub(super) fn filter(fields: &Fields, config: &Config, page: Part) -> Result<RequestFilter, Error> {
    let period = Period::read(fields, &config.site.time_zone)?;
    let age = fields.read("age", |name| AGES.iter().find(|age| age.name == name))?;
    let then = age.map(|age| Timestamp::now() - SignedDuration::from_hours(age.hours));
    let over = age.is_some_and(|age| age.over);
    Ok(RequestFilter {
        state: fields.read("state", RequestState::from_name)?,
        portal: fields.read("portal", |name| PortalName::parse(name).ok())?,
        account: fields.read("account", |text| EmailAddress::parse(text).ok())?,
        reason: fields.read("reason", Reason::from_name)?,
        received_before: earlier(then.filter(|_| over), period.until),
        received_after: then.filter(|_| !over).max(period.since),
        order: fields.order("/requests")?.order,
        page,
    })
}

pub(super) async fn list(
    call: PageCall,
    QueryFields(mut asked): QueryFields,
) -> Result<Response, Error> {
    if let Some(search) = asked.one("search") {
        if search.parse::<LedgerId>().is_err() && EmailAddress::parse(search).is_ok() {
            asked.rename("search", "account");
        } else {
            // An id or a Message-ID, which the ledger can find.
            let search: String = form_urlencoded::byte_serialize(search.as_bytes()).collect();
            return Ok(Redirect::to(&format!("/messages?search={search}")).into_response());
        }
    }
    let config = call.app.config();
    let period = Period::read(&asked, &config.site.time_zone)?;
    let listed = call
        .app
        .store()
        .recent_requests(filter(&asked, &config, asked.page())?)
        .await?;
    let causes = WaitingCauses::read(call.app.store(), &config).await?;
    let listed = causes.explain_list(listed);
    let rows = listed.rows.iter();
    let rows = rows.map(|request| row_with_error(request, &causes));
    let rows: Vec<_> = rows.collect();
    let is_selected = asked.one("select") == Some("page");
    let states: Vec<_> = RequestState::ALL
        .iter()
        .map(|state| state.as_str())
        .collect();
    let ages: Vec<_> = AGES
        .iter()
        .map(|age| context! { name => age.name, words => age.words })
        .collect();
    let page = call.operator.page(
        "operators/requests.html",
        context! {
            rows => rows,
            states => states,
            portals => filter_portals(&config, &asked),
            ages => ages,
            // Also those of dropped messages, which an operator can release.
            reasons => Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
            sort => asked.order("/requests")?.context(),
            kept => asked.keep(&FILTER),
            matching => if call.operator.role >= Role::Agent { matching(&call.app, &asked, &listed).await? } else { None },
            can => possible_actions(&asked, &listed)?,
            selected => is_selected,
            select => asked.with_selection("/requests", !is_selected),
            ..asked.list("/requests", listed.next.as_deref(), &period, &FILTER)
        },
    );
    Ok(page.into_response())
}

/// Number of requests that match the filter, up to the limit of one bulk action; None if all are shown.
async fn matching(
    app: &AppState,
    asked: &Fields,
    shown: &Listed<Request>,
) -> Result<Option<String>, Error> {
    if shown.next.is_none() && asked.one("after").is_none() {
        return Ok(None);
    }
    let page = Part::first(MAX_BULK_ITEMS);
    let all = app
        .store()
        .recent_requests(filter(asked, &app.config(), page)?)
        .await?;
    let number = all.rows.len();
    Ok(Some(match all.next {
        Some(_) => format!("the first {number}"),
        None => format!("all {number}"),
    }))
}

/// Actions that are possible for at least one request of the list.
fn possible_actions(asked: &Fields, shown: &Listed<Request>) -> Result<Value, Error> {
    let state = asked.read("state", RequestState::from_name)?;
    let has_more = shown.next.is_some() || asked.one("after").is_some();
    let can = |action: RequestAction| {
        // Rows of other pages are known only by the state of the filter.
        let by_filter = has_more && state.is_none_or(|state| action.applies_to(state));
        by_filter || shown.rows.iter().any(|row| action.applies_to_request(row))
    };
    let (release, discard, retry) = (
        can(RequestAction::Release),
        can(RequestAction::Discard),
        can(RequestAction::Retry),
    );
    Ok(context! {
        release => release,
        discard => discard,
        retry => retry,
        any => release || discard || retry,
    })
}

pub(super) fn row(request: &Request) -> Value {
    context! {
        id => request.id.to_string(),
        ledger => request.ledger.to_string(),
        account => request.account.to_string(),
        account_id => request.has_account.then(|| request.account_id.to_string()),
        portal => request.portal.as_str(),
        state => request.state.as_str(),
        subject => request.subject.as_deref().map(one_line).filter(|text| !text.is_empty()),
        received_at => when(request.received_at),
        attempts => request.attempts,
        is_blocked => request.account_status == AccountStatus::Blocked,
        refused_until => request.protected_until(Timestamp::now()).map(when),
        can_any => ACTIONS.iter().any(|action| action.applies_to_request(request)),
    }
}

/// A row with the reason why the request waits, or else with its last error.
fn row_with_error(request: &Request, causes: &WaitingCauses<'_>) -> Value {
    let is_reason = request.stopped || causes.of(request).is_some();
    let prefix = if is_reason { "" } else { "Last error: " };
    let error = request.last_error.as_deref();
    context! {
        last_error => error.map(|error| format!("{prefix}{}", one_line(error))),
        ..row(request)
    }
}

pub(super) async fn act(call: PageCall, FormFields(sent): FormFields) -> Result<Response, Error> {
    let act = sent.require("action", RequestAction::from_name)?;
    if sent.one("ask").is_some() {
        return ask(&call, &sent, act).await;
    }
    let requests = read_requests(&sent)?;
    if requests.len() > MAX_BULK_ITEMS {
        return Err(Error::TooLarge);
    }
    let (config, by) = (call.app.config(), call.operator.actor());
    let outcomes = act_on_requests(call.app.store(), &config, act, requests, &by).await?;
    let tally = Tally::of(&outcomes, |_| true);
    if tally.failed > 0 {
        return Ok(report(&call.operator, act, &tally, &outcomes).into_response());
    }
    // Back to the list with the same filter.
    filter(&sent, &config, Part::default())?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("done", act.outcome())
        .append_pair("count", &tally.done.to_string());
    query.extend_pairs(sent.pick(&FILTER));
    Ok(Redirect::to(&format!("/requests?{}", query.finish())).into_response())
}

/// Reads the requests of a confirmation page and their states there; without states, for a form that has none.
fn read_requests(sent: &Fields) -> Result<Vec<SeenRequest>, Error> {
    let requests = sent
        .all("request")
        .map(|id| id.parse::<RequestId>().map(SeenRequest::from))
        .collect::<Result<Vec<SeenRequest>, _>>()
        .map_err(|error| Error::Malformed(format!("{error}.")))?;
    let states: Vec<_> = sent.all("seen").map(SeenState::from_name).collect();
    if states.is_empty() {
        return Ok(requests);
    }
    if states.len() != requests.len() || states.contains(&None) {
        let why = "The form does not have one state for each request.";
        return Err(Error::Malformed(why.to_owned()));
    }
    let seen = requests.into_iter().zip(states);
    Ok(seen
        .map(|(request, state)| SeenRequest { state, ..request })
        .collect())
}

/// Says for each request whether it was changed, or why not.
fn report(
    operator: &CurrentOperator,
    act: RequestAction,
    tally: &Tally,
    outcomes: &Outcomes<RequestId, Request>,
) -> WebPage {
    let rows: Vec<_> = outcomes
        .iter()
        .map(|(id, outcome)| {
            let refusal = outcome.as_ref().err().map(ToString::to_string);
            context! { id => id.to_string(), refusal => refusal }
        })
        .collect();
    operator.page(
        "operators/requests_outcome.html",
        context! { rows => rows, count => tally.done, done => act.outcome() },
    )
}

/// Shows the requests that a bulk action would affect: the ticked ones, or all that match the filter.
async fn ask(call: &PageCall, sent: &Fields, act: RequestAction) -> Result<Response, Error> {
    let requests = if sent.one("every").is_some() {
        let page = Part::first(MAX_BULK_ITEMS);
        call.app
            .store()
            .recent_requests(filter(sent, &call.app.config(), page)?)
            .await?
            .rows
    } else {
        let mut requests = Vec::new();
        for id in sent.all("request").take(MAX_BULK_ITEMS) {
            let id: RequestId = id
                .parse()
                .map_err(|error| Error::Malformed(format!("{error}.")))?;
            requests.extend(call.app.store().request(id).await?);
        }
        requests
    };
    let (can, cannot): (Vec<_>, Vec<_>) = requests
        .into_iter()
        .partition(|request| act.applies_to_request(request));
    let page = call.operator.page(
        "operators/requests_confirm.html",
        context! {
            act => act.as_str(),
            rows => can.iter().map(row).collect::<Vec<_>>(),
            cannot => cannot.len(),
            kept => sent.keep(&FILTER),
        },
    );
    Ok(page.into_response())
}
