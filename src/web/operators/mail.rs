//! `/mail`: verification mail that waits to be sent or was given up, filtered by recipient, state and time.

use minijinja::context;

use super::auth::PageCall;
use super::error::Error;
use super::form_fields::{Fields, QueryFields};
use super::period::Period;
use super::when;
use crate::config::Config;
use crate::domain::{EmailAddress, PortalName, QueuedMailState};
use crate::store::{Page, QueuedMailFilter};
use crate::web::display::one_line;
use crate::web::page::WebPage;

/// Reads the filter of the list.
pub(super) fn filter(
    asked: &Fields,
    config: &Config,
    page: Page,
) -> Result<QueuedMailFilter, Error> {
    let period = Period::read(asked, &config.site.time_zone)?;
    Ok(QueuedMailFilter {
        account: asked.read("account", |text| EmailAddress::parse(text).ok())?,
        state: asked.read("state", QueuedMailState::from_name)?,
        since: period.since,
        until: period.until,
        page,
    })
}

pub(super) async fn list(
    call: PageCall,
    QueryFields(asked): QueryFields,
) -> Result<WebPage, Error> {
    let config = call.app.config();
    let period = Period::read(&asked, &config.site.time_zone)?;
    let filter = filter(&asked, &config, asked.page())?;
    let listed = call.app.store().queued_mail(filter).await?;
    let rows: Vec<_> = listed
        .rows
        .iter()
        .map(|queued| {
            let mail = &queued.mail;
            context! {
                account => queued.account.to_string(),
                address => queued.address.to_string(),
                kind => mail.kind,
                state => mail.state.as_str(),
                portal => mail.portal.as_ref().map(PortalName::as_str),
                created_at => when(mail.created_at),
                due_at => mail.due_at.map(when),
                attempts => mail.attempts,
                last_error => mail.last_error.as_deref().map(one_line),
            }
        })
        .collect();
    Ok(call.operator.page(
        "operators/mail.html",
        context! {
            rows => rows,
            states => QueuedMailState::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
            ..asked.list("/mail", listed.next.as_deref(), &period, &["account", "state"])
        },
    ))
}
