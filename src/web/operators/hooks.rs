//! `/hooks/{name}`: calls of a hook that failed for good, filtered by customer, event and time.

use axum::extract::Path;
use minijinja::context;

use super::auth::PageCall;
use super::error::Error;
use super::form_fields::{Fields, QueryFields};
use super::period::Period;
use super::when;
use crate::config::Config;
use crate::domain::{DestinationName, EmailAddress, HOOK_EVENTS};
use crate::operations::find_queue;
use crate::store::{FailedCallFilter, Page};
use crate::web::display::one_line;
use crate::web::page::WebPage;

/// Reads the filter of the list; the hook has to be in the configuration.
pub(super) fn filter(
    hook: &str,
    asked: &Fields,
    config: &Config,
    page: Page,
) -> Result<FailedCallFilter, Error> {
    let hook = DestinationName::parse(hook).ok();
    let hook = hook.filter(|hook| config.hooks.iter().any(|own| own.name == *hook));
    let period = Period::read(asked, &config.site.time_zone)?;
    let is_event = |text: &str| HOOK_EVENTS.contains(&text).then(|| text.to_owned());
    Ok(FailedCallFilter {
        hook: hook.ok_or(Error::NotFound("hook"))?,
        account: asked.read("account", |text| EmailAddress::parse(text).ok())?,
        event: asked.read("event", is_event)?,
        since: period.since,
        until: period.until,
        page,
    })
}

pub(super) async fn show(
    call: PageCall,
    Path(name): Path<String>,
    QueryFields(asked): QueryFields,
) -> Result<WebPage, Error> {
    let config = call.app.config();
    let filter = filter(&name, &asked, &config, asked.page())?;
    let period = Period::read(&asked, &config.site.time_zone)?;
    let queue = find_queue(call.app.store(), &config, &filter.hook).await?;
    let listed = call.app.store().failed_calls(filter).await?;
    let rows: Vec<_> = listed
        .rows
        .iter()
        .map(|call| {
            context! {
                event => call.event.as_str(),
                account => call.account.map(|id| id.to_string()),
                address => call.address.as_ref().map(ToString::to_string),
                created_at => when(call.created_at),
                attempts => call.attempts,
                last_error => call.last_error.as_deref().map(one_line),
            }
        })
        .collect();
    let path = format!("/hooks/{name}");
    Ok(call.operator.page(
        "operators/hook.html",
        context! {
            name => name,
            state => queue.state.as_str(),
            waiting => queue.waiting,
            failed => queue.failed,
            last_error => queue.last_error.as_deref().map(one_line),
            rows => rows,
            csv => asked.whole(&format!("{path}/failed.csv")),
            events => HOOK_EVENTS.to_vec(),
            ..asked.list(&path, listed.next.as_deref(), &period, &["account", "event"])
        },
    ))
}
