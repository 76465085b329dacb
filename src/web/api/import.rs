//! `/customers/import`: people in bulk.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api_route::Call;
use super::input::Body;
use super::output::ApiJson;
use super::problem::Problem;
use super::values::check_number;
use crate::domain::{AccountKind, EmailAddress, GroupName};
use crate::operations::{ImportTally, ImportedPerson, PeopleLine, import_people};
use crate::store::Person;

/// People to import, and whether this is a dry run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = People, example = json!({"people": [{"address": "ann@corp.example", "groups": ["staff"], "verified": true}], "dry_run": true}))]
pub(super) struct PeopleToImport {
    #[schema(min_items = 1, max_items = 1000)]
    people: Vec<PersonToImport>,
    /// Only report what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// A person, as a line of a file describes them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Person)]
pub(super) struct PersonToImport {
    address: String,
    /// The expected kind; refused if the access settings say another one.
    kind: Option<AccountKind>,
    /// Replaces the groups of the account.
    #[schema(max_items = 100)]
    groups: Option<Vec<String>>,
    /// Vouches for the address: the account counts as verified, and its held requests are released.
    #[serde(default)]
    verified: bool,
}

impl PersonToImport {
    fn read(&self) -> Result<Person, String> {
        let address = EmailAddress::parse_customer(&self.address)
            .map_err(|error| format!("address: {:?}: {error}", self.address))?;
        let groups = self.groups.as_ref().map(|names| {
            let names = names.iter().map(|name| GroupName::parse(name));
            names.collect::<Result<Vec<_>, _>>()
        });
        Ok(Person {
            address,
            kind: self.kind,
            groups: groups
                .transpose()
                .map_err(|error| format!("groups: {error}"))?,
            verified: self.verified,
        })
    }
}

/// The outcome for each person, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = Imported)]
pub(super) struct ImportReport {
    #[serde(flatten)]
    tally: ImportTally,
    items: Vec<ImportedPerson>,
}

pub(super) async fn import(
    call: Call,
    Body(wanted): Body<PeopleToImport>,
) -> Result<ApiJson<ImportReport>, Problem> {
    check_number("people", wanted.people.len())?;
    let lines = (1..).zip(&wanted.people).map(|(line, person)| PeopleLine {
        line,
        person: person.read(),
    });
    let (store, config) = (&call.app.store, call.app.config());
    let by = call.holder.actor();
    let (items, tally) = import_people(store, &config, lines.collect(), wanted.dry_run, by).await?;
    Ok(ApiJson(ImportReport { tally, items }))
}
