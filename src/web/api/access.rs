//! `/access`: the settings that decide who may write to a portal. Every change makes a new revision; its
//! answer lists the changes and the warnings.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::api_route::{Call, Serve};
use super::input::{Body, Query};
use super::output::{ApiJson, ListBody};
use super::problem::Problem;
use super::values::{Age, Limit, address};
use crate::access::{AccessSettings, Assignment, Key, Settings, Value};
use crate::domain::{DomainPattern, PortalName};
use crate::operations::{
    AccessView, AddressVerdict, ChangeTerms, RevisionDifference, RevisionEntry, SettingsChanged,
    Simulation, change_settings, compare_revisions, decide_address, input_for, list_revisions,
    parse_settings,
};
use crate::store::{Revision, WhatIf};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The effective settings of this portal, instead of the site's.
    #[param(inline)]
    portal: Option<PortalName>,
    /// An earlier revision.
    #[param(minimum = 0, maximum = 4_294_967_295_u32)]
    revision: Option<u32>,
}

pub(super) async fn show(
    call: Call,
    Query(which): Query<Which>,
) -> Result<ApiJson<AccessView>, Problem> {
    let portal = call.app.portal(which.portal)?;
    let revision = match which.revision {
        Some(number) => find(&call, number).await?,
        None => call.app.store.access().await?,
    };
    Ok(ApiJson(AccessView::of(&revision, portal)))
}

async fn find(call: &Call, number: u32) -> Result<Revision, Problem> {
    let found = call.app.store.revision(u64::from(number)).await?;
    found.ok_or_else(|| Problem::not_found("revision", number))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryPart {
    /// Maximum number of revisions.
    #[param(inline)]
    limit: Limit,
    /// Revisions before this one: `next` of the previous page.
    #[param(minimum = 0, maximum = 4_294_967_295_u32)]
    after: Option<u32>,
}

pub(super) async fn history(
    call: Call,
    Query(part): Query<HistoryPart>,
) -> Result<ListBody<RevisionEntry>, Problem> {
    let (limit, before) = (part.limit.rows(), part.after.map(u64::from));
    let (items, more) = list_revisions(&call.app.store, limit, before).await?;
    let last = items.last().map(|step| step.revision.to_string());
    Ok(ListBody {
        next: last.filter(|_| more),
        items,
    })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Two {
    #[param(minimum = 0, maximum = 4_294_967_295_u32)]
    from: u32,
    /// A later revision; the current one by default.
    #[param(minimum = 0, maximum = 4_294_967_295_u32)]
    to: Option<u32>,
}

pub(super) async fn diff(
    call: Call,
    Query(two): Query<Two>,
) -> Result<ApiJson<RevisionDifference>, Problem> {
    let from = find(&call, two.from).await?;
    let to = match two.to {
        Some(number) => find(&call, number).await?,
        None => call.app.store.access().await?,
    };
    Ok(ApiJson(compare_revisions(&from, &to)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Who {
    /// The sender's address.
    #[param(example = "bob@partner.example")]
    address: String,
    /// The recipient portal; every portal by default.
    #[param(inline)]
    portal: Option<PortalName>,
}

pub(super) async fn test(
    call: Call,
    Query(who): Query<Who>,
) -> Result<ListBody<AddressVerdict>, Problem> {
    let address = address("address", &who.address)?;
    let config = call.app.config();
    let portals = match call.app.portal(who.portal)? {
        Some(portal) => vec![portal],
        None => config
            .portals
            .iter()
            .map(|portal| portal.name.clone())
            .collect(),
    };
    let settings = call.app.store.access().await?.settings;
    let account = call.app.store.customer(&address).await?;
    let items = portals.iter().map(|portal| {
        let input = input_for(&config, &settings, account.as_ref(), &address, portal);
        decide_address(&input, account.as_ref(), &address, portal).0
    });
    Ok(ListBody::whole(items.collect()))
}

/// Settings to change, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "settings": {"external.restrict_domains": true, "internal.default_groups": ["staff"]},
}))]
pub(super) struct Set {
    settings: SettingValues,
    /// The portal's settings instead of the site's.
    portal: Option<PortalName>,
    /// Only report what would change.
    #[serde(default)]
    dry_run: bool,
    /// The revision that you saw; if it is not the current one, nothing changes.
    #[schema(minimum = 0, maximum = 4_294_967_295_u32)]
    revision: Option<u32>,
}

/// New values, keyed by setting name; null makes a portal inherit the site's value.
#[derive(Deserialize)]
pub(super) struct SettingValues(BTreeMap<String, Option<Given>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Switch(bool),
    List(Vec<String>),
}

impl PartialSchema for SettingValues {
    fn schema() -> RefOr<Schema> {
        let nothing = Settings::default();
        let described = ObjectBuilder::new()
            .description(Some(
                "New values, keyed by setting name; null makes a portal inherit the site's value",
            ))
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        let described = Key::ALL.into_iter().fold(described, |described, key| {
            let item = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
            let item = match key.of(&nothing) {
                Value::Switch(_) => {
                    let either = SchemaType::from_iter([Type::Boolean, Type::Null]);
                    let switch = ObjectBuilder::new().schema_type(either);
                    return described.property(key.as_str(), switch);
                }
                Value::Domains(_) => item.examples(["partner.example"]),
                Value::Groups(_) => item.pattern(Some(GROUP)).examples(["staff"]),
            };
            let list = ArrayBuilder::new()
                .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
                .items(item);
            described.property(key.as_str(), list)
        });
        described.into()
    }
}

impl ToSchema for SettingValues {
    fn name() -> std::borrow::Cow<'static, str> {
        "Wanted".into()
    }
}

