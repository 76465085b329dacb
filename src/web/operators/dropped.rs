//! `/dropped`: what was not passed on, the domains it came from, and the way back.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Redirect;
use minijinja::context;

use super::act::{Tally, handles};
use super::allow::recover_all;
use super::customers::portals;
use super::fields::{Asked, Sent};
use super::gate::Visit;
use super::refusal::Refusal;
use super::{Desk, messages, what_if};
use crate::domain::{
    DomainPattern, EmailAddress, LedgerId, PortalName, Reason, Timestamp, Verdict,
};
use crate::operations::{MOST_AT_ONCE, each};
use crate::store::LedgerFilter;
use crate::web::page::Page;

/// The ranking looks so far down; as far back as what is decided again.
const RANKED: usize = 20;

pub(super) async fn list(
    State(desk): State<Arc<Desk>>,
    Extension(visit): Extension<Visit>,
    Asked(asked): Asked,
) -> Result<Page, Refusal> {
    let listed = desk
        .store()
        .recent_entries(LedgerFilter {
            verdict: Some(Verdict::Dropped),
            reason: asked.read("reason", Reason::from_name)?,
            portal: asked.read("portal", |name| PortalName::parse(name).ok())?,
            sender: asked.read("sender", |text| EmailAddress::parse(text).ok())?,
            page: asked.page(),
            ..LedgerFilter::default()
        })
        .await?;
    let since = Timestamp::now()
        .saturating_sub(what_if::OVER)
        .unwrap_or(Timestamp::MIN);
    let domains = desk.store().dropped_domains(since, RANKED).await?;
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
    Ok(visit.page(
        "operators/dropped.html",
        context! {
            rows => listed.rows.iter().map(messages::row).collect::<Vec<_>>(),
            next_page => asked.next("/dropped", listed.next.as_deref()),
            domains => domains,
            reasons => Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
            portals => portals(&desk.config()),
            reason => asked.one("reason"),
            portal => asked.one("portal"),
            sender => asked.one("sender"),
            done => asked.one("done"),
            allowed => asked.one("domain"),
            count => asked.one("count"),
            failed => asked.one("failed"),
        },
    ))
}

/// Some messages by id, or all of a domain.
pub(super) async fn recover(
    State(desk): State<Arc<Desk>>,
    Extension(visit): Extension<Visit>,
    Sent(sent): Sent,
) -> Result<Redirect, Refusal> {
    let pattern = sent.read("domain", |text| DomainPattern::parse(text).ok())?;
    let tally = if let Some(pattern) = pattern {
        recover_all(&desk, &visit, &pattern).await?
    } else {
        let ids = sent
            .all("ledger")
            .map(str::parse::<LedgerId>)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Refusal::Malformed(format!("{error}.")))?;
        if ids.len() > MOST_AT_ONCE {
            return Err(Refusal::TooLarge);
        }
        let outcomes = each(ids, |id| {
            let (desk, visit) = handles(&desk, &visit);
            async move { desk.recover(id, &visit).await }
        });
        Tally::of(&outcomes.await?, |is_back| *is_back)
    };
    Ok(Redirect::to(&format!(
        "/dropped?done=recovered&count={}&failed={}",
        tally.done, tally.failed
    )))
}
