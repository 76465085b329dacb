//! Fingerprint of the configuration that must be the same on all nodes that share a store: one digest per section.
//!
//! Not included: whatever belongs to one machine or its place in the network (listening addresses, trusted peers
//! and proxies, folders, programs, certificates, pool sizes, timeouts, the log), the location of the store, and
//! access settings, which are in the store. Of a secret, only its presence counts. Digests are computed from the
//! program's own representation, so only digests of the same version can be compared.

use std::collections::BTreeMap;
use std::fmt::Debug;

use sha2::{Digest, Sha256};

use super::{
    Config, Destination, Endpoint, Hook, HttpCredentials, Outgoing, SmtpConfig, SmtpLogin,
    SmtpServer, Sso,
};
use crate::domain::to_hex;

/// Octets of each digest: enough to see that two differ.
const OCTETS: usize = 8;

impl Config {
    /// Digests by the names of the sections.
    #[must_use]
    pub fn fingerprint(&self) -> BTreeMap<String, String> {
        // Destructured without `..`, so that a new section must be listed here.
        let Self {
            hostname,
            data_dir: _,
            store: _,
            site,
            smtp,
            http,
            portals,
            destinations,
            hooks,
            verification,
            outgoing,
            outgoing_concurrency: _,
            sso,
            authentication,
            mail,
            // Follows from `http` and `verification`.
            own_links: _,
            quota,
            dropped,
            retention,
            log: _,
            canary,
            digest,
            access: _,
            own_addresses: _,
            secret_files: _,
        } = self;
        let mut sections = BTreeMap::new();
        let mut add = |name: &str, parts: &dyn Debug| {
            sections.insert(name.to_owned(), hash(&format!("{parts:?}")));
        };
        add("hostname", hostname);
        let zone = site.time_zone.iana_name();
        add("site", &(&site.name, zone, &site.language, &site.contact));
        add("smtp", &of_smtp(smtp));
        // A URL without TLS concerns one machine only.
        let url = Some(&http.public_url).filter(|url| url.starts_with("https://"));
        add("http", &url);
        add("portal", portals);
        let destinations = destinations.iter();
        let destinations = destinations.map(|(name, one)| (name, one.kind(), of_destination(one)));
        add("destination", &destinations.collect::<Vec<_>>());
        add("hook", &hooks.iter().map(of_hook).collect::<Vec<_>>());
        let mut verification = verification.clone();
        verification.templates = None;
        add("verification", &verification);
        add("outgoing", &of_outgoing(outgoing));
        add("sso", &sso.as_ref().map(of_sso));
        let sealers = &authentication.trusted_arc_sealers;
        add(
            "authentication",
            &(authentication.mode, &authentication.authserv_id, sealers),
        );
        add("mail", mail);
        add("quota", quota);
        add("dropped", dropped);
        add("retention", retention);
        let canary = canary.as_ref();
        add(
            "canary",
            &canary.map(|canary| (canary.interval, canary.timeout)),
        );
        let digest = digest.as_ref();
        add(
            "digest",
            &digest.map(|one| (&one.to, one.at, &one.language)),
        );
        sections
    }
}

/// One digest of a whole fingerprint.
#[must_use]
pub fn digest_of(fingerprint: &BTreeMap<String, String>) -> String {
    hash(&format!("{fingerprint:?}"))
}

fn hash(text: &str) -> String {
    to_hex(&Sha256::digest(text)[..OCTETS])
}

fn of_smtp(smtp: &SmtpConfig) -> impl Debug {
    (
        smtp.max_message_size,
        smtp.max_header_size,
        smtp.max_recipients,
        smtp.postmaster.clone(),
    )
}

/// The part that all nodes share; a Maildir and a command belong to one machine.
fn of_destination(destination: &Destination) -> Option<String> {
    Some(match destination {
        Destination::Smtp(smtp) => {
            let user = smtp.login.as_ref().map(|login| login.user.as_str());
            let (server, retry) = (of_server(&smtp.server, user), &smtp.retry);
            format!(
                "{:?}",
                (server, &smtp.recipient, &smtp.envelope_from, retry)
            )
        }
        Destination::Webhook(webhook) => {
            let endpoint = of_endpoint(&webhook.endpoint);
            let format = (webhook.format, &webhook.field, &webhook.retry);
            format!("{:?}", (endpoint, format))
        }
        Destination::Maildir(_) | Destination::Command(_) => return None,
    })
}

fn of_hook(hook: &Hook) -> impl Debug {
    let Hook {
        name,
        events,
        endpoint,
        concurrency: _,
        retry,
    } = hook;
    (name, events, of_endpoint(endpoint), retry)
}

fn of_endpoint(endpoint: &Endpoint) -> impl Debug {
    let credentials = match &endpoint.credentials {
        None => "",
        Some(HttpCredentials::Bearer(_)) => "bearer",
        Some(HttpCredentials::Basic(user, _)) => user,
    };
    let secrets: Vec<_> = endpoint.secret_headers.keys().collect();
    (
        &endpoint.url,
        endpoint.secret.is_some(),
        credentials,
        &endpoint.headers,
        secrets,
        endpoint.allow_private,
    )
}

