//! `GET /`: the addresses of the portals, and the link to sign up.

use std::sync::Arc;

use axum::extract::State;
use minijinja::{Value, context};

use super::{AppState, PageError, WebPage};
use crate::access::Effective;
use crate::config::Config;

pub(super) async fn show(State(app): State<Arc<AppState>>) -> Result<WebPage, PageError> {
    let config = app.config();
    let access = app.store().access().await?.settings;
    let sign_up = config
        .portals
        .iter()
        .any(|portal| anybody_may_join(&access.effective(Some(&portal.name))));
    Ok(page(&config, sign_up))
}

pub(super) fn page(config: &Config, sign_up: bool) -> WebPage {
    let portals: Vec<Value> = config
        .portals
        .iter()
        .map(|portal| {
            let addresses: Vec<_> = portal.addresses.iter().map(ToString::to_string).collect();
            context! {
                title => portal.title.as_str(),
                url => portal.url.as_deref(),
                addresses => addresses,
            }
        })
        .collect();
    WebPage::new(
        "home.html",
        context! { portals => portals, sign_up => sign_up },
    )
}

/// True if the settings accept any newcomer at all.
fn anybody_may_join(settings: &Effective) -> bool {
    let (internal, external) = (&settings.internal, &settings.external);
    (internal.enabled && !internal.approved_domains.is_empty())
        || (external.allow_portal_only_accounts
            && (!external.restrict_domains || !external.allowed_domains.is_empty()))
}
