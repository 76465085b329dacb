//! Findings about access settings that admit everybody, or nobody.
//!
//! Judges the current settings; before the first start, those of the configuration file.

use super::Finding;
use crate::access::{AccessSettings, Effective};
use crate::config::Config;
use crate::domain::PortalName;
use crate::store::{Location, access_settings_of};

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    // A database that cannot be read is reported by another finding.
    let in_force = access_settings_of(&Location::of(config)).ok().flatten();
    judge(config, in_force.as_ref().unwrap_or(&config.access))
}

fn judge(config: &Config, settings: &AccessSettings) -> Vec<Finding> {
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
