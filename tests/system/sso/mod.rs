//! Sign-in at a certified OpenID provider, with every fault of the provider and every attack by a stranger.

mod browser;
mod check;
mod operators;
mod provider;
mod verification;

use std::net::SocketAddr;

use browser::Browser;
use provider::{CLIENT_SECRET, OpenIdProvider};

use crate::support::harness::{Harness, STANDARD};
use crate::support::port::Port;

/// A daemon and its provider. The ports are fixed, because the provider knows the addresses.
struct Organisation {
    harness: Harness,
    provider: OpenIdProvider,
    _ports: [Port; 2],
}

impl Organisation {
    fn start() -> Self {
        let ports = [Port::reserve(), Port::reserve()];
        let [http, admin] = ports
            .each_ref()
            .map(|port| format!("http://{}", port.address));
        let provider = OpenIdProvider::start(
            &[
                format!("{admin}/login/sso/callback"),
                format!("{http}/sso/callback"),
            ],
            &[format!("{admin}/login")],
        );
        let issuer = provider.issuer();
        let [http, admin] = ports.each_ref().map(|port| port.address);
        let configuration = STANDARD
            .replace(
                "\nlisten = \"127.0.0.1:0\"",
                &format!("\nlisten = \"{http}\""),
            )
            .replace(
                "admin_listen = \"127.0.0.1:0\"",
                &format!("admin_listen = \"{admin}\""),
            )
            .replace("http://127.0.0.1:0", &format!("http://{http}"))
            .replace(
                "\n[http]\n",
                "\n[http]\ntrusted_proxies = [\"127.0.0.1\"]\n",
            );
        let configuration = format!(
            "{configuration}
[sso]
issuer = \"{issuer}\"
client_id = \"vestibule\"
client_secret_file = \"client.secret\"
scopes = [\"profile\", \"email\", \"groups\"]
domains = [\"corp.example\"]

[sso.roles]
readers = \"viewer\"
agents = \"agent\"
admins = \"admin\"
"
        );
        let harness = Harness::start_with(&configuration, |folder| {
            std::fs::write(folder.join("client.secret"), CLIENT_SECRET).expect("written");
        });
        Self {
            harness,
            provider,
            _ports: ports,
        }
    }

    fn admin(&self, path: &str) -> String {
        at(self.harness.admin, path)
    }
}

fn at(address: SocketAddr, path: &str) -> String {
    format!("http://{address}{path}")
}
