//! `/messages/{id}`: one message: why it was accepted, held or dropped; and the message itself, as text and with
//! its attachments to be saved. [`message_actions`](super::message_actions) has the buttons.
//!
//! Nothing of the message is interpreted: attachments and the raw message are only ever sent to be saved, and
//! HTML is shown in a frame, cleaned by [`message_html`](super::message_html).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::auth::PageCall;
use super::authentication_badge::badge;
use super::error::Error;
use super::form_fields::QueryFields;
use super::message_actions::actions;
use super::messages::{event_row, row};
use super::save_as::{file_name, save_as, with_ending};
use super::{AppState, when, why};
use crate::domain::{Account, LedgerId, RequestState, ReversePath, Timestamp};
use crate::mail::{
    AttachmentSummary, Evidence, HeaderView, HtmlView, find_attachment, html, list_attachments,
    readable,
};
use crate::operations::{Explanation, WaitingCauses, explain_entry};
use crate::store::{LedgerEntry, Request, SeenState, StoreError};
use crate::web::display::one_line;
use crate::web::render::Policy;

/// Maximum recipients of the envelope that the page lists.
const MAX_RECIPIENTS: usize = 20;

/// Finds the entry with this id.
pub(super) async fn find(app: &AppState, id: &str) -> Result<LedgerEntry, Error> {
    let id: LedgerId = id.parse().map_err(|_| Error::NotFound("message"))?;
    let entry = app.store().ledger_entry(id).await?;
    entry.ok_or(Error::NotFound("message"))
}

/// The account of the message, or of its sender.
pub(super) async fn find_account(
    app: &AppState,
    entry: &LedgerEntry,
) -> Result<Option<Account>, Error> {
    match entry.account.as_ref().or(entry.sender.as_ref()) {
        Some(address) => Ok(app.store().customer(address).await?),
        None => Ok(None),
    }
}

/// The request of the message, with the cause for which it waits.
async fn find_request(app: &AppState, entry: &LedgerEntry) -> Result<Option<Request>, Error> {
    let Some(id) = entry.request else {
        return Ok(None);
    };
    let config = app.config();
    let causes = WaitingCauses::read(app.store(), &config).await?;
    let found = app.store().request(id).await?;
    Ok(found.map(|request| causes.explain(request)))
}

/// The content as the page shows it.
#[derive(Default)]
struct Content {
    header: HeaderView,
    text: Option<String>,
    has_html: bool,
    has_complex_html: bool,
    attachments: (Vec<AttachmentSummary>, usize),
}

/// Reads the content, if it is kept. Parsing a large message takes time, and async threads must not block.
async fn read_content(app: &AppState, entry: &LedgerEntry) -> Result<Content, Error> {
    let Some(raw) = app.store().raw(entry.ledger).await? else {
        return Ok(Content::default());
    };
    let read = tokio::task::spawn_blocking(move || {
        let html = html(&raw);
        Content {
            header: HeaderView::of(&raw),
            text: readable(&raw),
            has_html: matches!(html, HtmlView::Parts(_)),
            has_complex_html: html == HtmlView::TooComplex,
            attachments: list_attachments(&raw),
        }
    });
    let read = read.await;
    Ok(read.map_err(|error| StoreError::Other(error.to_string()))?)
}

pub(super) async fn show(
    call: PageCall,
    Path(id): Path<String>,
    QueryFields(query): QueryFields,
) -> Result<Response, Error> {
    let entry = find(&call.app, &id).await?;
    let Explanation {
        rules,
        events,
        state,
        ..
    } = explain_entry(call.app.store(), entry.clone()).await?;
    let account = find_account(&call.app, &entry).await?;
    let request = find_request(&call.app, &entry).await?;
    let error = request
        .as_ref()
        .filter(|request| matches!(request.state, RequestState::Released | RequestState::Failed))
        .and_then(|request| request.last_error.as_deref().map(one_line));
    let content = read_content(&call.app, &entry).await?;
    let settings = call.app.store().access().await?.settings;
    let buttons = actions(&call, &entry, request.as_ref(), account.as_ref(), &settings);
    let effective = settings.effective(entry.portal.as_ref());
    let facts = &entry.facts;
    let evidence = |found: Option<&Evidence>| found.map(ToString::to_string);
    let has_html = content.has_html;
    let page = call.operator.page(
        "operators/message.html",
        context! {
            entry => row(&entry),
            why => why::sentence(&entry, state),
            badge => badge(&entry, &effective),
            refused_until => entry.protected_until(Timestamp::now()).map(when),
            header => header(&entry, &content.header),
            envelope => envelope(&entry),
            attachments => attachments(&content.attachments.0),
            more_attachments => content.attachments.1,
            actions => buttons,
            message_id => facts.message_id.as_deref().map(one_line),
            size => facts.size,
            class => facts.class().as_str(),
            automatic => evidence(facts.automatic_evidence()),
            bulk => evidence(facts.bulk.as_ref()),
            authentication => facts.authentication.summary().as_deref().map(one_line),
            account => account.map(|account| Value::from(Serde(account))),
            request => entry.request.map(|id| id.to_string()),
            request_error => error,
            state => state.map(RequestState::as_str),
            seen => seen_state(&entry, state).map(SeenState::as_str),
            revision => entry.revision,
            rules => Value::from(Serde(&rules)),
            decided => rules.iter().find(|rule| rule.matched).map(|rule| Value::from(Serde(rule))),
            events => events.iter().map(event_row).collect::<Vec<_>>(),
            text => content.text,
            has_html => has_html,
            has_complex_html => content.has_complex_html,
            done => query.one("done"),
        },
    );
    let mut response = page.into_response();
    if has_html {
        response.extensions_mut().insert(Policy::Framing);
    }
    Ok(response)
}

