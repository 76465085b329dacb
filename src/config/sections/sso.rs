//! `[sso]`: sign-in at the organisation's OpenID provider, for operators and for customers of some domains.

use std::collections::BTreeMap;

use url::Url;

use super::super::document::TomlSection;
use super::super::secret::Keys;
use super::super::server_url::parse_provider;
use super::super::{Http, Sso};
use crate::domain::{Domain, Role};

const CLIENT_SECRET: Keys = Keys {
    file: "client_secret_file",
    credential: "client_secret_credential",
    inline: "client_secret",
};

const ISSUER: &str = "\"https://login.corp.example/realms/staff\"";

/// Maximum octets of a name that becomes part of a URL of the provider.
const MAX_NAME: usize = 512;

/// `None` if there is no section, or if it is incomplete, which is reported. An operator returns to
/// `http.admin_url`, so it must be known.
pub(super) fn read(section: &TomlSection<'_>, http: &Http) -> Option<Sso> {
    if !section.is_there() {
        return None;
    }
    let issuer = section
        .require("issuer", ISSUER)
        .and_then(|entry| entry.parse(parse_provider));
    let client_id = section
        .require("client_id", "\"vestibule\"")
        .and_then(|entry| entry.parse(visible_text));
    let client_secret = section.secret(CLIENT_SECRET);
    if !section.has_secret(CLIENT_SECRET) {
        section.refuse(
            "needs the secret of the client; write client_secret_file = \"/path/to/it\" or \
             client_secret_credential",
        );
    }
    let domains = section.list("domains", domain);
    let claim = |key: &'static str| {
        section
            .entry(key)
            .and_then(|entry| entry.parse(visible_text))
            .unwrap_or_else(|| "groups".to_owned())
    };
    let (role_claim, groups_claim) = (claim("role_claim"), claim("groups_claim"));
    let scopes = section
        .entry("scopes")
        .and_then(|entry| entry.list(scope))
        .unwrap_or_else(|| ["profile", "email"].map(ToOwned::to_owned).into());
    let roles = roles(section);
    if domains.is_empty() && roles.is_empty() {
        section.refuse(
            "would let nobody sign in; write [sso.roles] with \"GROUP\" = \"admin\" for operators, or domains \
             for customers",
        );
    }
    if !roles.is_empty() && http.admin_url.is_none() {
        section.refuse(
            "lets operators sign in, so the provider must know where their pages are; write \
             http.admin_url = \"https://…\"",
        );
    }
    Some(Sso {
        issuer: issuer?,
        client_id: client_id?,
        client_secret: client_secret?,
        domains,
        role_claim,
        groups_claim,
        scopes,
        roles,
    })
}

/// Roles by the value of the claim.
fn roles(section: &TomlSection<'_>) -> BTreeMap<String, Role> {
    let mut roles = BTreeMap::new();
    let Some(entry) = section.entry("roles") else {
        return roles;
    };
    for (group, name) in entry.texts().unwrap_or_default() {
        match Role::from_name(&name) {
            Some(role) if !group.trim().is_empty() => {
                roles.insert(group, role);
            }
            Some(_) => entry.refuse("the name of a group is empty"),
            None => entry.refuse(format_args!(
                "{group:?} = {name:?}: a role is viewer, agent or admin"
            )),
        }
    }
    roles
}

fn domain(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|cause| {
        format!("{cause}; write each domain of your addresses, as in corp.example")
    })
}

fn visible_text(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c == ' ' || c.is_ascii_graphic();
    if text.trim().is_empty() || text.len() > MAX_NAME || !text.chars().all(is_plain) {
        return Err(format!("{text:?} is not a name that a provider gives"));
    }
    Ok(text.to_owned())
}

/// RFC 6749 3.3 `scope-token`.
fn scope(text: &str) -> Result<String, String> {
    let is_of_scope = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(is_of_scope) {
        return Err(format!("{text:?} is not a scope, which is one word"));
    }
    Ok(text.to_owned())
}

/// Host name in the URL of the operators' pages. The operators' listener answers under it, too.
pub(super) fn host_of(admin_url: &str) -> Option<String> {
    let url = Url::parse(admin_url).ok()?;
    url.domain()
        .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
}
