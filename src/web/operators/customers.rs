//! `/customers`: accounts, and the actions on one account.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::{Value, context};
use url::form_urlencoded;

use super::auth::PageCall;
use super::error::Error;
use super::form_fields::{Fields, FormFields, QueryFields};
use super::period::Period;
use super::save_as::save_as;
use super::{AppState, messages, requests, when};
use crate::config::Config;
use crate::domain::{Account, AccountKind, AccountStatus, EmailAddress, PortalName, Timestamp};
use crate::operations::{
    CustomerAction, NOT_A_CUSTOMER, act_on_customer, add_customer, collect_person_data,
    find_customer, forget_customer, may_get_mail, note_account, warning_about,
};
use crate::store::{Added, CustomerFilter, ListOrder, Page as Part, RequestFilter, StoreError};
use crate::web::page::{WebPage, portal_choices};

/// Maximum events of an account that are shown.
const HISTORY: usize = 100;

pub(super) async fn list(
    call: PageCall,
    QueryFields(asked): QueryFields,
) -> Result<WebPage, Error> {
    render(&call, &asked, None).await
}

async fn render(call: &PageCall, asked: &Fields, fault: Option<String>) -> Result<WebPage, Error> {
    let config = call.app.config();
    let period = Period::read(asked, &config.site.time_zone)?;
    let listed = call
        .app
        .store()
        .recent_customers(filter(asked, &config, asked.page())?)
        .await?;
    Ok(call.operator.page(
        "operators/customers.html",
        context! {
            rows => listed.rows.iter().map(row).collect::<Vec<_>>(),
            kinds => AccountKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
            statuses => AccountStatus::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>(),
            undeliverable => asked.one("undeliverable") == Some("true"),
            by_address => asked.with("/customers", "sort", None),
            by_time => asked.with("/customers", "sort", Some("newest")),
            is_by_time => asked.one("sort").is_some() || period.since.is_some() || period.until.is_some(),
            portals => portal_choices(&call.app.config()),
            fault => fault,
            ..asked.list("/customers", listed.next.as_deref(), &period, &FILTER)
        },
    ))
}

/// Fields of the filter besides the period.
const FILTER: [&str; 5] = ["kind", "status", "domain", "search", "sort"];

/// Reads the filter of the list.
pub(super) fn filter(asked: &Fields, config: &Config, page: Part) -> Result<CustomerFilter, Error> {
    let period = Period::read(asked, &config.site.time_zone)?;
    let order = asked.read("sort", |word| match word {
        "address" => Some(None),
        "newest" => Some(Some(ListOrder::NewestFirst)),
        "oldest" => Some(Some(ListOrder::OldestFirst)),
        _ => None,
    })?;
    Ok(CustomerFilter {
        kind: asked.read("kind", AccountKind::from_name)?,
        status: asked.read("status", AccountStatus::from_name)?,
        domain: asked.one("domain").map(ToOwned::to_owned),
        search: asked.one("search").map(ToOwned::to_owned),
        undeliverable: asked.read("undeliverable", |word| word.parse().ok())? == Some(true),
        created_after: period.since,
        created_before: period.until,
        order: order.flatten(),
        page,
    })
}

/// Portals as choices of the filter of a list: also the one that it names although the configuration does not have it.
pub(super) fn filter_portals(config: &Config, asked: &Fields) -> Vec<Value> {
    let mut choices = portal_choices(config);
    let is_former = |name: &&str| {
        PortalName::parse(name).is_ok_and(|name| config.public_portal(&name).is_none())
    };
    if let Some(name) = asked.one("portal").filter(is_former) {
        choices.push(context! { name => name, title => name });
    }
    choices
}

fn row(account: &Account) -> Value {
    let now = Timestamp::now();
    context! {
        id => account.id.to_string(),
        address => account.address.to_string(),
        kind => account.kind.as_str(),
        status => account.status.as_str(),
        deactivated_at => account.deactivated_at.map(when),
        held => account.held,
        verified_by => account.verified_by.as_deref(),
        verified_at => account.verified_at.map(when),
        groups => account.groups.join(", "),
        undeliverable => account.undeliverable,
        quiet_until => account.quiet_until.filter(|until| *until > now).map(when),
        can_withdraw_until => account.can_withdraw_until(now).map(when),
        may_request_link => account.may_request_link(now),
        refused_at => account.refused_at.map(when),
        may_get_mail => may_get_mail(account).is_ok(),
        takes_automatic => account.takes_automatic,
        created_at => when(account.created_at),
        created_by => account.created_by.as_str(),
    }
}