/// The state that the page shows, for its forms; None for a request whose state is unknown.
fn seen_state(entry: &LedgerEntry, state: Option<RequestState>) -> Option<SeenState> {
    match entry.request {
        Some(_) => state.map(SeenState::Request),
        None => Some(SeenState::NoRequest),
    }
}

/// The fields that people look at first, and all others. The address in From is the one that the rules read:
/// a display name can say anything, so a name that contains another address is marked.
fn header(entry: &LedgerEntry, header: &HeaderView) -> Value {
    let line = |text: &Option<String>| {
        text.as_deref()
            .map(one_line)
            .filter(|line| !line.is_empty())
    };
    let address = entry.facts.sender.addr_spec().map(one_line);
    let name = header.display_name().map(one_line);
    let is_misleading = name
        .as_ref()
        .zip(address.as_ref())
        .is_some_and(|(name, address)| {
            name.contains('@') && !name.to_lowercase().contains(&address.to_lowercase())
        });
    let lines = header.lines.iter();
    context! {
        name => name,
        misleading => is_misleading,
        address => address.or_else(|| line(&header.from)),
        to => line(&header.to),
        cc => line(&header.cc),
        reply_to => line(&header.reply_to),
        date => line(&header.date),
        lines => lines
            .map(|line| context! { name => line.name.as_str(), value => line.value.as_str() })
            .collect::<Vec<_>>(),
        more => header.more,
    }
}

/// The envelope as received: the recipient of an entry changes if an operator names another portal.
fn envelope(entry: &LedgerEntry) -> Value {
    let envelope = &entry.envelope;
    let client = envelope.client.as_ref();
    let host = client.and_then(|client| client.name.as_deref().or(client.helo.as_deref()));
    let ip = client.and_then(|client| client.address).or(envelope.peer);
    let recipients = envelope.recipients.iter().take(MAX_RECIPIENTS);
    let recipients: Vec<_> = recipients.map(|to| one_line(&to.address)).collect();
    context! {
        from => match &envelope.reverse_path {
            ReversePath::Null => Some("<>".to_owned()),
            ReversePath::Mailbox(address) => Some(one_line(address)),
            ReversePath::Unknown => None,
        },
        to => recipients,
        more => envelope.recipients.len().saturating_sub(MAX_RECIPIENTS),
        client => match (host, ip) {
            (Some(host), Some(ip)) => Some(format!("{} [{ip}]", one_line(host))),
            (Some(host), None) => Some(one_line(host)),
            (None, Some(ip)) => Some(ip.to_string()),
            (None, None) => None,
        },
        tls => envelope.tls,
    }
}

fn attachments(listed: &[AttachmentSummary]) -> Vec<Value> {
    let listed = listed.iter().enumerate();
    listed
        .map(|(place, attachment)| {
            let name = attachment.name.as_deref().map(with_ending);
            context! {
                place => place,
                name => name.filter(|name| !name.is_empty()),
                content_type => one_line(&attachment.content_type),
                size => octets(attachment.size),
            }
        })
        .collect()
}

/// A size for people.
fn octets(size: usize) -> String {
    match size {
        0..=9_999 => format!("{size} B"),
        10_000..=9_999_999 => format!("{} kB", size / 1000),
        _ => format!("{} MB", size / 1_000_000),
    }
}

/// Finds an entry and its content, if that is still kept.
pub(super) async fn with_content(
    app: &AppState,
    id: &str,
) -> Result<(LedgerEntry, Vec<u8>), Error> {
    let entry = find(app, id).await?;
    let raw = app.store().raw(entry.ledger).await?;
    let raw = raw.ok_or(Error::NoSuchPart("The content is no longer stored."))?;
    Ok((entry, raw))
}

/// The raw message, to be saved.
pub(super) async fn raw(
    State(app): State<Arc<AppState>>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let (entry, raw) = with_content(&app, &id).await?;
    Ok(save_as(raw, &format!("{}.eml", entry.ledger)))
}

/// One attachment, decoded, to be saved.
pub(super) async fn attachment(
    State(app): State<Arc<AppState>>,
    Path((id, place)): Path<(String, String)>,
) -> Result<Response, Error> {
    let place: usize = place.parse().map_err(|_| Error::NotFound("attachment"))?;
    let (entry, raw) = with_content(&app, &id).await?;
    let found = tokio::task::spawn_blocking(move || find_attachment(&raw, place)).await;
    let found = found.map_err(|error| StoreError::Other(error.to_string()))?;
    let attachment = found.ok_or(Error::NotFound("attachment"))?;
    let name = attachment.name.as_deref().map(file_name);
    let name = name.filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| format!("{}-{place}.bin", entry.ledger));
    Ok(save_as(attachment.octets, &name))
}
