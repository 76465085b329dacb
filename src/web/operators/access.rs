//! `/access`: the settings that decide who gets in, as one page with the two groups Internal and
//! External; for the site, or for one portal with what it inherits.
//!
//! A form is shown what it would change before it changes it, and changes nothing that somebody else
//! changed since the page was opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::{Value, context};

use super::customers::portals;
use super::fields::{Asked, Fields, Sent};
use super::gate::Visit;
use super::refusal::Refusal;
use super::{Desk, when};
use crate::access::{self, AccessSettings, Assignment, Key, Source};
use crate::domain::{PortalName, Timestamp};
use crate::store::{Revision, StoreError};
use crate::web::page::Page;

/// Revisions that the page lists.
const HISTORY: usize = 10;

pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Extension(visit): Extension<Visit>,
    Asked(asked): Asked,
) -> Result<Page, Refusal> {
    let portal = desk.portal(&asked)?;
    let revision = desk.store().access().await?;
    let view = View {
        portal: portal.as_ref(),
        revision: &revision,
        values: values_of(&revision.settings, portal.as_ref()),
        done: asked.one("done"),
        ..View::new(&revision)
    };
    Ok(desk.page(&visit, view).await?)
}

pub(super) async fn submit(
    State(desk): State<Arc<Desk>>,
    Extension(visit): Extension<Visit>,
    Sent(sent): Sent,
) -> Result<Response, Refusal> {
    let portal = desk.portal(&sent)?;
    let saves = match sent.one("action") {
        Some("save") => true,
        Some("check") => false,
        _ => return Err(Refusal::Malformed("There is no such action.".to_owned())),
    };
    let base: u64 = sent
        .read("revision", |text| text.parse().ok())?
        .ok_or_else(|| Refusal::Malformed("There is no revision.".to_owned()))?;
    let revision = desk.store().access().await?;
    let typed = View {
        portal: portal.as_ref(),
        values: values_typed(&sent, &revision.settings, portal.as_ref()),
        ..View::new(&revision)
    };
    if revision.number != base {
        let fault = format!(
            "Somebody else made revision {} meanwhile. Nothing was saved; what you see is what you \
             typed. Check what it would change now.",
            revision.number
        );
        return desk.turn_back(&visit, typed, fault).await;
    }
    let draft = match draft(&sent, &revision.settings, portal.as_ref()) {
        Ok(draft) => draft,
        Err(fault) => return desk.turn_back(&visit, typed, fault).await,
    };
    let changes = revision.settings.changes_to(&draft);
    if !saves || changes.is_empty() {
        let changes = changes.iter().map(ToString::to_string).collect();
        let known = revision.settings.warnings();
        let warnings = draft.warnings();
        let warnings = warnings.iter().filter(|warning| !known.contains(warning));
        let view = View {
            changes: Some(changes),
            warnings: warnings.map(ToString::to_string).collect(),
            ..typed
        };
        return Ok(desk.page(&visit, view).await?.into_response());
    }
    let (by, origin, now) = (visit.by(), "page".to_owned(), Timestamp::now());
    desk.store()
        .change_access(base, draft, by, origin, now)
        .await?;
    let portal = portal.map_or(String::new(), |portal| format!("&portal={portal}"));
    Ok(Redirect::to(&format!("/access?done=saved{portal}")).into_response())
}

/// What the page shows.
struct View<'a> {
    portal: Option<&'a PortalName>,
    revision: &'a Revision,
    /// By the name of the setting.
    values: BTreeMap<&'static str, Value>,
    /// What the form would change, where it was asked.
    changes: Option<Vec<String>>,
    warnings: Vec<String>,
    fault: Option<String>,
    done: Option<&'a str>,
}

impl<'a> View<'a> {
    /// The revision, with the warnings there are about it.
    fn new(revision: &'a Revision) -> Self {
        let warnings = revision.settings.warnings();
        Self {
            portal: None,
            revision,
            values: BTreeMap::new(),
            changes: None,
            warnings: warnings.iter().map(ToString::to_string).collect(),
            fault: None,
            done: None,
        }
    }
}

impl Desk {
    /// The portal that a form or an address names.
    fn portal(&self, fields: &Fields) -> Result<Option<PortalName>, Refusal> {
        let portal = fields.read("portal", |name| PortalName::parse(name).ok())?;
        match portal {
            Some(name) if self.config().portal(&name).is_none() => Err(Refusal::NotFound("portal")),
            portal => Ok(portal),
        }
    }