/// A group name can stand in a comma-separated list and in a header field.
const GROUP: &str = "^[!-+.-~-]{1,64}$";

impl SettingValues {
    fn assignments(&self) -> Result<Vec<Assignment>, Problem> {
        self.0
            .iter()
            .map(|(name, given)| assignment(name, given.as_ref()))
            .collect()
    }
}

fn assignment(name: &str, given: Option<&Given>) -> Result<Assignment, Problem> {
    let key = Key::parse(name).map_err(|error| Problem::bad_input(error.to_string()))?;
    let kind = key.of(&Settings::default());
    let value = match (kind, given) {
        (_, None) => None,
        (Value::Switch(_), Some(Given::Switch(on))) => Some(Value::Switch(*on)),
        (Value::Domains(_), Some(Given::List(domains))) => {
            Some(Value::Domains(patterns(name, key, domains)?.into()))
        }
        (Value::Groups(_), Some(Given::List(groups))) => {
            let good = |group: &String| {
                (1..=64).contains(&group.len())
                    && group
                        .bytes()
                        .all(|byte| byte.is_ascii_graphic() && byte != b',')
            };
            if !groups.iter().all(good) {
                return Err(Problem::bad_input(format!(
                    "{name}: a group has 1 to 64 printable ASCII characters without a space or comma"
                )));
            }
            Some(Value::Groups(groups.clone()))
        }
        (Value::Switch(_), Some(_)) => {
            return Err(Problem::bad_input(format!("{name} must be true or false")));
        }
        (_, Some(_)) => return Err(Problem::bad_input(format!("{name} must be a list"))),
    };
    Ok(Assignment { key, value })
}

fn patterns(place: &str, key: Key, domains: &[String]) -> Result<Vec<DomainPattern>, Problem> {
    domains
        .iter()
        .map(|text| {
            key.parse_pattern(text)
                .map_err(|error| Problem::of_field(place, error))
        })
        .collect()
}

pub(super) async fn set(
    call: Call,
    Body(set): Body<Set>,
) -> Result<ApiJson<SettingsChanged>, Problem> {
    let portal = call.app.portal(set.portal)?;
    let assignments = set.settings.assignments()?;
    change(&call, set.dry_run, set.revision, |settings| {
        with(settings, portal.as_ref(), &assignments)
    })
    .await
}

/// A draft: the current settings with some changes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"settings": {"external.restrict_domains": true}, "since": "30d"}))]
pub(super) struct Draft {
    settings: SettingValues,
    /// The portal's settings instead of the site's.
    portal: Option<PortalName>,
    /// Decide the messages since then again; 30 days by default.
    since: Option<Age>,
    /// Maximum number of domains and of messages that are listed.
    #[serde(default)]
    limit: Limit,
}

