//! The keys of an HTTP endpoint: a webhook destination or a hook.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

use crate::config::document::TomlSection;
use crate::config::secret::{BEARER, PASSWORD, WEBHOOK_SECRET};
use crate::config::server_url::{is_private, parse_http};
use crate::config::units::SECOND;
use crate::config::{Endpoint, HttpCredentials, Secret};

/// `None` if the URL is missing or invalid, which is reported.
pub(super) fn read(section: &TomlSection<'_>, example: &str) -> Option<Endpoint> {
    let allow_private = section.switch("allow_private", false);
    let url = section.require("url", example).and_then(|entry| {
        let url = entry.parse(parse_http)?;
        if is_private(&url) && !allow_private {
            entry.refuse(format_args!(
                "{} is not on the Internet; if that is intended, also write allow_private = true",
                url.host_str().unwrap_or_default()
            ));
        }
        Some(url.to_string())
    });
    let secret = section
        .secret(WEBHOOK_SECRET)
        .and_then(|secret| signing_key(section, &secret));
    let credentials = credentials(section);
    let headers = section
        .entry("headers")
        .and_then(|entry| {
            let headers = entry.texts()?;
            for (name, value) in &headers {
                if !is_field_name(name) {
                    entry.refuse(not_a_field(name));
                }
                if value.contains(|c: char| c.is_control()) {
                    entry.refuse(format_args!("{name}: a control character cannot be sent"));
                }
            }
            Some(headers)
        })
        .unwrap_or_default();
    let secret_headers = secret_headers(section, &headers);
    let timeout = section.time("timeout", 30 * SECOND);
    Some(Endpoint {
        url: url?,
        secret,
        credentials,
        headers,
        secret_headers,
        timeout,
        allow_private,
    })
}

/// A token, or a user and a password; not both, since there is only one `Authorization`.
fn credentials(section: &TomlSection<'_>) -> Option<HttpCredentials> {
    let bearer = section.secret(BEARER);
    let username = section.entry("username");
    let password = section.secret(PASSWORD);
    let has_password = section.has_secret(PASSWORD);
    match username {
        None if has_password => {
            section.refuse("a password needs a user; also write username");
            None
        }
        None => bearer.map(HttpCredentials::Bearer),
        Some(entry) if section.has_secret(BEARER) => {
            entry.refuse("is set together with a bearer token; set only one of the two");
            None
        }
        Some(entry) if !has_password => {
            entry.refuse("needs a password; also write password_file or credential");
            None
        }
        Some(entry) => {
            let user = entry.some_text()?;
            if user.contains(|c: char| c == ':' || c.is_control()) {
                entry.refuse("a user with a colon cannot be sent (RFC 7617 2)");
            }
            Some(HttpCredentials::Basic(user.to_owned(), password?))
        }
    }
}

/// Fields whose values are read from files or credentials.
fn secret_headers(
    section: &TomlSection<'_>,
    headers: &BTreeMap<String, String>,
) -> BTreeMap<String, Secret> {
    let source = &section.document().secrets;
    let mut secrets = BTreeMap::new();
    for (key, credential) in [
        ("header_files", None),
        ("header_credentials", Some("header_files")),
    ] {
        let Some(entry) = section.entry(key) else {
            continue;
        };
        for (name, place) in entry.texts().unwrap_or_default() {
            if !is_field_name(&name) {
                entry.refuse(not_a_field(&name));
            } else if headers.contains_key(&name) || secrets.contains_key(&name) {
                entry.refuse(format_args!("{name} is given twice"));
            } else if let Some(secret) = section.secret_at(&entry, &place, credential, source) {
                secrets.insert(name, secret);
            }
        }
    }
    secrets
}

/// Standard Webhooks: `whsec_` and base64 of 24 to 64 octets. The prefix is removed.
fn signing_key(section: &TomlSection<'_>, secret: &Secret) -> Option<Secret> {
    let text = secret.expose_secret();
    // Empty if secrets are not read.
    if text.is_empty() {
        return Some(secret.clone());
    }
    let key = text.strip_prefix("whsec_").unwrap_or(text);
    match STANDARD.decode(key) {
        Ok(octets) if (24..=64).contains(&octets.len()) => Some(key.into()),
        _ => {
            section.refuse_key(
                WEBHOOK_SECRET.file,
                "the secret must be whsec_ and the base64 of 24 to 64 octets; \
                 make one with: echo \"whsec_$(openssl rand -base64 32)\"",
            );
            None
        }
    }
}

fn not_a_field(name: &str) -> String {
    format!("{name:?} is not the name of a header field")
}

/// RFC 9110 5.6.2 `token`.
fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet))
}
