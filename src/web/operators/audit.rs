//! `/audit`: operators' actions, newest first, from the command line, the API and these pages; filtered by
//! operator, event and time.

use jiff::civil::Date;
use minijinja::context;
use url::form_urlencoded;

use super::auth::PageCall;
use super::error::Error;
use super::form_fields::{Fields, QueryFields};
use super::period::Period;
use super::{AppState, when};
use crate::domain::{EmailAddress, Timestamp};
use crate::store::{AuditFilter, Page as Part};
use crate::web::display::one_line;
use crate::web::page::WebPage;

/// Events that the filter offers, separated by spaces.
const EVENTS: &str = "\
    access.changed account.added account.blocked account.forgotten account.groups_changed \
    account.made_internal account.takes_automatic account.unblocked account.verified \
    destination.paused destination.resumed destination.retried hook.retried operator.added \
    operator.logged_in operator.login_failed operator.password_changed \
    operator.recovery_code_used operator.recovery_codes_made operator.removed \
    operator.revoked operator.role_changed operator.second_factor_added \
    operator.second_factor_removed operator.token_ended operator.token_made \
    request.discarded request.recovered request.released verification.requested";

/// Reads the filter. Its days are those of the site's time zone; the first and the last day are included.
pub(super) fn filter(app: &AppState, query: &Fields, page: Part) -> Result<AuditFilter, Error> {
    let zone = app.config().site.time_zone.clone();
    let day = |name, days: i64| -> Result<Option<Timestamp>, Error> {
        let parse = |text: &str| {
            let day: Date = text.parse().ok()?;
            let day = day.checked_add(jiff::Span::new().days(days)).ok()?;
            Some(day.to_zoned(zone.clone()).ok()?.timestamp())
        };
        query.read(name, parse)
    };
    Ok(AuditFilter {
        operator: query.one("operator").map(str::to_owned),
        event: query.one("event").map(str::to_owned),
        since: day("since", 0)?,
        until: day("until", 1)?,
        page,
    })
}

/// The page of the customer with this address.
fn customer_page(address: &EmailAddress) -> String {
    let address = address.to_string();
    let address: String = form_urlencoded::byte_serialize(address.as_bytes()).collect();
    format!("/customers/{address}")
}

pub(super) async fn list(
    call: PageCall,
    QueryFields(asked): QueryFields,
) -> Result<WebPage, Error> {
    let listed = call
        .app
        .store()
        .audit(filter(&call.app, &asked, asked.page())?)
        .await?;
    let rows: Vec<_> = listed
        .rows
        .iter()
        .map(|row| {
            context! {
                at => when(row.at),
                event => row.event.as_str(),
                actor => row.actor.strip_prefix("operator:").unwrap_or(&row.actor),
                ledger => row.ledger.map(|id| id.to_string()),
                account => row.account.as_ref().map(ToString::to_string),
                customer => row.account.as_ref().filter(|_| row.has_account).map(customer_page),
                origin => row.origin.as_deref(),
                detail => row.detail.as_deref().map(one_line),
            }
        })
        .collect();
    Ok(call.operator.page(
        "operators/audit.html",
        context! {
            rows => rows,
            events => EVENTS.split(' ').collect::<Vec<_>>(),
            since => asked.one("since"),
            until => asked.one("until"),
            ..asked.list("/audit", listed.next.as_deref(), &Period::default(), &["operator", "event"])
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Vocabulary;

    #[test]
    fn every_event_of_the_filter_has_words() {
        for event in EVENTS.split(' ') {
            assert_ne!(Vocabulary::Event.words(event), event);
        }
    }
}
