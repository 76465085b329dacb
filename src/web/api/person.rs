//! `/customers/{customer}/export` and `…/forget`: the data of a person, for requests under data protection.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api_route::Call;
use super::input::{At, Body, IdOrAddress};
use super::output::ApiJson;
use super::problem::{Problem, ProblemKind};
use crate::domain::{AccountId, EmailAddress};
use crate::operations::{
    PersonData, collect_person_data, complete_erasure, find_customer, forget_customer,
};

/// Finds the address of an account by its id, or takes the address as it is: a person need not have an
/// account.
async fn address_of(call: &Call, IdOrAddress(text): &IdOrAddress) -> Result<EmailAddress, Problem> {
    if text.parse::<AccountId>().is_ok() {
        let found = find_customer(&call.app.store, text).await?;
        return found
            .map(|account| account.address)
            .ok_or_else(|| Problem::not_found("account", text));
    }
    EmailAddress::parse_stored(text).map_err(|_| Problem::not_found("account", text))
}

pub(super) async fn export(
    call: Call,
    At(customer): At<IdOrAddress>,
) -> Result<ApiJson<PersonData>, Problem> {
    let address = address_of(&call, &customer).await?;
    let data = collect_person_data(&call.app.store, &address).await?;
    data.map(ApiJson)
        .ok_or_else(|| Problem::not_found("message or account of", address))
}

/// The person to forget.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"address": "ann@corp.example"}))]
pub(super) struct Forget {
    /// The address again, to confirm the irreversible erasure.
    address: String,
    /// Also erase the domain, because it identifies the person.
    #[serde(default)]
    domain: bool,
}

/// Result of an erasure.
#[derive(Serialize, ToSchema)]
pub(super) struct Erased {
    /// The pseudonym of the person in the ledger.
    pseudonym: EmailAddress,
    /// Entries of the ledger that are under the pseudonym.
    entries: u64,
    /// Waiting requests that were discarded.
    discarded: u64,
    /// False if traces may remain in free pages: repeat the request until it answers 404, or compact the database.
    overwritten: bool,
}

pub(super) async fn forget(
    call: Call,
    (At(customer), Body(wanted)): (At<IdOrAddress>, Body<Forget>),
) -> Result<ApiJson<Erased>, Problem> {
    let address = address_of(&call, &customer).await?;
    if !wanted.address.eq_ignore_ascii_case(&address.to_string()) {
        return Err(Problem::of_field(
            "address",
            "is not that of this customer; nothing was changed",
        ));
    }
    let store = &call.app.store;
    if store.holdings(address.clone()).await?.is_nothing() {
        // An earlier request may have left traces.
        if complete_erasure(store, &address, call.holder.actor()).await? {
            return Err(Problem::not_found("message or account of", address));
        }
        return Err(Problem::new(
            ProblemKind::NotPossible,
            format!(
                "nothing is known about {address}, but traces of deleted data may remain in free pages: \
                 repeat the request later, or compact the database"
            ),
        ));
    }
    let by = call.holder.actor();
    let done = forget_customer(store, address, wanted.domain, by, |_, _| {}).await?;
    Ok(ApiJson(Erased {
        pseudonym: done.pseudonym,
        entries: done.entries,
        discarded: done.discarded,
        overwritten: done.overwritten,
    }))
}
