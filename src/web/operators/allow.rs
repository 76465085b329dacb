//! `/dropped/allow`: allows a domain whose mail was dropped and recovers that mail. A preview shows the
//! change; confirming makes exactly that change, unless the settings were changed meanwhile.

use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;

use super::AppState;
use super::auth::{CurrentOperator, PageCall};
use super::error::Error;
use super::form_fields::{Fields, FormFields, QueryFields};
use crate::access::{AccessSettings, Key};
use crate::domain::DomainPattern;
use crate::operations::{ChangeTerms, MAX_BULK_ITEMS, change_settings, recover_matching};
use crate::store::{Page as Part, StoreError};
use crate::web::page::WebPage;

/// Reads the domain that a query or a form names. Patterns for subdomains are set on the settings page.
fn read_domain(fields: &Fields) -> Result<DomainPattern, Error> {
    let Some(text) = fields.one("domain") else {
        return Err(Error::Malformed("The request names no domain.".to_owned()));
    };
    match DomainPattern::parse(text) {
        Ok(pattern @ DomainPattern::Exactly(_)) => Ok(pattern),
        Ok(DomainPattern::Below(_) | DomainPattern::Address(_)) => Err(Error::Malformed(
            "Only single domains can be allowed here; set patterns under Customer access."
                .to_owned(),
        )),
        Err(error) => Err(Error::NotAllowed(error.to_string())),
    }
}

fn draft(settings: &AccessSettings, pattern: &DomainPattern) -> AccessSettings {
    let patterns = std::slice::from_ref(pattern);
    settings.with_domains(None, Key::ExternalAllowedDomains, patterns)
}

pub(super) async fn show(
    call: PageCall,
    QueryFields(asked): QueryFields,
) -> Result<WebPage, Error> {
    let pattern = read_domain(&asked)?;
    call.app.allowing(&call.operator, &pattern, false).await
}

pub(super) async fn submit(
    call: PageCall,
    FormFields(sent): FormFields,
) -> Result<Response, Error> {
    let pattern = read_domain(&sent)?;
    let base: u64 = sent.require("revision", |text| text.parse().ok())?;
    let terms = ChangeTerms {
        by: call.operator.actor(),
        dry_run: false,
        base: Some(base),
    };
    let allowed = change_settings(call.app.store(), &terms, |settings| {
        Ok::<_, StoreError>(draft(settings, &pattern))
    });
    match allowed.await {
        Ok(_) => {}
        Err(StoreError::Conflict { .. }) => {
            let page = call.app.allowing(&call.operator, &pattern, true).await?;
            let page = page.with_status(axum::http::StatusCode::CONFLICT);
            return Ok(page.into_response());
        }
        Err(error) => return Err(error.into()),
    }
    let (config, by) = (call.app.config(), call.operator.actor());
    let tally = recover_matching(call.app.store(), &config, pattern.clone(), &by).await?;
    let to = format!(
        "/dropped?done=allowed&domain={}&count={}&failed={}",
        pattern.domain(),
        tally.done,
        tally.failed
    );
    Ok(Redirect::to(&to).into_response())
}

impl AppState {
    /// Renders the confirmation page.
    async fn allowing(
        &self,
        operator: &CurrentOperator,
        pattern: &DomainPattern,
        overtaken: bool,
    ) -> Result<WebPage, Error> {
        let revision = self.store().access().await?;
        let draft = draft(&revision.settings, pattern);
        let domain = pattern.domain().to_string();
        let simulation = self
            .simulation(&revision.settings, &draft, Some(domain.clone()))
            .await?;
        let page = Part::first(MAX_BULK_ITEMS);
        let kept = self
            .store()
            .list_recoverable(Some(pattern.clone()), page)
            .await?;
        Ok(operator.page(
            "operators/allow.html",
            context! {
                domain => domain,
                revision => revision.number,
                what_if => simulation,
                kept => kept.rows.len(),
                more => kept.next.is_some(),
                overtaken => overtaken,
            },
        ))
    }
}
