//! `/messages`: searches the ledger and explains one entry rule by rule. The message is shown as text and can
//! be downloaded as it came; its HTML is shown in a frame, cleaned by [`message_html`](super::message_html).

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::{Value, context};

use super::auth::CurrentOperator;
use super::customers::portals;
use super::error::Error;
use super::form_fields::QueryFields;
use super::{AppState, when};
use crate::access::RuleResult;
use crate::domain::{EmailAddress, LedgerId, PortalName, Reason, RequestState, Verdict};
use crate::mail::{html, readable};
use crate::operations::{Explanation, bare_message_id, explain_entry, is_recoverable};
use crate::store::{Event, LedgerEntry, LedgerFilter, StoreError};
use crate::web::display::one_line;
use crate::web::render::Policy;

pub(super) async fn find(
    State(app): State<Arc<AppState>>,
    Extension(operator): Extension<CurrentOperator>,
    QueryFields(asked): QueryFields,
) -> Result<Response, Error> {
    let what = asked.one("search").unwrap_or_default();
    if let Ok(id) = what.parse::<LedgerId>()
        && app.store().ledger_entry(id).await?.is_some()
    {
        return Ok(Redirect::to(&format!("/messages/{id}")).into_response());
    }
    let sender = EmailAddress::parse(what).ok();
    let message_id = Some(bare_message_id(what).to_owned()).filter(|id| !id.is_empty());
    // A Message-ID often looks like an address; text that cannot be a sender's address may be a Message-ID.
    let filter = LedgerFilter {
        verdict: asked.read("verdict", Verdict::from_name)?,
        reason: asked.read("reason", Reason::from_name)?,
        portal: asked.read("portal", |name| PortalName::parse(name).ok())?,
        sender: sender.clone(),
        message_id: message_id.clone().filter(|_| sender.is_none()),
        page: asked.page(),
    };
    let mut listed = app.store().recent_entries(filter.clone()).await?;
    if listed.rows.is_empty() && sender.is_some() {
        let filter = LedgerFilter {
            sender: None,
            message_id,
            ..filter
        };
        listed = app.store().recent_entries(filter).await?;
    }
    let page = operator.page(
        "operators/messages.html",
        context! {
            rows => listed.rows.iter().map(row).collect::<Vec<_>>(),
            next_page => asked.next("/messages", listed.next.as_deref()),
            verdicts => Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect::<Vec<_>>(),
            reasons => Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
            portals => portals(&app.config()),
            verdict => asked.one("verdict"),
            reason => asked.one("reason"),
            portal => asked.one("portal"),
            search => what,
        },
    );
    Ok(page.into_response())
}

pub(super) fn row(entry: &LedgerEntry) -> Value {
    context! {
        ledger => entry.ledger.to_string(),
        received_at => when(entry.received_at),
        portal => entry.portal.as_ref().map(PortalName::as_str),
        sender => sender(entry),
        domain => entry.sender.as_ref().map(|sender| sender.domain().to_string()),
        verdict => entry.verdict.as_str(),
        reason => entry.reason.as_str(),
        subject => entry.facts.subject.as_deref().map(one_line).filter(|text| !text.is_empty()),
        content_kept => entry.content_kept,
        sender_known => entry.sender.is_some(),
    }
}

fn sender(entry: &LedgerEntry) -> Option<String> {
    match &entry.sender {
        Some(sender) => Some(sender.to_string()),
        None => entry.facts.sender.addr_spec().map(one_line),
    }
}

async fn found(app: &AppState, id: &str) -> Result<LedgerEntry, Error> {
    let id: LedgerId = id.parse().map_err(|_| Error::NotFound("message"))?;
    let entry = app.store().ledger_entry(id).await?;
    entry.ok_or(Error::NotFound("message"))
}

pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    Extension(operator): Extension<CurrentOperator>,
    Path(id): Path<String>,
    QueryFields(asked): QueryFields,
) -> Result<Response, Error> {
    let entry = found(&app, &id).await?;
    let Explanation {
        rules,
        events,
        state,
        ..
    } = explain_entry(app.store(), entry.clone()).await?;
    let account = match &entry.account {
        Some(address) => app.store().customer(address).await?,
        None => None,
    };
    let (text, has_html) = match app.store().raw(entry.ledger).await? {
        // Parsing a large message takes time, and async threads must not block.
        Some(raw) => tokio::task::spawn_blocking(move || (readable(&raw), !html(&raw).is_empty()))
            .await
            .map_err(|error| StoreError::Other(error.to_string()))?,
        None => (None, false),
    };
    let facts = &entry.facts;
    let evidence = |found: Option<&crate::mail::Evidence>| found.map(ToString::to_string);
    let page = operator.page(
        "operators/message.html",
        context! {
            entry => row(&entry),
            recoverable => is_recoverable(&entry, &app.config()),
            nameable => entry.sender.is_none()
                || entry.circumstances.as_ref().is_some_and(|known| known.sender_is_ours),
            written => facts.sender.addr_spec().map(one_line),
            recipient => one_line(&entry.recipient),
            message_id => facts.message_id.as_deref().map(one_line),
            size => facts.size,
            class => facts.class().as_str(),
            automatic => evidence(facts.automatic.as_ref().or(facts.presumed_automatic.as_ref())),
            bulk => evidence(facts.bulk.as_ref()),
            authentication => evidence(facts.authentication.evidence.as_ref()),
            account => account.map(|account| context! {
                id => account.id.to_string(),
                address => account.address.to_string(),
                status => account.status.as_str(),
            }),
            request => entry.request.map(|id| id.to_string()),
            state => state.map(RequestState::as_str),
            revision => entry.revision,
            rules => rules.iter().map(rule).collect::<Vec<_>>(),
            events => events.iter().map(happened).collect::<Vec<_>>(),
            text => text,
            has_html => has_html,
            done => asked.one("done"),
        },
    );
    let mut response = page.into_response();
    if has_html {
        response.extensions_mut().insert(Policy::Framing);
    }
    Ok(response)
}

fn rule(rule: &RuleResult) -> Value {
    context! {
        rule => rule.rule,
        title => rule.title,
        matched => rule.matched,
        evidence => rule.evidence.as_deref(),
    }
}

/// An event as a line of a history.
pub(super) fn happened(event: &Event) -> Value {
    context! {
        at => when(event.at),
        event => event.event.as_str(),
        actor => event.actor.as_str(),
        detail => event.detail.as_deref().map(one_line),
    }
}

/// Finds an entry and its content, if that is still kept.
pub(super) async fn with_content(
    app: &AppState,
    id: &str,
) -> Result<(LedgerEntry, Vec<u8>), Error> {
    let entry = found(app, id).await?;
    let raw = app
        .store()
        .raw(entry.ledger)
        .await?
        .ok_or(Error::NotFound("content; it is not kept any more"))?;
    Ok((entry, raw))
}

/// The raw message, sent as an attachment so that a browser saves it instead of opening it.
pub(super) async fn raw(
    State(app): State<Arc<AppState>>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let (entry, raw) = with_content(&app, &id).await?;
    let name = format!("attachment; filename=\"{}.eml\"", entry.ledger);
    let mut response = raw.into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