pub(super) async fn add(call: PageCall, FormFields(sent): FormFields) -> Result<Response, Error> {
    let written = sent.one("address").unwrap_or_default();
    let portal = sent.read("portal", |name| PortalName::parse(name).ok())?;
    if let Some(portal) = &portal
        && call.app.config().public_portal(portal).is_none()
    {
        return Err(Error::NotFound("portal"));
    }
    let refused = async |why: String| {
        let page = render(&call, &Fields::default(), Some(why)).await?;
        let page = page.with_status(StatusCode::UNPROCESSABLE_ENTITY);
        Ok::<_, Error>(page.into_response())
    };
    let address = match EmailAddress::parse_customer(written) {
        Ok(address) => address,
        Err(error) => return refused(format!("{written:?}: {error}.")).await,
    };
    let config = call.app.config();
    let added = add_customer(
        call.app.store(),
        &config,
        address.clone(),
        portal,
        call.operator.actor(),
    );
    let Some(added) = added.await? else {
        return refused(format!("{address} {NOT_A_CUSTOMER}.")).await;
    };
    match added {
        Added::Created(account) => {
            let done = match account.status {
                AccountStatus::Pending => "added",
                AccountStatus::Active | AccountStatus::Blocked => "added_active",
            };
            Ok(Redirect::to(&format!("/customers/{}?done={done}", account.id)).into_response())
        }
        Added::Existing(account) => {
            Ok(Redirect::to(&format!("/customers/{}?done=there", account.id)).into_response())
        }
        Added::NotAllowed(decision) => {
            let why = decision.evidence.unwrap_or_default();
            refused(format!(
                "The access settings do not allow {address}: {}, rule {}. {why}",
                decision.reason, decision.rule
            ))
            .await
        }
    }
}

/// Finds the account with this id or address.
async fn find(app: &AppState, id: &str) -> Result<Account, Error> {
    let account = find_customer(app.store(), id).await?;
    account.ok_or(Error::NotFound("customer"))
}

pub(super) async fn show(
    call: PageCall,
    Path(id): Path<String>,
    QueryFields(asked): QueryFields,
) -> Result<WebPage, Error> {
    let account = find(&call.app, &id).await?;
    let listed = call
        .app
        .store()
        .requests(RequestFilter {
            account: Some(account.address.clone()),
            page: Part::first(20),
            ..RequestFilter::default()
        })
        .await?;
    let history = call.app.store().history_of(account.id, HISTORY).await?;
    let notes = note_account(call.app.store(), &call.app.config(), &account).await?;
    let denials = notes.denials.iter().map(|denial| {
        context! {
            pattern => denial.pattern.to_string(),
            portal => denial.portal.as_ref().map(PortalName::as_str),
        }
    });
    Ok(call.operator.page(
        "operators/customer.html",
        context! {
            account => row(&account),
            refused => notes.refused.map(|refused| context! {
                messages => refused.messages,
                until => when(refused.until),
            }),
            denials => denials.collect::<Vec<_>>(),
            warning => warning_about(&account),
            history => history.iter().map(messages::event_row).collect::<Vec<_>>(),
            search => form_urlencoded::byte_serialize(account.address.to_string().as_bytes())
                .collect::<String>(),
            rows => listed.rows.iter().map(requests::row).collect::<Vec<_>>(),
            done => asked.one("done"),
        },
    ))
}

pub(super) async fn act(
    call: PageCall,
    Path(id): Path<String>,
    FormFields(sent): FormFields,
) -> Result<Redirect, Error> {
    let action = sent.require("action", CustomerAction::from_name)?;
    let account = find(&call.app, &id).await?;
    act_on_customer(call.app.store(), action, &account, call.operator.actor()).await?;
    let done = action.outcome();
    Ok(Redirect::to(&format!(
        "/customers/{}?done={done}",
        account.id
    )))
}

/// All data about the person, as one JSON file to be saved. The messages themselves are saved one by one.
pub(super) async fn export(
    State(app): State<Arc<AppState>>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let account = find(&app, &id).await?;
    let data = collect_person_data(app.store(), &account.address).await?;
    let data = data.ok_or(Error::NotFound("customer"))?;
    let json = serde_json::to_vec_pretty(&data);
    let json = json.map_err(|error| StoreError::Other(error.to_string()))?;
    Ok(save_as(json, &format!("{}.json", account.id)))
}

/// Erases the person's data, if the address was typed again. It cannot be undone.
pub(super) async fn forget(
    call: PageCall,
    Path(id): Path<String>,
    FormFields(sent): FormFields,
) -> Result<WebPage, Error> {
    let account = find(&call.app, &id).await?;
    let typed = sent.one("address").unwrap_or_default();
    if !typed.eq_ignore_ascii_case(&account.address.to_string()) {
        return Err(Error::NotAllowed(
            "The typed address is not that of this customer; nothing was changed".to_owned(),
        ));
    }
    let domain_too = sent.one("domain").is_some();
    let by = call.operator.actor();
    let done = forget_customer(
        call.app.store(),
        account.address.clone(),
        domain_too,
        by,
        |_, _| {},
    );
    let done = done.await?;
    Ok(call.operator.page(
        "operators/forgotten.html",
        context! {
            address => account.address.to_string(),
            entries => done.entries,
            discarded => done.discarded,
            pseudonym => done.pseudonym.to_string(),
            overwritten => done.overwritten,
        },
    ))
}
