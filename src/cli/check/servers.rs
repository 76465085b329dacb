//! The servers for requests and verification mail, and the OpenID provider, contacted without sending anything.

use std::net::ToSocketAddrs;
use std::thread;
use std::time::Duration;

use url::Url;

use super::{Finding, label};
use crate::cli::output::count_of;
use crate::config::{
    Config, Destination, Endpoint, Outgoing, SmtpSecurity, SmtpServer, Sso, TokenLogin,
};
use crate::domain::is_private_address;
use crate::operations::probe_provider;
use crate::outbound::preflight::{self, Obstacle};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Contacts all servers concurrently, so the slowest determines the duration.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    thread::scope(|scope| {
        let mut probes = Vec::new();
        for (name, destination) in &config.destinations {
            let check = label(name, destination);
            match destination {
                Destination::Smtp(smtp) => {
                    probes.push(scope.spawn(move || server(check, &smtp.server, None, config)));
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
            Outgoing::Smtp(smtp) => {
                probes.push(scope.spawn(move || server(check, smtp, None, config)));
            }
            Outgoing::SmtpWithToken(smtp, login) => {
                probes.push(scope.spawn(move || server(check, smtp, Some(login), config)));
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
    token: Option<&TokenLogin>,
    config: &Config,
) -> Finding {
    let place = format!("{} port {}", server.host, server.port);
    let token = match token.map(preflight::access_token).transpose() {
        Ok(token) => token,
        Err(cause) => {
            let remedy = "see whether the program of token_command, or whatever writes token_file, works; \
                          until then mail waits and is tried again";
            return Finding::problem(check, cause, remedy);
        }
    };
    match preflight::smtp(server, token.as_ref(), &config.hostname, TIMEOUT) {
        Ok(()) => {
            let protection = match server.security {
                SmtpSecurity::None => "in the clear",
                SmtpSecurity::Opportunistic => "(with TLS where it offers it)",
                SmtpSecurity::StartTls => "with STARTTLS",
                SmtpSecurity::Tls => "with TLS",
            };
            let login = if server.login.is_some() || token.is_some() {
                " and takes the login"
            } else {
                ""
            };
            Finding::ok(check, format!("{place} answers {protection}{login}"))
        }
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
            "see whether it runs there and a firewall lets this machine through; until then mail waits \
             and is tried again"
                .to_owned()
        }
        Obstacle::StartTls => format!(
            "write smtps:// where it speaks TLS from the first byte, or smtp://{host} where the network \
             between is yours alone"
        ),
        Obstacle::Tls => {
            "write smtp+starttls:// where TLS begins with STARTTLS; or have it speak TLS 1.2 or later"
                .to_owned()
        }
        Obstacle::Signature => {
            "put the certificate of the authority that signed it where update-ca-certificates finds it, \
             or, where the network between is yours alone, write tls_verify = false"
                .to_owned()
        }
        Obstacle::Name => format!(
            "write the name that is in the certificate in url, or give the server a certificate for {host}"
        ),
        Obstacle::Dates => {
            "renew the server's certificate; see whether both clocks are right: timedatectl".to_owned()
        }
        Obstacle::Login => {
            "see whether username, and the password or token beside it, are those of this server"
                .to_owned()
        }
        Obstacle::Refusal => {
            "have it let this machine in; until then mail waits and is tried again".to_owned()
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
        Err(error) => return Finding::problem("sso", error.to_string(), "see to this machine"),
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
                "see what answers at {}/.well-known/openid-configuration, and write sso.issuer as it is written \
                 there; until then nobody can sign in by the provider, while passwords go on working",
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
            "see whether it runs and lets this machine in; until then what goes there waits and is tried again",
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
