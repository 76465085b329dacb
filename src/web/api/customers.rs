//! `/customers`: accounts, and the actions on one account.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::BASE;
use super::api_route::{Call, Serve};
use super::input::{At, Body, IdOrAddress, Query};
use super::output::{ApiJson, Created, ListBody};
use super::problem::Problem;
use super::values::{Limit, PointInTime};
use crate::domain::{Account, AccountKind, AccountStatus, EmailAddress, PortalName};
use crate::operations::{
    CustomerAction, NOT_A_CUSTOMER, act_on_customer, add_customer, find_customer, warning_about,
};
use crate::store::{Added, CustomerFilter, ListOrder};

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CustomerQuery {
    #[param(inline)]
    kind: Option<AccountKind>,
    #[param(inline)]
    status: Option<AccountStatus>,
    /// Only accounts of this domain.
    #[param(example = "partner.example")]
    domain: Option<String>,
    /// Only accounts with this text in the address.
    search: Option<String>,
    /// Only accounts that our mail cannot reach.
    undeliverable: bool,
    /// Only accounts made since then.
    #[param(inline)]
    since: Option<PointInTime>,
    /// Only accounts made before then.
    #[param(inline)]
    until: Option<PointInTime>,
    /// The newest first, instead of by address.
    newest_first: bool,
    /// Maximum number of accounts.
    #[param(inline)]
    limit: Limit,
    /// `next` of the previous page.
    after: Option<String>,
}

pub(super) async fn list(
    call: Call,
    Query(filter): Query<CustomerQuery>,
) -> Result<ListBody<Account>, Problem> {
    let filter = CustomerFilter {
        kind: filter.kind,
        status: filter.status,
        domain: filter.domain,
        search: filter.search,
        undeliverable: filter.undeliverable,
        created_after: filter.since.map(PointInTime::timestamp),
        created_before: filter.until.map(PointInTime::timestamp),
        order: filter.newest_first.then_some(ListOrder::NewestFirst),
        page: filter.limit.page(filter.after),
    };
    Ok(call.app.store.customers(filter).await?.into())
}

/// The account to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"address": "bob@partner.example", "portal": "it"}))]
pub(super) struct NewCustomer {
    /// The person's address; it gets a verification mail where verification is required.
    address: String,
    /// The portal whose access settings decide; the site's by default.
    portal: Option<PortalName>,
}

/// An account, with notes on the address for the operator.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AddedCustomer {
    #[serde(flatten)]
    account: Account,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl From<Account> for AddedCustomer {
    fn from(account: Account) -> Self {
        let warnings = warning_about(&account).into_iter().collect();
        Self { account, warnings }
    }
}

pub(super) async fn create(
    call: Call,
    Body(wanted): Body<NewCustomer>,
) -> Result<Created<AddedCustomer>, Problem> {
    let address = EmailAddress::parse_customer(&wanted.address).map_err(|error| {
        Problem::of_field("address", format_args!("{:?}: {error}", wanted.address))
    })?;
    let portal = call.app.portal(wanted.portal)?;
    let (config, by) = (call.app.config(), call.holder.actor());
    let added = add_customer(&call.app.store, &config, address.clone(), portal, by);
    let Some(added) = added.await? else {
        return Err(Problem::of_field(
            "address",
            format_args!("{address} {NOT_A_CUSTOMER}"),
        ));
    };
    match added {
        Added::Created(account) => Ok(Created::New {
            at: format!("{BASE}/customers/{}", account.id),
            what: account.into(),
        }),
        Added::Existing(account) => Ok(Created::Existing(account.into())),
        Added::NotAllowed(decision) => {
            let evidence = decision.evidence.as_deref();
            let evidence = evidence.map_or(String::new(), |text| format!(": {text}"));
            let detail = format!("they do not allow {address}{evidence}");
            Err(Problem::not_allowed(&decision, detail))
        }
    }
}

/// Finds the account with this id or address.
async fn find(call: &Call, customer: &IdOrAddress) -> Result<Account, Problem> {
    let IdOrAddress(text) = customer;
    let found = find_customer(&call.app.store, text).await?;
    found.ok_or_else(|| Problem::not_found("account", text))
}

pub(super) async fn show(
    call: Call,
    At(customer): At<IdOrAddress>,
) -> Result<ApiJson<Account>, Problem> {
    find(&call, &customer).await.map(ApiJson)
}

/// Makes a handler that applies the action to the account in the path.
pub(super) fn act(action: CustomerAction) -> impl Serve<At<IdOrAddress>, ApiJson<Account>> {
    move |call: Call, At(customer): At<IdOrAddress>| async move {
        let account = find(&call, &customer).await?;
        let by = call.holder.actor();
        let done = act_on_customer(&call.app.store, action, &account, by).await?;
        Ok(ApiJson(done.account))
    }
}