pub(super) async fn simulate(
    call: Call,
    Body(wanted): Body<Draft>,
) -> Result<ApiJson<Simulation>, Problem> {
    let portal = call.app.portal(wanted.portal)?;
    let assignments = wanted.settings.assignments()?;
    let store = &call.app.store;
    let before = store.access().await?.settings;
    let draft = with(&before, portal.as_ref(), &assignments)?;
    let what = WhatIf {
        draft: draft.clone(),
        since: wanted.since.unwrap_or(Age::days(30)).ago(),
        portal: None,
        domain: None,
        most: wanted.limit.rows(),
    };
    let simulated = store.simulate(what, |_, _| {}).await?;
    Ok(ApiJson(Simulation::of(&before, &draft, simulated)))
}

fn with(
    settings: &AccessSettings,
    portal: Option<&PortalName>,
    assignments: &[Assignment],
) -> Result<AccessSettings, Problem> {
    settings.with(portal, assignments).map_err(|_| {
        Problem::of_field(
            "settings",
            "null is valid only for a portal's settings; name the portal",
        )
    })
}

/// Domains and addresses, and how to change the list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Domains, example = json!({"domains": ["partner.example", "*.partner.example"]}))]
pub(super) struct Patterns {
    /// example.com for that domain only, *.example.com for its subdomains, ann@example.com for one
    /// address.
    #[schema(min_items = 1, max_items = 1000)]
    domains: Vec<String>,
    /// The portal's list instead of the site's.
    portal: Option<PortalName>,
    /// Only report what would change.
    #[serde(default)]
    dry_run: bool,
    /// The revision that you saw; if it is not the current one, nothing changes.
    #[schema(minimum = 0, maximum = 4_294_967_295_u32)]
    revision: Option<u32>,
}

impl Patterns {
    fn patterns(&self, key: Key) -> Result<Vec<DomainPattern>, Problem> {
        if !(1..=1000).contains(&self.domains.len()) {
            return Err(Problem::bad_input("domains: name 1 to 1000"));
        }
        patterns("domains", key, &self.domains)
    }
}

/// Makes a handler that adds domains and addresses to this list.
pub(super) fn add(key: Key) -> impl Serve<Body<Patterns>, ApiJson<SettingsChanged>> {
    move |call: Call, Body(domains): Body<Patterns>| async move {
        let patterns = domains.patterns(key)?;
        let portal = call.app.portal(domains.portal)?;
        change(&call, domains.dry_run, domains.revision, |settings| {
            Ok(settings.with_domains(portal.as_ref(), key, &patterns))
        })
        .await
    }
}

pub(super) async fn remove(
    call: Call,
    Body(domains): Body<Patterns>,
) -> Result<ApiJson<SettingsChanged>, Problem> {
    // A pattern that is valid in any list can be removed from it.
    let patterns = domains.patterns(Key::Denied)?;
    let portal = call.app.portal(domains.portal)?;
    change(&call, domains.dry_run, domains.revision, |settings| {
        let (settings, unknown) = settings.without_domains(portal.as_ref(), &patterns);
        match unknown.first() {
            None => Ok(settings),
            Some(pattern) => Err(Problem::of_field(
                "domains",
                format_args!("{pattern} is on no list"),
            )),
        }
    })
    .await
}

/// All settings as a TOML file; they replace the current settings.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"toml": "[internal]\napproved_domains = [\"corp.example\"]\n", "dry_run": true}))]
pub(super) struct SettingsFile {
    /// TOML as `vestibule access export` writes it.
    toml: String,
    /// Only report what would change.
    #[serde(default)]
    dry_run: bool,
    /// The revision that you saw; if it is not the current one, nothing changes.
    #[schema(minimum = 0, maximum = 4_294_967_295_u32)]
    revision: Option<u32>,
}

pub(super) async fn apply(
    call: Call,
    Body(file): Body<SettingsFile>,
) -> Result<ApiJson<SettingsChanged>, Problem> {
    let draft = parse_settings(&file.toml).map_err(|error| Problem::of_field("toml", error))?;
    for portal in draft.portals.keys() {
        call.app.portal(Some(portal.clone()))?;
    }
    change(&call, file.dry_run, file.revision, |_| Ok(draft.clone())).await
}

async fn change(
    call: &Call,
    dry_run: bool,
    base: Option<u32>,
    how: impl Fn(&AccessSettings) -> Result<AccessSettings, Problem>,
) -> Result<ApiJson<SettingsChanged>, Problem> {
    let terms = ChangeTerms {
        by: call.holder.actor(),
        dry_run,
        base: base.map(u64::from),
    };
    let (changed, _) = change_settings(&call.app.store, &terms, how).await?;
    Ok(ApiJson(changed))
}
