//! An installation without a daemon: the database, into which a test puts mail as SMTP would, and the commands
//! that an operator runs on it.

use std::ops::Deref;
use std::time::Duration;

use rusqlite::Connection;
use vestibule::config::Config;
use vestibule::domain::{LedgerId, Timestamp, Token, TokenHash};
use vestibule::store::{ArrivalOutcome, MailOutcome, Refused, Store};

use crate::support::arrival::arrival;
use crate::support::claims::{claim_mail, settle_mail};
use crate::support::harness;

const CONFIGURATION: &str = r#"
[[portal]]
name = "it"
title = "IT Help"
addresses = ["it-help@corp.example"]
destination = "helpdesk"

[[portal]]
name = "hr"
title = "People"
addresses = ["people@corp.example"]
destination = "helpdesk"

[destination.helpdesk]
type = "maildir"
path = "desk"

[verification]
from = "IT Help <no-reply@corp.example>"

[outgoing]
type = "file"
dir = "letters"

[access]
internal.approved_domains = ["corp.example"]
external.restrict_domains = true
external.allowed_domains = ["partner.example"]
"#;

/// Marks all requests as failed.
pub const FAIL_REQUESTS: &str =
    "UPDATE request SET state = 'failed', settled_at = 1, due_at = NULL";

pub struct Harness {
    installation: harness::Harness,
    config: Config,
    runtime: tokio::runtime::Runtime,
    pub store: Store,
}

impl Deref for Harness {
    type Target = harness::Harness;

    fn deref(&self) -> &harness::Harness {
        &self.installation
    }
}

impl Harness {
    pub fn new() -> Self {
        let installation = harness::Harness::at_rest(&format!("{}{CONFIGURATION}", harness::BASE));
        for name in ["data", "desk", "letters"] {
            std::fs::create_dir(installation.path(name)).expect("a folder");
        }
        let config = Config::load(Some(&installation.path("vestibule.toml")));
        let config = config.expect("a good configuration");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let store = Store::open(&config.database()).expect("a database");
        runtime
            .block_on(store.seed_access(config.access.clone(), Timestamp::now()))
            .expect("the first revision");
        Self {
            installation,
            config,
            runtime,
            store,
        }
    }

    /// Closes the database.
    pub fn close(&self) {
        self.runtime.block_on(self.store.close());
    }

    /// Changes the database directly, in ways that no operation of ours does.
    pub fn tamper(&self, sql: &str) {
        let connection = Connection::open(self.path("data/vestibule.db")).expect("the database");
        connection.execute_batch(sql).expect("done");
    }

    /// Renames a portal in the configuration.
    pub fn rename_portal(&self, old: &str, new: &str) {
        let file = self.path("vestibule.toml");
        let text = std::fs::read_to_string(&file).expect("the configuration");
        let [old, new] = [old, new].map(|name| format!("name = \"{name}\""));
        let renamed = text.replace(&old, &new);
        assert_ne!(renamed, text, "the portal is named");
        std::fs::write(&file, renamed).expect("written");
    }

    /// Receives mail for the portal `it`, as SMTP would.
    pub fn receive(&self, from: &str, fields: &str) -> ArrivalOutcome {
        let raw = format!(
            "From: {from}\r\nTo: it-help@corp.example\r\nMessage-ID: <{}@mail.example>\r\n{fields}\r\nHelp!\r\n",
            LedgerId::new()
        );
        self.receive_raw(&raw)
    }

    /// Receives mail that becomes a request, and returns the id of the request.
    pub fn receive_request(&self, from: &str, fields: &str) -> String {
        let request = self.receive(from, fields).request;
        request.expect("a request").to_string()
    }

    /// Receives a message that is the same each time, and returns the id of its request.
    pub fn receive_copy(&self, from: &str) -> String {
        let raw = format!(
            "From: {from}\r\nTo: it-help@corp.example\r\nMessage-ID: <1@mail.example>\r\n\r\nHelp!\r\n"
        );
        let request = self.receive_raw(&raw).request;
        request.expect("a request").to_string()
    }

    /// Sends the verification mail that is due, as the mailer would. Returns the token of its link.
    pub fn send_mail(&self) -> TokenHash {
        let token = Token::generate().expect("a token").hash();
        let verification = &self.config.verification;
        let mut claimed = self.runtime.block_on(claim_mail(
            &self.store,
            vec![token],
            verification.limits,
            verification.token_ttl,
            Timestamp::now(),
        ));
        let verification_mail = claimed.verification_mails.remove(0);
        self.runtime.block_on(settle_mail(
            &self.store,
            &verification_mail,
            MailOutcome::Sent,
            Timestamp::now(),
        ));
        token
    }

    /// Presses "This was not me" on the page of a link.
    pub fn refuse(&self, token: TokenHash) {
        let month = Duration::from_hours(30 * 24);
        let refused = self.store.refuse(token, month, Timestamp::now());
        let refused = self.runtime.block_on(refused).expect("an answer");
        assert!(matches!(refused, Refused::Recorded { .. }), "{refused:?}");
    }

    pub fn receive_raw(&self, raw: &str) -> ArrivalOutcome {
        let arrival = arrival(
            &self.config,
            "mta@corp.example",
            "it",
            raw,
            Timestamp::now(),
        );
        let entries = self.runtime.block_on(self.store.accept(arrival));
        entries.expect("accepted").remove(0)
    }
}
