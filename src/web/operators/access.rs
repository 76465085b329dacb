//! `/access`: the access settings as one page with the two groups Internal and External, for the site or for
//! one portal with the values that it inherits.
//!
//! A form leads to a preview: the differences, the warnings, and the effect that the change would have had on the
//! mail of the last 30 days. Only the preview has a button that saves, and it saves exactly what it showed: it
//! holds the fields and the revision that they were compared with. If a newer revision exists by then, nothing is
//! saved.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::{Value, context};
use tokio::task::spawn_blocking;

use super::access_form::{self as form, FieldFault, Shown};
use super::auth::{CurrentOperator, PageCall};
use super::error::Error;
use super::form_fields::{Fields, FormFields, QueryFields};
use super::save_as::save_as;
use super::simulate::warning_lines;
use super::{AppState, when};
use crate::access::{AccessSettings, Key};
use crate::config::parse_access_settings;
use crate::domain::PortalName;
use crate::operations::{ChangeTerms, block_unlisted, change_settings, list_revisions};
use crate::store::{Page, Revision, StoreError};
use crate::web::page::{WebPage, portal_choices};

/// File name of the export.
const EXPORT: &str = "access.toml";

/// Number of revisions that the page lists.
const HISTORY: usize = 10;

pub(super) async fn show(
    call: PageCall,
    QueryFields(asked): QueryFields,
) -> Result<WebPage, Error> {
    let portal = call.app.portal(&asked)?;
    let revision = call.app.store().access().await?;
    let view = View {
        portal: portal.as_ref(),
        values: form::effective(&revision.settings, portal.as_ref()),
        done: asked.one("done"),
        ..View::new(&revision)
    };
    Ok(call.app.page(&call.operator, view).await?)
}

/// Actions of the buttons of the form and its preview.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Preview,
    /// Back from the preview, with the typed values.
    Edit,
    Save,
}

impl Step {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "preview" => Some(Self::Preview),
            "edit" => Some(Self::Edit),
            "save" => Some(Self::Save),
            _ => None,
        }
    }
}

pub(super) async fn submit(
    call: PageCall,
    FormFields(sent): FormFields,
) -> Result<Response, Error> {
    let portal = call.app.portal(&sent)?;
    let step = sent.require("action", Step::from_name)?;
    let base: u64 = sent.require("revision", |text| text.parse().ok())?;
    let revision = call.app.store().access().await?;
    let typed = View {
        portal: portal.as_ref(),
        values: form::values_of(&sent, &revision.settings, portal.as_ref()),
        ..View::new(&revision)
    };
    if revision.number != base {
        return call
            .app
            .turn_back(&call.operator, typed, overtaken(&revision).into())
            .await;
    }
    let drafted = match sent.one("file") {
        Some(_) => {
            let parsed = call.app.settings_of_file(&sent).await?;
            parsed.map_err(FieldFault::from)
        }
        None => form::draft(&sent, &revision.settings, portal.as_ref()),
    };
    let draft = match drafted {
        Ok(draft) => draft,
        Err(fault) => return call.app.turn_back(&call.operator, typed, fault).await,
    };
    if step == Step::Edit {
        return Ok(call.app.page(&call.operator, typed).await?.into_response());
    }
    if revision.settings.changes_to(&draft).is_empty() {
        let view = View {
            unchanged: true,
            ..typed
        };
        return Ok(call.app.page(&call.operator, view).await?.into_response());
    }
    if step == Step::Preview {
        let simulation = call
            .app
            .simulation(&revision.settings, &draft, None)
            .await?;
        let page = call.operator.page(
            "operators/access_preview.html",
            context! {
                revision => base,
                portal => portal.as_ref().map(PortalName::as_str),
                fields => form::hidden_fields(&sent),
                what_if => simulation,
            },
        );
        return Ok(page.into_response());
    }
    let terms = ChangeTerms {
        by: call.operator.actor(),
        dry_run: false,
        base: Some(base),
    };
    let saved = change_settings(call.app.store(), &terms, |_| Ok(draft.clone()));
    match saved.await {
        Ok(_) => {
            if sent.one("block_unlisted").is_some() {
                block_unlisted(call.app.store(), &terms.by).await?;
            }
            let portal = portal.map_or(String::new(), |portal| format!("&portal={portal}"));
            Ok(Redirect::to(&format!("/access?done=saved{portal}")).into_response())
        }
        Err(StoreError::Conflict { .. }) => {
            let revision = call.app.store().access().await?;
            let view = View {
                portal: portal.as_ref(),
                values: form::values_of(&sent, &revision.settings, portal.as_ref()),
                ..View::new(&revision)
            };
            call.app
                .turn_back(&call.operator, view, overtaken(&revision).into())
                .await
        }
        Err(error) => Err(error.into()),
    }
}

