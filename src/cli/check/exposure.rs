//! Exposures of the configuration: pages and passwords that others on the network could read, unknown peers
//! that are trusted, secrets that other users of the machine can read.
//!
//! All of it works, and some may be intended, so each is a warning.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Url;

use super::{Finding, label};
use crate::cli::shell_path::quote_for_shell;
use crate::config::{Config, Destination, Endpoint, Outgoing, SmtpLogin, SmtpSecurity, SmtpServer};
use crate::domain::{is_loopback_host, is_private_address, join};

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(operators_port(config));
    findings.extend(trust(
        "smtp.trusted_peers",
        &config.smtp.trusted_peers,
        "anybody can send mail, with any sender and any Authentication-Results",
        "name the addresses of your MTA",
    ));
    findings.extend(trust(
        "http.trusted_proxies",
        &config.http.trusted_proxies,
        "anybody can forge X-Forwarded-For, and so evade every per-client limit",
        "name the addresses of your proxies",
    ));
    for (name, destination) in &config.destinations {
        let check = label(name, destination);
        match destination {
            Destination::Smtp(smtp) => {
                findings.extend(server(&check, &smtp.server, smtp.login.is_some()));
            }
            Destination::Webhook(webhook) => findings.extend(endpoint(&check, &webhook.endpoint)),
            Destination::Maildir(_) | Destination::Command(_) => {}
        }
    }
    for hook in &config.hooks {
        findings.extend(endpoint(&format!("hook {}", hook.name), &hook.endpoint));
    }
    if let Outgoing::Smtp(smtp, login) = &config.outgoing {
        // A token never leaves this machine unencrypted.
        let has_password = matches!(login, Some(SmtpLogin::Password(_)));
        findings.extend(server("outgoing (smtp)", smtp, has_password));
    }
    findings.extend(secret_files(config));
    findings.extend(outgoing_folder(config));
    findings
}

/// Warns if other machines can reach the operators' listener directly: it has no TLS of its own.
fn operators_port(config: &Config) -> Option<Finding> {
    let address = config.http.admin_listen.ip().to_canonical();
    let is_on_the_internet = address.is_unspecified() || !is_private_address(address);
    let has_proxy = !config.http.trusted_proxies.is_empty();
    if address.is_loopback() || (has_proxy && !is_on_the_internet) {
        return None;
    }
    let detail = format!(
        "{}: the operators' pages, the API and /metrics have no TLS here; passwords and sessions cross \
         the network unencrypted",
        config.http.admin_listen
    );
    Some(Finding::warning(
        "http.admin_listen",
        detail,
        "listen on 127.0.0.1, with a proxy that speaks TLS in front; or let only that proxy reach \
         the port",
    ))
}

fn trust(check: &str, trusted: &[IpNet], detail: &str, remedy: &str) -> Option<Finding> {
    let shown = join(trusted, ", ");
    is_most_of_the_internet(trusted)
        .then(|| Finding::warning(check, format!("{shown}: {detail}"), remedy))
}

/// True if these networks together cover half of the public addresses of IPv4 or IPv6, however they are
/// divided. All public IPv6 addresses are in `2000::/3`.
fn is_most_of_the_internet(networks: &[IpNet]) -> bool {
    let share = |length: u8, of: u8| 0.5_f64.powi(i32::from(length.saturating_sub(of)));
    let public: Ipv6Net = match "2000::/3".parse() {
        Ok(public) => public,
        Err(_) => return false,
    };
    let v4: Vec<Ipv4Net> = networks
        .iter()
        .filter_map(|network| match network {
            IpNet::V4(network) => Some(network.trunc()),
            IpNet::V6(_) => None,
        })
        .collect();
    let v6: Vec<Ipv6Net> = networks
        .iter()
        .filter_map(|network| match network {
            IpNet::V6(network) => Some(network.trunc()),
            IpNet::V4(_) => None,
        })
        .filter(|network| network.contains(&public) || public.contains(network))
        .collect();
    let of_v4: f64 = Ipv4Net::aggregate(&v4)
        .iter()
        .map(|network| share(network.prefix_len(), 0))
        .sum();
    let of_v6: f64 = Ipv6Net::aggregate(&v6)
        .iter()
        .map(|network| share(network.prefix_len(), public.prefix_len()))
        .sum();
    of_v4 >= 0.5 || of_v6 >= 0.5
}

