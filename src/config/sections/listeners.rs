//! `[smtp]` and `[http]`: the listeners, their clients and their limits.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::network;
use crate::config::certificate::CertificateError;
use crate::config::document::TomlSection;
use crate::config::secret::Secrets;
use crate::config::server_url::parse_public;
use crate::config::units::{KIB, MIB, MINUTE, show_size};
use crate::config::{Http, SmtpConfig, SmtpTls};

/// Bounds of `smtp.max_header_size`. Long lists of recipients and chains of ARC seals take tens of KiB.
const MIN_HEADER: u64 = 16 * KIB;
const MAX_HEADER: u64 = 4 * MIB;

/// Maximum of `smtp.max_message_size`. `SQLite` stores values of up to 1 GB; PostgreSQL does too, but `pg_dump` needs
/// twice the size, and fails above 1 GiB. A message that cannot be stored would be answered 451 for ever.
pub(crate) const MAX_MESSAGE: u64 = 500 * MIB;

/// Addresses in use, by key; port 0 never counts as in use.
#[derive(Default)]
pub(super) struct UsedAddresses(BTreeMap<SocketAddr, &'static str>);

impl UsedAddresses {
    fn take(&mut self, text: &str, key: &'static str) -> Result<SocketAddr, String> {
        let address = text.parse().map_err(|_| {
            format!("{text:?} is not an address with a port; write 127.0.0.1:2525 or [::1]:2525")
        })?;
        self.note(address, key)?;
        Ok(address)
    }

    fn note(&mut self, address: SocketAddr, key: &'static str) -> Result<(), String> {
        if address.port() == 0 {
            return Ok(());
        }
        match self.0.insert(address, key) {
            Some(other) => Err(format!(
                "{address} is already used by {other}; choose another port"
            )),
            None => Ok(()),
        }
    }
}

pub(super) fn smtp(section: &TomlSection<'_>, taken: &mut UsedAddresses) -> SmtpConfig {
    let listen = if let Some(entry) = section.entry("listen") {
        if entry.array().is_some_and(|items| items.is_empty()) {
            entry.refuse("is empty; nothing could be received");
        }
        entry
            .list(|text| taken.take(text, "smtp.listen"))
            .unwrap_or_default()
    } else {
        let standard = SocketAddr::from(([127, 0, 0, 1], 2525));
        taken.0.insert(standard, "smtp.listen");
        vec![standard]
    };
    let trusted_peers = section
        .entry("trusted_peers")
        .and_then(|entry| entry.list(network))
        .unwrap_or_else(|| {
            ["127.0.0.0/8", "::1"]
                .into_iter()
                .flat_map(network)
                .collect()
        });
    let max_message_size = section.size("max_message_size", 25 * MIB);
    if max_message_size > MAX_MESSAGE {
        section.refuse_key(
            "max_message_size",
            format_args!(
                "{} is more than the database can store and back up in one message; write at most {}",
                show_size(max_message_size),
                show_size(MAX_MESSAGE)
            ),
        );
    }
    let max_header_size = section.size("max_header_size", 256 * KIB);
    if max_header_size < MIN_HEADER {
        section.refuse_key(
            "max_header_size",
            format_args!(
                "{} is too small for the header of an ordinary message; write at least {}",
                show_size(max_header_size),
                show_size(MIN_HEADER)
            ),
        );
    } else if max_header_size > MAX_HEADER {
        section.refuse_key(
            "max_header_size",
            format_args!(
                "{} is more than any header needs, and reading a header takes many times its size; \
                 write at most {}",
                show_size(max_header_size),
                show_size(MAX_HEADER)
            ),
        );
    }
    let memory_budget = section.size("memory_budget", 256 * MIB);
    if memory_budget < max_message_size {
        section.refuse_key(
            "memory_budget",
            format_args!(
                "{} is less than smtp.max_message_size ({}), so that no message of that size \
                 could be received; write at least as much",
                show_size(memory_budget),
                show_size(max_message_size)
            ),
        );
    }
    SmtpConfig {
        listen,
        trusted_peers,
        max_message_size,
        max_header_size,
        max_connections: section.number("max_connections", 1000, 1..=100_000),
        max_recipients: section.number("max_recipients", 100, 1..=10_000),
        // Set later, after the portals are read.
        postmaster: None,
        memory_budget,
        command_timeout: section.time("command_timeout", 5 * MINUTE),
        tls: tls(&section.section("tls")),
    }
}

fn tls(section: &TomlSection<'_>) -> Option<SmtpTls> {
    let certificate = section.entry("certificate");
    let key = section.entry("key");
    let required = section.switch("required", false);
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(one), None) => {
            one.refuse("needs its key; write key = \"/path/to/key.pem\"");
            return None;
        }
        (None, Some(one)) => {
            one.refuse("needs its certificate; write certificate = \"/path/to/chain.pem\"");
            return None;
        }
        (None, None) => {
            if required {
                section.refuse_key(
                    "required",
                    "needs a certificate; also write certificate and key",
                );
            }
            return None;
        }
    };
    // Both are read first, so that the mistakes of both are reported.
    let (certificate_path, key_path) = (certificate.path(), key.path());
    let tls = SmtpTls {
        certificate: certificate_path?,
        key: key_path?,
        required,
    };
    if section.document().secrets != Secrets::Leave {
        match tls.load_certified_key() {
            Ok(_) => {}
            Err(CertificateError::Certificate(what)) => certificate.refuse(what),
            Err(CertificateError::Key(what)) => key.refuse(what),
            Err(CertificateError::Both {
                certificate: of_certificate,
                key: of_key,
            }) => {
                certificate.refuse(of_certificate);
                key.refuse(of_key);
            }
        }
    }
    Some(tls)
}

