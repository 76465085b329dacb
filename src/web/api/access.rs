//! `/access`: the settings that decide who may write to a portal. Every change makes a new revision; its
//! answer lists the changes and the warnings.

use std::path::Path;

use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use super::api_route::{Call, Serve};
use super::input::{Body, Query};
use super::output::{ApiJson, ListBody};
use super::problem::{Problem, ProblemKind};
use super::setting_values::{SettingValues, patterns};
use super::values::{Limit, PointInTime, address, check_number};
use crate::access::{AccessSettings, Assignment, Key};
use crate::config::parse_access_settings;
use crate::domain::{DomainPattern, PortalName};
use crate::operations::{
    AccessView, AddressVerdict, ChangeTerms, RevisionDifference, RevisionEntry, SettingsChanged,
    Simulation, change_settings, compare_revisions, decide_address, input_for, list_revisions,
};
use crate::store::{Revision, StoreError, WhatIf};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SettingsQuery {
    /// The effective settings of this portal, instead of the site's.
    #[param(inline)]
    portal: Option<PortalName>,
    /// An earlier revision.
    #[param(minimum = 0, maximum = 4_294_967_295_u32)]
    revision: Option<u32>,
}

pub(super) async fn show(
    call: Call,
    Query(query): Query<SettingsQuery>,
) -> Result<ApiJson<AccessView>, Problem> {
    let portal = call.app.portal(query.portal)?;
    let revision = match query.revision {
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
pub(super) struct HistoryQuery {
    /// Maximum number of revisions.
    #[param(inline)]
    limit: Limit,
    /// Revisions before this one: `next` of the previous page.
    #[param(minimum = 0, maximum = 4_294_967_295_u32)]
    after: Option<u32>,
}

pub(super) async fn history(
    call: Call,
    Query(query): Query<HistoryQuery>,
) -> Result<ListBody<RevisionEntry>, Problem> {
    let after = query.after.map(|number| number.to_string());
    let listed = list_revisions(&call.app.store, query.limit.page(after)).await?;
    Ok(listed.into())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DiffQuery {
    #[param(minimum = 0, maximum = 4_294_967_295_u32)]
    from: u32,
    /// A later revision; the current one by default.
    #[param(minimum = 0, maximum = 4_294_967_295_u32)]
    to: Option<u32>,
}

pub(super) async fn diff(
    call: Call,
    Query(query): Query<DiffQuery>,
) -> Result<ApiJson<RevisionDifference>, Problem> {
    let from = find(&call, query.from).await?;
    let to = match query.to {
        Some(number) => find(&call, number).await?,
        None => call.app.store.access().await?,
    };
    Ok(ApiJson(compare_revisions(&from, &to)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AddressQuery {
    /// The sender's address.
    #[param(example = "bob@partner.example")]
    address: String,
    /// The recipient portal; every portal by default.
    #[param(inline)]
    portal: Option<PortalName>,
}

pub(super) async fn test(
    call: Call,
    Query(query): Query<AddressQuery>,
) -> Result<ListBody<AddressVerdict>, Problem> {
    let address = address("address", &query.address)?;
    let config = call.app.config();
    let portals = match call.app.portal(query.portal)? {
        Some(portal) => vec![portal],
        None => config
            .portals
            .iter()
            .map(|portal| portal.name.clone())
            .collect(),
    };
    let store = &call.app.store;
    let settings = store.access().await?.settings;
    let account = store.customer(&address).await?;
    let account = account.as_ref();
    let mut items = Vec::with_capacity(portals.len());
    for portal in &portals {
        let input = input_for(store, &config, &settings, account, &address, portal);
        items.push(decide_address(&input.await?, account, &address, portal).0);
    }
    Ok(ListBody::whole(items))
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
    since: Option<PointInTime>,
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
        since: wanted
            .since
            .unwrap_or(PointInTime::days_ago(30))
            .timestamp(),
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
        check_number("domains", self.domains.len())?;
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
    let text = file.toml;
    // Parsing a large file takes time, and async threads must not block.
    let parsed = spawn_blocking(move || parse_access_settings(&text, Path::new("toml"))).await;
    let draft = parsed
        .map_err(|error| StoreError::Other(error.to_string()))?
        .map_err(|errors| Problem::new(ProblemKind::Refused, errors.to_string()))?;
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