/// `user` is the name in a login by password.
fn of_server(server: &SmtpServer, user: Option<&str>) -> impl Debug {
    let SmtpServer {
        host,
        port,
        security,
        tls_verify,
    } = server;
    (host, port, security, tls_verify, user)
}

fn of_outgoing(outgoing: &Outgoing) -> String {
    match outgoing {
        Outgoing::Smtp(server, None) => format!("{:?}", of_server(server, None)),
        Outgoing::Smtp(server, Some(SmtpLogin::Password(login))) => {
            format!("{:?}", of_server(server, Some(&login.user)))
        }
        Outgoing::Smtp(server, Some(SmtpLogin::Token(login))) => {
            format!("{:?}", (of_server(server, None), &login.user))
        }
        Outgoing::File(_) => "file".to_owned(),
    }
}

fn of_sso(sso: &Sso) -> impl Debug {
    let Sso {
        issuer,
        client_id,
        client_secret: _,
        domains,
        role_claim,
        groups_claim,
        scopes,
        roles,
    } = sso;
    let claims = (role_claim, groups_claim, scopes, roles);
    (issuer, client_id, domains, claims)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Secret, Secrets};

    const TEXT: &str = r#"
hostname = "gate.corp.example"
data_dir = "/data/a"

[smtp]
listen = ["127.0.0.1:2525"]

[http]
listen = "127.0.0.1:8080"
public_url = "https://help.corp.example"

[[portal]]
name = "it"
title = "IT Help"
addresses = ["it-help@corp.example"]
destination = "desk"

[destination.desk]
type = "webhook"
url = "https://desk.corp.example/mail"

[destination.desk.headers]
X-Team = "it"

[verification]
from = "IT Help <no-reply@corp.example>"

[outgoing]
type = "smtp"
url = "smtp://127.0.0.1:25"

[retention]
ledger = "365d"

[log]
level = "info"
"#;

    fn fingerprint(text: &str) -> BTreeMap<String, String> {
        let file = Path::new("/x/vestibule.toml");
        let config = Config::parse_with(text, file, Secrets::Leave);
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        config.fingerprint()
    }

    /// Sections whose digests differ after `before` is replaced by `after` in the text.
    fn changed(before: &str, after: &str) -> Vec<String> {
        assert!(TEXT.contains(before), "{before}");
        let (old, new) = (
            fingerprint(TEXT),
            fingerprint(&TEXT.replacen(before, after, 1)),
        );
        assert_eq!(digest_of(&old) == digest_of(&new), old == new);
        let differs = |name: &&String| old.get(*name) != new.get(*name);
        old.keys().filter(differs).cloned().collect()
    }

    #[test]
    fn a_change_shows_in_its_section_and_machine_specific_settings_in_none() {
        for (before, after, sections) in [
            ("gate.corp", "gate2.corp", &["hostname"][..]),
            ("https://help", "https://desk", &["http"]),
            ("\"IT Help\"", "\"Help\"", &["portal", "site"]),
            ("it-help@", "help@", &["portal"]),
            (
                "desk.corp.example/mail",
                "desk.corp.example/in",
                &["destination"],
            ),
            ("X-Team = \"it\"", "X-Team = \"hr\"", &["destination"]),
            ("no-reply@", "noreply@", &["verification"]),
            ("127.0.0.1:25\"", "127.0.0.1:26\"", &["outgoing"]),
            (
                "127.0.0.1:25\"",
                "127.0.0.1:25\"\ntls_verify = false",
                &["outgoing"],
            ),
            ("365d", "366d", &["retention"]),
            // The same value in another notation.
            ("365d", "8760h", &[]),
            ("/data/a", "/data/b", &[]),
            ("127.0.0.1:2525", "127.0.0.1:2526", &[]),
            ("127.0.0.1:8080", "127.0.0.1:8082", &[]),
            ("\"info\"", "\"debug\"", &[]),
        ] {
            assert_eq!(changed(before, after), sections, "{after}");
        }
    }

    #[test]
    fn the_sections_that_nodes_compare_exist() {
        let found = fingerprint(TEXT);
        for name in ["destination", "hook", "portal", "verification"] {
            assert!(found.contains_key(name), "{name}");
        }
    }

    #[test]
    fn of_a_secret_only_its_presence_counts() {
        let with = |secret: &str| {
            let mut endpoint = Endpoint {
                url: "https://desk.corp.example/".to_owned(),
                secret: None,
                credentials: None,
                headers: BTreeMap::new(),
                secret_headers: BTreeMap::new(),
                timeout: std::time::Duration::from_secs(1),
                allow_private: false,
            };
            if !secret.is_empty() {
                endpoint.secret = Some(Secret::from(secret));
                endpoint.credentials = Some(HttpCredentials::Bearer(Secret::from(secret)));
                let field = ("X-Key".to_owned(), Secret::from(secret));
                endpoint.secret_headers.extend([field]);
            }
            format!("{:?}", of_endpoint(&endpoint))
        };
        assert_eq!(with("one"), with("another"));
        assert_ne!(with("one"), with(""));
        assert!(!with("one").contains("one"));
    }
}