pub(super) fn http(section: &TomlSection<'_>, taken: &mut UsedAddresses) -> Http {
    let mut listener = |key: &'static str, label, port| {
        let standard = SocketAddr::from(([127, 0, 0, 1], port));
        if let Some(entry) = section.entry(key) {
            return entry
                .parse(|text| taken.take(text, label))
                .unwrap_or(standard);
        }
        if let Err(what) = taken.note(standard, label) {
            section.refuse_key(key, what);
        }
        standard
    };
    let listen = listener("listen", "http.listen", 8080);
    let admin_listen = listener("admin_listen", "http.admin_listen", 8081);
    let admin_url = section
        .entry("admin_url")
        .and_then(|entry| entry.parse(parse_origin));
    let mut admin_hosts: Vec<String> = section.list("admin_hosts", host_name);
    admin_hosts.extend(admin_url.as_deref().and_then(super::sso::host_of));
    let is_reachable = admin_listen.ip().is_loopback() && admin_listen.port() != 0;
    Http {
        listen,
        admin_listen,
        public_url: section
            .entry("public_url")
            .and_then(|entry| entry.parse(parse_public))
            .unwrap_or_else(|| "http://127.0.0.1:8080".to_owned()),
        trusted_proxies: section.list("trusted_proxies", network),
        admin_hosts,
        admin_url: admin_url.or_else(|| is_reachable.then(|| format!("http://{admin_listen}"))),
    }
}

/// Parses the URL of the operators' pages, which are at the root of their host.
fn parse_origin(text: &str) -> Result<String, String> {
    let url = parse_public(text)?;
    match url.split_once("://") {
        Some((_, rest)) if rest.contains('/') => Err(format!(
            "{text:?}: the operators' pages are at the root of their host; leave out the path"
        )),
        _ => Ok(url),
    }
}

/// Parses a host name as in the Host field. One label is enough: names of containers have only one.
fn host_name(text: &str) -> Result<String, String> {
    if text.parse::<IpAddr>().is_ok() || text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(format!(
            "{text:?} is an IP address, which is always accepted; remove it"
        ));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(is_plain)
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(format!(
            "{text:?} is not a host name; write it without scheme, port and path, as in \
             desk.corp.example (a name with other letters in its xn-- form)"
        ));
    }
    Ok(name)
}