fn overtaken(revision: &Revision) -> String {
    format!(
        "Somebody else saved revision {} first, so nothing was saved. The form has what you typed; \
         preview it again.",
        revision.number
    )
}

/// Content of the page.
struct View<'a> {
    portal: Option<&'a PortalName>,
    revision: &'a Revision,
    values: Shown,
    /// A preview was requested, and there is nothing to save.
    unchanged: bool,
    fault: Option<FieldFault>,
    done: Option<&'a str>,
}

impl<'a> View<'a> {
    fn new(revision: &'a Revision) -> Self {
        Self {
            portal: None,
            revision,
            values: Shown::new(),
            unchanged: false,
            fault: None,
            done: None,
        }
    }
}

/// The settings of the site and of all portals as a file, to be saved.
pub(super) async fn export(State(app): State<Arc<AppState>>) -> Result<Response, Error> {
    let settings = app.store().access().await?.settings;
    let text = toml::to_string(&settings);
    let text = text.map_err(|error| StoreError::Other(error.to_string()))?;
    Ok(save_as(text.into_bytes(), EXPORT))
}

impl AppState {
    /// Parses the settings of a file, as the export writes it. The inner error is the reason why they cannot be saved.
    /// Parsing a large file takes time, and async threads must not block.
    async fn settings_of_file(
        &self,
        sent: &Fields,
    ) -> Result<Result<AccessSettings, String>, StoreError> {
        let text = sent.exactly("file").unwrap_or_default().to_owned();
        let parsed = spawn_blocking(move || parse_access_settings(&text, Path::new(EXPORT))).await;
        let draft = match parsed.map_err(|error| StoreError::Other(error.to_string()))? {
            Ok(draft) => draft,
            Err(errors) => return Ok(Err(errors.to_string())),
        };
        let config = self.config();
        let unknown = draft
            .portals
            .keys()
            .find(|name| config.public_portal(name).is_none());
        Ok(match unknown {
            Some(name) => Err(format!("There is no portal {name}.")),
            None => Ok(draft),
        })
    }

    /// The portal that a form or a query names.
    fn portal(&self, fields: &Fields) -> Result<Option<PortalName>, Error> {
        let portal = fields.read("portal", |name| PortalName::parse(name).ok())?;
        match portal {
            Some(name) if self.config().public_portal(&name).is_none() => {
                Err(Error::NotFound("portal"))
            }
            portal => Ok(portal),
        }
    }

    async fn turn_back(
        &self,
        operator: &CurrentOperator,
        view: View<'_>,
        fault: FieldFault,
    ) -> Result<Response, Error> {
        let view = View {
            fault: Some(fault),
            ..view
        };
        let page = self.page(operator, view).await?;
        Ok(page.with_status(StatusCode::CONFLICT).into_response())
    }

    async fn page(
        &self,
        operator: &CurrentOperator,
        view: View<'_>,
    ) -> Result<WebPage, StoreError> {
        let revisions = list_revisions(self.store(), Page::first(HISTORY)).await?;
        let history: Vec<_> = revisions
            .rows
            .iter()
            .map(|revision| {
                let changes = revision.changes.iter();
                context! {
                    number => revision.revision,
                    at => when(revision.at),
                    by => revision.by.as_str(),
                    origin => revision.origin.as_str(),
                    changes => changes.map(ToString::to_string).collect::<Vec<_>>(),
                }
            })
            .collect();
        let settings = &view.revision.settings;
        let warnings = settings.warnings_for(view.portal);
        Ok(operator.page(
            "operators/access.html",
            context! {
                portals => portal_choices(&self.config()),
                portal => view.portal.map(PortalName::as_str),
                revision => view.revision.number,
                at => when(view.revision.at),
                by => view.revision.by.as_str(),
                s => view.values,
                overrides => overrides(settings),
                warnings => warning_lines(&warnings),
                unchanged => view.unchanged,
                fault => view.fault.as_ref().map(FieldFault::context),
                done => view.done,
                history => history,
            },
        ))
    }
}

/// Settings that portals override.
fn overrides(settings: &AccessSettings) -> Vec<Value> {
    let mut rows = Vec::new();
    for (portal, own) in &settings.portals {
        for key in Key::ALL {
            if let Some(value) = key.of_overrides(own) {
                let value = Some(value.to_string()).filter(|text| !text.is_empty());
                rows.push(context! {
                    portal => portal.as_str(),
                    key => key.as_str(),
                    value => value.unwrap_or_else(|| "empty".to_owned()),
                    site => key.of(&settings.site).to_string(),
                });
            }
        }
    }
    rows
}
