//! Findings about access settings that admit everybody, or nobody, and about those of the configuration file that are
//! probably unintended.
//!
//! Judges the current settings; before the first start, those of the configuration file, which apply from then on. If
//! the database cannot be read, there is no telling which settings are current.

use super::{Finding, State};
use crate::access::{AccessSettings, Effective};
use crate::config::Config;
use crate::domain::PortalName;
use crate::store::{Location, StoreError, access_settings_of};

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    match access_settings_of(&Location::of(config)) {
        Ok(Some(in_force)) => judge(config, &in_force),
        Ok(None) => {
            let mut findings = warnings(config);
            findings.extend(judge(config, &config.access));
            findings
        }
        Err(error) => vec![report_unreadable(&error)],
    }
}

/// A server that cannot be reached is a problem of another check, which is skipped without a network.
fn report_unreadable(error: &StoreError) -> Finding {
    let state = match error {
        StoreError::Away(_) => State::Warning,
        _ => State::Problem,
    };
    let detail = format!("the current access settings cannot be read: {error}");
    let remedy = "see what vestibule doctor reports about the database";
    Finding {
        state,
        ..Finding::problem("access", detail, remedy)
    }
}

/// Warnings about the settings of the configuration file.
fn warnings(config: &Config) -> Vec<Finding> {
    let portals = config.portals.iter().map(|portal| Some(&portal.name));
    let mut findings = Vec::new();
    let mut said = Vec::new();
    for portal in std::iter::once(None).chain(portals) {
        for warning in config.access.effective(portal).warnings() {
            // A portal inherits the site's settings together with their warnings.
            if said.contains(&warning) {
                continue;
            }
            let check = portal.map_or_else(
                || "access".to_owned(),
                |name| format!("portal[{name}].access"),
            );
            findings.push(Finding::warning(
                check,
                warning.to_string(),
                "ignore this if it is intended; after the first start: vestibule access",
            ));
            said.push(warning);
        }
    }
    findings
}

pub(super) fn judge(config: &Config, settings: &AccessSettings) -> Vec<Finding> {
    let scopes: Vec<(&PortalName, Effective)> = config
        .portals
        .iter()
        .map(|portal| (&portal.name, settings.effective(Some(&portal.name))))
        .collect();
    let names = |matches: fn(&Effective) -> bool| -> Vec<&str> {
        let matching = scopes.iter().filter(|(_, scope)| matches(scope));
        matching.map(|(name, _)| name.as_str()).collect()
    };
    let mut findings = Vec::new();
    let open = names(is_open);
    if !open.is_empty() {
        findings.push(Finding::warning(
            "access",
            format!(
                "anybody may write to {} without verification, and every sender keeps an \
                 account: spam and forged mail reach the help desk",
                open.join(", ")
            ),
            "vestibule access set external.restrict_domains=true, or external.verify=true",
        ));
    }
    let closed = names(is_closed);
    if !closed.is_empty() {
        findings.push(Finding::warning(
            "access",
            format!("no new sender may write to {}", closed.join(", ")),
            "vestibule access approve DOMAIN for your own people",
        ));
    }
    findings
}

fn is_open(scope: &Effective) -> bool {
    let external = &scope.external;
    external.allow_portal_only_accounts && !external.restrict_domains && !external.verify
}

fn is_closed(scope: &Effective) -> bool {
    let (internal, external) = (&scope.internal, &scope.external);
    let lets_in_internal = internal.enabled && !internal.approved_domains.is_empty();
    let lets_in_external = external.allow_portal_only_accounts
        && !(external.restrict_domains && external.allowed_domains.is_empty());
    !lets_in_internal && !lets_in_external
}