    async fn turn_back(
        &self,
        visit: &Visit,
        view: View<'_>,
        fault: String,
    ) -> Result<Response, Refusal> {
        let view = View {
            fault: Some(fault),
            ..view
        };
        let page = self.page(visit, view).await?;
        Ok(page.with_status(StatusCode::CONFLICT).into_response())
    }

    async fn page(&self, visit: &Visit, view: View<'_>) -> Result<Page, StoreError> {
        // One more, so that the oldest that is shown has something to be compared with.
        let revisions = self.store().access_history(HISTORY + 1).await?;
        let nothing = AccessSettings::default();
        let history: Vec<_> = revisions
            .iter()
            .enumerate()
            .take(HISTORY)
            .map(|(place, revision)| {
                let before = revisions.get(place + 1);
                let changes = before
                    .map_or(&nothing, |before| &before.settings)
                    .changes_to(&revision.settings);
                context! {
                    number => revision.number,
                    at => when(revision.at),
                    by => revision.by.as_str(),
                    origin => revision.origin.as_str(),
                    changes => changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
                }
            })
            .collect();
        Ok(visit.page(
            "operators/access.html",
            context! {
                portals => portals(&self.config()),
                portal => view.portal.map(PortalName::as_str),
                revision => view.revision.number,
                at => when(view.revision.at),
                by => view.revision.by.as_str(),
                s => view.values,
                changes => view.changes,
                warnings => view.warnings,
                fault => view.fault,
                done => view.done,
                history => history,
            },
        ))
    }
}

/// What is in force, for the fields of the form.
fn values_of(
    settings: &AccessSettings,
    portal: Option<&PortalName>,
) -> BTreeMap<&'static str, Value> {
    let effective = settings.effective(portal);
    let fields = Key::ALL.into_iter().map(|key| {
        let source = settings.source(key, portal);
        let value = match key.of(&effective) {
            access::Value::Switch(on) => Value::from(on),
            access::Value::Domains(patterns) => lines(&patterns),
            access::Value::Groups(groups) => Value::from(groups.join(", ")),
        };
        (key.as_str(), field(key, value, source != Source::Portal))
    });
    fields.collect()
}

/// What somebody typed, right or wrong.
fn values_typed(
    sent: &Fields,
    settings: &AccessSettings,
    portal: Option<&PortalName>,
) -> BTreeMap<&'static str, Value> {
    let effective = settings.effective(portal);
    let fields = Key::ALL.into_iter().map(|key| {
        let value = match key.of(&effective) {
            access::Value::Switch(_) => Value::from(sent.one(key.as_str()).is_some()),
            _ => Value::from(sent.exactly(key.as_str()).unwrap_or_default()),
        };
        (key.as_str(), field(key, value, inherits(sent, key)))
    });
    fields.collect()
}

fn field(key: Key, value: Value, inherited: bool) -> Value {
    context! { key => key.as_str(), value => value, inherited => inherited }
}

fn lines(patterns: &[crate::domain::DomainPattern]) -> Value {
    let lines: Vec<_> = patterns.iter().map(ToString::to_string).collect();
    Value::from(lines.join("\n"))
}

fn inherits(sent: &Fields, key: Key) -> bool {
    sent.all("inherit").any(|name| name == key.as_str())
}

/// The settings as the form has them: all of them, since a box that is not ticked is not sent.
fn draft(
    sent: &Fields,
    settings: &AccessSettings,
    portal: Option<&PortalName>,
) -> Result<AccessSettings, String> {
    let assignments = Key::ALL
        .into_iter()
        .map(|key| {
            if portal.is_some() && inherits(sent, key) {
                return Ok(Assignment { key, value: None });
            }
            let text = match key.of(&settings.site) {
                access::Value::Switch(_) => sent.one(key.as_str()).is_some().to_string(),
                // A list on the page has a line for each, a list as typed elsewhere commas.
                _ => sent
                    .exactly(key.as_str())
                    .unwrap_or_default()
                    .replace(['\r', '\n'], ","),
            };
            let value = key.parse_value(&text).map_err(|error| error.to_string())?;
            Ok(Assignment {
                key,
                value: Some(value),
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    settings
        .with(portal, &assignments)
        .map_err(|error| error.to_string())
}
