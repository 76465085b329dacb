//! The servers for requests and verification mail, and the OpenID provider, contacted without sending anything.

use std::net::ToSocketAddrs;
use std::thread;
use std::time::Duration;

use url::Url;

use super::{Finding, label};
use crate::cli::output::count_of;
use crate::config::{
    Config, Destination, Endpoint, Outgoing, SmtpLogin, SmtpSecurity, SmtpServer, Sso,
};
use crate::domain::is_private_address;
use crate::operations::probe_provider;
use crate::outbound::preflight::{self, LoginCredentials, Obstacle, Protection};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Contacts all servers concurrently, so the slowest determines the duration.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    thread::scope(|scope| {
        let mut probes = Vec::new();
        for (name, destination) in &config.destinations {
            let check = label(name, destination);
            match destination {
                Destination::Smtp(smtp) => {
                    let login = smtp.login.clone().map(SmtpLogin::Password);
                    probes.push(
                        scope.spawn(move || server(check, &smtp.server, login.as_ref(), config)),
                    );
                }
                Destination::Webhook(webhook) => {
                    probes.push(scope.spawn(move || reachable(check, &webhook.endpoint)));
                }
                Destination::Maildir(_) | Destination::Command(_) => {}
            }
        }
        for hook in &config.hooks {
            let check = format!("hook {}", hook.name);
            probes.push(scope.spawn(move || reachable(check, &hook.endpoint)));
        }
        let check = "outgoing (smtp)".to_owned();
        match &config.outgoing {
            Outgoing::Smtp(smtp, login) => {
                probes.push(scope.spawn(move || server(check, smtp, login.as_ref(), config)));
            }
            Outgoing::File(_) => {}
        }
        if let Some(sso) = &config.sso {
            probes.push(scope.spawn(move || provider(sso)));
        }
        probes
            .into_iter()
            .filter_map(|probe| probe.join().ok())
            .collect()
    })
}

fn server(
    check: String,
    server: &SmtpServer,
    login: Option<&SmtpLogin>,
    config: &Config,
) -> Finding {
    let place = format!("{} port {}", server.host, server.port);
    let login = match login.map(LoginCredentials::read).transpose() {
        Ok(login) => login,
        Err(cause) => {
            let remedy = "check that token_command, or the program that writes token_file, works; \
                          until then mail is queued and retried";
            return Finding::problem(check, cause, remedy);
        }
    };
    match preflight::smtp(server, login.as_ref(), &config.hostname, TIMEOUT) {
        Ok(Protection::AsConfigured) => {
            let protection = match server.security {
                SmtpSecurity::None => "without TLS",
                SmtpSecurity::Opportunistic => "(with TLS if the server offers it)",
                SmtpSecurity::StartTls => "with STARTTLS",
                SmtpSecurity::Tls => "with TLS",
            };
            let login = if login.is_some() {
                " and accepts the login"
            } else {
                ""
            };
            Finding::ok(check, format!("{place} answers {protection}{login}"))
        }
        Ok(Protection::PlainText(trouble)) => Finding::warning(
            check,
            format!(
                "{place} offers STARTTLS, which fails, so mail is sent in plain text: {}",
                trouble.text
            ),
            "enable TLS 1.2 or later on the server, with a certificate and its key",
        ),
        Err(trouble) => Finding::problem(
            check,
            format!("{place}: {}", trouble.text),
            remedy(trouble.obstacle, server),
        ),
    }
}

/// Remedy for an obstacle. Until it is applied, mail is queued and retried.
fn remedy(obstacle: Obstacle, server: &SmtpServer) -> String {
    let host = &server.host;
    match obstacle {
        Obstacle::Unreachable => {
            "check that the server is running and that no firewall blocks this machine; until then mail \
             is queued and retried"
                .to_owned()
        }
        Obstacle::StartTls => format!(
            "write smtps:// if the server speaks TLS from the first byte, or smtp://{host} if the network \
             in between is entirely yours"
        ),
        Obstacle::Tls => {
            "write smtp+starttls:// if TLS begins with STARTTLS; or enable TLS 1.2 or later on the server"
                .to_owned()
        }
        Obstacle::Signature => {
            "install the certificate of the CA that signed it where update-ca-certificates finds it, \
             or, if the network in between is entirely yours, write tls_verify = false"
                .to_owned()
        }
        Obstacle::Name => format!(
            "in url, write the name that is in the certificate, or give the server a certificate for {host}"
        ),
        Obstacle::Dates => {
            "renew the server's certificate, and check both clocks: timedatectl".to_owned()
        }
        Obstacle::Login => {
            "check that username, and its password or token, are those of this server"
                .to_owned()
        }
        Obstacle::Refusal => {
            "allow this machine on the server; until then mail is queued and retried".to_owned()
        }
    }
}

/// Checks the OpenID provider: its discovery document must name this issuer, and it must publish keys.
fn provider(sso: &Sso) -> Finding {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let probed = match runtime {
        Ok(runtime) => runtime.block_on(probe_provider(sso)),
        Err(error) => {
            return Finding::problem("sso", error.to_string(), "fix this error on the machine");
        }
    };
    let issuer = &sso.issuer;
    match probed {
        Ok(keys) => Finding::ok(
            "sso",
            format!("{issuer} answers and has {}", count_of(keys, "key")),
        ),
        Err(error) => Finding::problem(
            "sso",
            format!("{issuer}: {error}"),
            format!(
                "check what answers at {}/.well-known/openid-configuration, and copy sso.issuer from there; until \
                 then nobody can sign in through the provider; passwords still work",
                issuer.trim_end_matches('/')
            ),
        ),
    }
}

fn reachable(check: String, endpoint: &Endpoint) -> Finding {
    let place = Url::parse(&endpoint.url)
        .ok()
        .and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)));
    let Some((host, port)) = place else {
        return Finding::problem(check, "its URL has no host", "write https://HOST/PATH");
    };
    if !endpoint.allow_private && is_of_the_own_network(&host, port) {
        return Finding::problem(
            check,
            format!("{host} has only addresses in private networks, so nothing is sent there"),
            "write allow_private = true beside the URL if that is intended",
        );
    }
    match preflight::tcp(host.trim_matches(['[', ']']), port, TIMEOUT) {
        Ok(()) => Finding::ok(check, format!("{host} port {port} can be reached")),
        Err(cause) => Finding::problem(
            check,
            format!("{host} port {port}: {cause}"),
            "check that it is running and allows this machine; until then its deliveries are queued and retried",
        ),
    }
}

/// True if a name resolves to private addresses only, to which nothing is delivered by default. False for a name
/// that does not resolve.
fn is_of_the_own_network(host: &str, port: u16) -> bool {
    let Ok(found) = (host.trim_matches(['[', ']']), port).to_socket_addrs() else {
        return false;
    };
    let mut addresses = found.map(|address| address.ip()).peekable();
    addresses.peek().is_some() && addresses.all(is_private_address)
}
