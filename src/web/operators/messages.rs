//! `/messages`: searches the ledger. One message is shown by [`message`](super::message).

use axum::response::{IntoResponse, Redirect, Response};
use minijinja::{Value, context};

use super::auth::PageCall;
use super::customers::filter_portals;
use super::error::Error;
use super::form_fields::{Fields, QueryFields};
use super::period::Period;
use super::when;
use crate::domain::{EmailAddress, LedgerId, PortalName, Reason, Verdict};
use crate::operations::bare_message_id;
use crate::store::{Event, LedgerEntry, LedgerFilter, Listed, Page};
use crate::web::display::one_line;

/// Filters to try, in order of preference: the first that finds anything counts. A Message-ID often looks like an
/// address; text that cannot be a sender's address may be a Message-ID or a part of an address.
pub(super) fn filters(
    asked: &Fields,
    period: &Period,
    page: &Page,
) -> Result<Vec<LedgerFilter>, Error> {
    let what = asked.one("search").unwrap_or_default();
    let sender = EmailAddress::parse(what).ok();
    let message_id = Some(bare_message_id(what).to_owned()).filter(|id| !id.is_empty());
    let by_message_id = LedgerFilter {
        verdict: asked.read("verdict", Verdict::from_name)?,
        reason: asked.read("reason", Reason::from_name)?,
        portal: asked.read("portal", |name| PortalName::parse(name).ok())?,
        message_id,
        received_after: period.since,
        received_before: period.until,
        order: asked.order("/messages")?.order,
        page: page.clone(),
        ..LedgerFilter::default()
    };
    let by_sender = sender.map(|sender| LedgerFilter {
        sender: Some(sender),
        message_id: None,
        ..by_message_id.clone()
    });
    let by_part = Some(LedgerFilter {
        sender_part: Some(what.to_owned()),
        message_id: None,
        ..by_message_id.clone()
    });
    let by_part = by_part.filter(|_| !what.is_empty());
    let all = by_sender.into_iter().chain([by_message_id]).chain(by_part);
    Ok(all.collect())
}

pub(super) async fn find(
    call: PageCall,
    QueryFields(asked): QueryFields,
) -> Result<Response, Error> {
    let what = asked.one("search").unwrap_or_default();
    if let Ok(id) = what.parse::<LedgerId>()
        && call.app.store().ledger_entry(id).await?.is_some()
    {
        return Ok(Redirect::to(&format!("/messages/{id}")).into_response());
    }
    let period = Period::read(&asked, &call.app.config().site.time_zone)?;
    let mut listed = Listed::default();
    for filter in filters(&asked, &period, &asked.page())? {
        listed = call.app.store().recent_entries(filter).await?;
        if !listed.rows.is_empty() {
            break;
        }
    }
    let page = call.operator.page(
        "operators/messages.html",
        context! {
            rows => listed.rows.iter().map(row).collect::<Vec<_>>(),
            verdicts => Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect::<Vec<_>>(),
            reasons => Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
            portals => filter_portals(&call.app.config(), &asked),
            search => what,
            sort => asked.order("/messages")?.context(),
            ..asked.list("/messages", listed.next.as_deref(), &period, &["verdict", "reason", "portal"])
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

/// An event as a line of a history.
pub(super) fn event_row(event: &Event) -> Value {
    context! {
        at => when(event.at),
        event => event.event.as_str(),
        actor => event.actor.as_str(),
        detail => event.detail.as_deref().map(one_line),
    }
}
