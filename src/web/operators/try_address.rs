//! `/access/test`: the verdict on ordinary mail from an address, at each portal.

use minijinja::context;

use super::auth::PageCall;
use super::error::Error;
use super::form_fields::QueryFields;
use crate::access::RULES;
use crate::domain::{AccountKind, EmailAddress, Reason};
use crate::operations::{decide_address, input_for};
use crate::web::page::WebPage;

pub(super) async fn show(
    call: PageCall,
    QueryFields(query): QueryFields,
) -> Result<WebPage, Error> {
    let written = query.one("address").unwrap_or_default();
    let parsed = EmailAddress::parse_customer(written);
    let fault = match &parsed {
        Err(error) if !written.is_empty() => Some(format!("{written:?}: {error}.")),
        _ => None,
    };
    let (mut rows, mut customer, mut allowable) = (Vec::new(), None, None);
    if let Ok(address) = &parsed {
        let config = call.app.config();
        let store = call.app.store();
        let settings = store.access().await?.settings;
        let account = store.customer(address).await?;
        for portal in &config.portals {
            let name = &portal.name;
            let input = input_for(store, &config, &settings, account.as_ref(), address, name);
            let input = input.await?;
            let verdict = decide_address(&input, account.as_ref(), address, &portal.name).0;
            if verdict.reason == Reason::DomainNotAllowed {
                allowable = Some(verdict.domain.to_string());
            }
            rows.push(context! {
                portal => portal.name.as_str(),
                verdict => verdict.verdict.as_str(),
                reason => verdict.reason.as_str(),
                rule => verdict.rule,
                title => RULES.iter().find(|rule| rule.number == verdict.rule).map(|rule| rule.title),
                pattern => verdict.pattern.as_ref().map(ToString::to_string),
                kind => verdict.account.map(AccountKind::as_str),
            });
        }
        customer = account.map(|account| account.id.to_string());
    }
    Ok(call.operator.page(
        "operators/try_address.html",
        context! {
            address => written,
            fault => fault,
            rows => rows,
            customer => customer,
            allowable => allowable,
        },
    ))
}