fn server(check: &str, server: &SmtpServer, has_password: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if is_loopback_host(&server.host) {
        return findings;
    }
    let host = &server.host;
    if has_password {
        let detail = match server.security {
            SmtpSecurity::None => Some(format!("the password is sent to {host} unencrypted")),
            SmtpSecurity::Opportunistic => Some(format!(
                "the password is sent to {host} unencrypted when TLS is not offered, which an \
                 attacker on the network path can cause"
            )),
            SmtpSecurity::StartTls | SmtpSecurity::Tls => None,
        };
        findings.extend(detail.map(|detail| {
            Finding::warning(check, detail, "write smtp+starttls:// or smtps:// in url")
        }));
    }
    if !server.tls_verify && server.security != SmtpSecurity::None {
        findings.push(Finding::warning(
            check,
            format!("tls_verify = false: anyone on the network path to {host} can impersonate it"),
            "remove tls_verify; install the certificate of a private CA where \
             update-ca-certificates finds it",
        ));
    }
    findings
}

fn endpoint(check: &str, endpoint: &Endpoint) -> Option<Finding> {
    let url = Url::parse(&endpoint.url).ok()?;
    let host = url.host_str()?;
    if url.scheme() != "http" || is_loopback_host(host) {
        return None;
    }
    let secret = match (&endpoint.credentials, endpoint.secret_headers.is_empty()) {
        (Some(crate::config::HttpCredentials::Bearer(_)), _) => "the bearer token is sent",
        (Some(crate::config::HttpCredentials::Basic(..)), _) => "the password is sent",
        (None, false) => "the secrets of header_files and header_credentials are sent",
        (None, true) => return None,
    };
    Some(Finding::warning(
        check,
        format!("{secret} to {host} unencrypted"),
        "write https:// in url",
    ))
}

/// Files with secrets that users other than the owner and the group can read or change.
fn secret_files(config: &Config) -> impl Iterator<Item = Finding> {
    let key = config.smtp.tls.as_ref().map(|tls| &tls.key);
    config.secret_files.iter().chain(key).filter_map(|path| {
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        let what = match (mode & 0o004 != 0, mode & 0o002 != 0) {
            (true, false) => "can be read",
            (false, true) => "can be changed",
            (true, true) => "can be read and changed",
            (false, false) => return None,
        };
        let shown = path.display();
        Some(Finding::warning(
            "secret files",
            format!("{shown} {what} by every user of this machine"),
            format!("chmod o= {}", quote_for_shell(path)),
        ))
    })
}

/// The folder of outgoing mail, if another user owns it and users of this machine can read it. In a folder that the
/// daemon owns, the daemon itself removes these permissions.
fn outgoing_folder(config: &Config) -> Option<Finding> {
    let Outgoing::File(folder) = &config.outgoing else {
        return None;
    };
    let found = std::fs::metadata(folder).ok()?;
    let me = rustix::process::geteuid();
    // When root runs the check, it uses the identity of the service, whose user owns the data.
    let service = match std::fs::metadata(&config.data_dir) {
        Ok(data) if me.is_root() => data.uid(),
        _ => me.as_raw(),
    };
    let is_open_to_others = found.mode() & 0o077 != 0;
    if found.uid() == service || !is_open_to_others {
        return None;
    }
    let shown = folder.display();
    Some(Finding::warning(
        "outgoing (file)",
        format!(
            "{shown} belongs to user {}, and other users can read it; each file in it contains a valid link",
            found.uid()
        ),
        format!(
            "chown it to the service's user, and chmod 0700 {}",
            quote_for_shell(folder)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_cover_most_of_the_internet_are_found_however_they_are_divided() {
        for (networks, most) in [
            (&["0.0.0.0/0"][..], true),
            (&["::/0"], true),
            (&["0.0.0.0/1", "128.0.0.0/1"], true),
            (&["128.0.0.0/1"], true),
            (&["0.0.0.0/2", "64.0.0.0/3", "96.0.0.0/3"], true),
            (&["1.2.3.4/0"], true),
            (&["2000::/3"], true),
            (&["2000::/4", "3000::/4"], true),
            (&["8000::/1", "::/1"], true),
            (&["8000::/1"], false),
            (&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], false),
            (&["127.0.0.0/8", "::1/128"], false),
            (&["fc00::/7", "fe80::/10"], false),
            (&["0.0.0.0/2", "0.0.0.0/2", "10.0.0.0/8"], false),
            (&[], false),
        ] {
            let nets: Vec<IpNet> = networks
                .iter()
                .map(|text| text.parse().expect(text))
                .collect();
            assert_eq!(is_most_of_the_internet(&nets), most, "{networks:?}");
        }
    }
}
