//! The certified OpenID provider from npm, with its faults (`provider/provider.mjs`).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::browser::Browser;
use crate::support::port::Port;

pub const CLIENT_SECRET: &str = "a secret of the client, with %, + and &";

pub struct OpenIdProvider {
    port: Port,
    clients: String,
    running: Option<Child>,
}

/// The folder into which `tests/run` installs the provider.
fn installed() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/oidc-provider");
    assert!(
        path.join("installed").exists(),
        "{} is missing: tests/run installs it",
        path.display()
    );
    path
}

impl OpenIdProvider {
    /// Starts the provider for a client that may return to these addresses.
    pub fn start(return_to: &[String], after_logout: &[String]) -> Self {
        let clients = json!([{
            "client_id": "vestibule",
            "client_secret": CLIENT_SECRET,
            "redirect_uris": return_to,
            "post_logout_redirect_uris": after_logout,
        }]);
        let mut provider = Self {
            port: Port::reserve(),
            clients: clients.to_string(),
            running: None,
        };
        provider.start_with_key("first");
        provider
    }

    /// Restarts the provider with another key, and without its state.
    pub fn start_with_key(&mut self, key_id: &str) {
        self.stop();
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/system/sso/provider/provider.mjs"
        );
        let mut child = Command::new("node")
            .arg(script)
            .args([&self.port.address.port().to_string(), key_id, &self.clients])
            .arg(installed())
            .env("NODE_ENV", "production")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        output.read_line(&mut line).expect("read");
        self.running = Some(child);
        assert_eq!(line, "listening\n");
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Issuer at `localhost`, so that it is a different site from the pages, which are at 127.0.0.1.
    pub fn issuer(&self) -> String {
        format!("http://localhost:{}", self.port.address.port())
    }

    fn control(&self, query: &str) {
        let answer = Browser::default().get(&format!("{}/control?{query}", self.issuer()));
        assert_eq!(answer.body, "ok");
    }

    /// Sets the claims of an account.
    pub fn account(&self, name: &str, claims: &Value) {
        let claims: String = byte_serialize(claims.to_string().as_bytes()).collect();
        self.control(&format!("account={name}&claims={claims}"));
    }

    /// Sets the fault of the next ID tokens.
    pub fn fault(&self, name: &str) {
        self.control(&format!("fault={name}"));
    }

    /// Goes from the authorization endpoint through the provider's pages, as this account, and returns the
    /// address to which the provider sends the browser back.
    pub fn log_in(&self, browser: &mut Browser, authorization: &str, account: &str) -> String {
        let mut answer = browser.get(authorization);
        for _ in 0..10 {
            let to = match answer.location() {
                Some(to) if !to.starts_with('/') && !to.starts_with(&self.issuer()) => return to,
                Some(to) if to.starts_with('/') => format!("{}{to}", self.issuer()),
                Some(to) => to,
                None => {
                    let (_, form) = answer.body.split_once("action=\"").expect("a form");
                    let action = form.split('"').next().expect("an address").to_owned();
                    let prompt = if form.contains("value=\"login\"") {
                        format!("prompt=login&login={account}&password=x")
                    } else {
                        "prompt=consent".to_owned()
                    };
                    answer = browser.post(&action, &prompt);
                    continue;
                }
            };
            answer = browser.get(&to);
        }
        panic!("the provider does not lead back: {}", answer.body);
    }
}

impl Drop for OpenIdProvider {
    fn drop(&mut self) {
        self.stop();
    }
}
