//! `/requests`: what waits, what went on, what failed; released, discarded and retried in bulk.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Redirect;
use minijinja::{Value, context};

use super::act::{MOST_AT_ONCE, RequestAct, each, handles};
use super::customers::portals;
use super::fields::{Asked, Sent};
use super::gate::Visit;
use super::refusal::Refusal;
use super::{Desk, when};
use crate::domain::{EmailAddress, PortalName, RequestId, RequestState};
use crate::store::{Request, RequestFilter};
use crate::web::display::one_line;
use crate::web::page::Page;

pub(super) async fn list(
    State(desk): State<Arc<Desk>>,
    Extension(visit): Extension<Visit>,
    Asked(asked): Asked,
) -> Result<Page, Refusal> {
    let listed = desk
        .store()
        .requests(RequestFilter {
            state: asked.read("state", RequestState::from_name)?,
            portal: asked.read("portal", |name| PortalName::parse(name).ok())?,
            account: asked.read("account", |text| EmailAddress::parse(text).ok())?,
            page: asked.page(),
            ..RequestFilter::default()
        })
        .await?;
    let states: Vec<_> = RequestState::ALL
        .iter()
        .map(|state| state.as_str())
        .collect();
    Ok(visit.page(
        "operators/requests.html",
        context! {
            rows => listed.rows.iter().map(row).collect::<Vec<_>>(),
            next_page => asked.next("/requests", listed.next.as_deref()),
            states => states,
            portals => portals(&desk.config()),
            state => asked.one("state"),
            portal => asked.one("portal"),
            account => asked.one("account"),
            done => asked.one("done"),
            count => asked.one("count"),
            failed => asked.one("failed"),
        },
    ))
}

pub(super) fn row(request: &Request) -> Value {
    context! {
        id => request.id.to_string(),
        ledger => request.ledger.to_string(),
        account => request.account.to_string(),
        account_id => request.account_id.to_string(),
        portal => request.portal.as_str(),
        state => request.state.as_str(),
        subject => request.subject.as_deref().map(one_line).filter(|text| !text.is_empty()),
        received_at => when(request.received_at),
        attempts => request.attempts,
        last_error => request.last_error.as_deref().map(one_line),
    }
}

pub(super) async fn act(
    State(desk): State<Arc<Desk>>,
    Extension(visit): Extension<Visit>,
    Sent(sent): Sent,
) -> Result<Redirect, Refusal> {
    let act = sent
        .read("action", RequestAct::from_name)?
        .ok_or_else(|| Refusal::Malformed("There is no action.".to_owned()))?;
    let ids = sent
        .all("request")
        .map(str::parse::<RequestId>)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Refusal::Malformed(format!("{error}.")))?;
    if ids.len() > MOST_AT_ONCE {
        return Err(Refusal::TooLarge);
    }
    let tally = each(ids, |id| {
        let (desk, visit) = handles(&desk, &visit);
        async move { desk.act_on_request(id, act, &visit).await.map(|()| true) }
    })
    .await?;
    let state = sent
        .read("state", RequestState::from_name)?
        .map_or(String::new(), |state| format!("&state={state}"));
    Ok(Redirect::to(&format!(
        "/requests?done={}&count={}&failed={}{state}",
        act.done(),
        tally.done,
        tally.failed
    )))
}
