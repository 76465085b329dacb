//! An installation in its own folder: a configuration, a database, and received mail.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use vestibule::config::Config;
use vestibule::domain::{
    Envelope, LedgerId, Mailbox, PortalName, Recipient, ReversePath, Timestamp, Token,
};
use vestibule::intake::circumstances;
use vestibule::mail::{self, Identity};
use vestibule::store::{Arrival, Entry, MailOutcome, Part, Store};

const CONFIGURATION: &str = r#"
hostname = "gate.corp.example"
data_dir = "data"

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

/// Output of a command, and its exit status.
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Both outputs and the status, with ids and times that are the same in every run.
    pub fn shown(&self) -> String {
        let mut text = steady(&self.out);
        if !self.err.is_empty() {
            text.push_str("--- standard error\n");
            text.push_str(&steady(&self.err));
        }
        if self.status != 0 {
            text.push_str("--- exit status ");
            text.push_str(&self.status.to_string());
        }
        text
    }

    /// The objects of `--json`.
    pub fn objects(&self) -> Vec<Value> {
        assert_eq!(self.status, 0, "{}", self.err);
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }
}

pub struct Harness {
    folder: TempDir,
    config: Config,
    runtime: tokio::runtime::Runtime,
    pub store: Store,
}

impl Harness {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["data", "desk", "letters"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let file = folder.path().join("vestibule.toml");
        std::fs::write(&file, CONFIGURATION).expect("written");
        let config = Config::load(Some(&file)).expect("a good configuration");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let store = Store::open(&config.database()).expect("a database");
        runtime
            .block_on(store.seed_access(config.access.clone(), Timestamp::now()))
            .expect("the first revision");
        Self {
            folder,
            config,
            runtime,
            store,
        }
    }

    /// Closes the database.
    pub fn close(&self) {
        self.runtime.block_on(self.store.close());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    /// Runs `vestibule` on this installation.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let config = self.path("vestibule.toml");
        run(
            arguments,
            &[("VESTIBULE_CONFIG", &config.display().to_string())],
        )
    }

    /// Receives mail for the portal `it`, as SMTP would.
    pub fn receive(&self, from: &str, fields: &str) -> Entry {
        let raw = format!(
            "From: {from}\r\nTo: it-help@corp.example\r\nMessage-ID: <{}@mail.example>\r\n{fields}\r\nHelp!\r\n",
            LedgerId::new()
        );
        self.receive_raw(&raw)
    }

    /// Sends the verification mail that is due, as the mailer would.
    pub fn send_mail(&self) {
        let token = Token::generate().expect("a token").hash();
        let verification = &self.config.verification;
        let claimed = self.runtime.block_on(self.store.claim_mail(
            vec![token],
            verification.limits,
            verification.token_ttl,
            Timestamp::now(),
        ));
        let verification_mail = claimed.expect("a claim").verification_mails.remove(0);
        self.runtime
            .block_on(self.store.settle_mail(
                &verification_mail,
                MailOutcome::Sent,
                Timestamp::now(),
            ))
            .expect("settled");
    }

    pub fn receive_raw(&self, raw: &str) -> Entry {
        let portal = PortalName::parse("it").expect("a name");
        let envelope = Envelope {
            reverse_path: ReversePath::Mailbox("mta@corp.example".to_owned()),
            recipients: vec![Recipient {
                address: "it-help@corp.example".to_owned(),
                mailbox: Mailbox::Portal(portal.clone()),
            }],
            helo: "mx.corp.example".to_owned(),
            peer: None,
            client: None,
            tls: false,
            smtputf8: false,
        };
        let own = Identity {
            hostname: self.config.hostname.clone(),
            authserv_id: None,
            spam: [].into(),
        };
        let facts = mail::read(raw.as_bytes(), &envelope, &own);
        let part = Part::Portal {
            recipient: "it-help@corp.example".to_owned(),
            circumstances: circumstances(&self.config, &portal, &facts),
        };
        let entries = self.runtime.block_on(self.store.accept(Arrival {
            envelope,
            facts,
            raw: raw.as_bytes().to_vec(),
            parts: vec![part],
            received_at: Timestamp::now(),
            quota: self.config.quota,
            hold_for: Duration::from_hours(24),
            keep_dropped: Duration::from_hours(24),
            max_dropped: 1 << 30,
            client: None,
        }));
        entries.expect("accepted").remove(0)
    }
}

/// Runs `vestibule` without the environment of this machine.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    run_in(
        Path::new(env!("CARGO_MANIFEST_DIR")),
        arguments,
        environment,
    )
}

pub fn run_in(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("USER", "carol")
        .envs(environment.iter().copied())
        .output()
        .expect("the binary runs");
    Ran {
        status: output.status.code().expect("an exit status"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Numbers ids in the order of their appearance, and replaces times by a fixed one; their width stays.
fn steady(text: &str) -> String {
    let mut ids = HashMap::new();
    let mut steady = String::with_capacity(text.len());
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-:.".contains(c);
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let end = rest[start..]
            .find(|c| !is_word(c))
            .map_or(rest.len(), |end| start + end);
        steady.push_str(&rest[..start]);
        let word = &rest[start..end];
        let bare = word.trim_end_matches(['.', ':']);
        if bare.len() == 26 && bare.starts_with("01") && bare.parse::<LedgerId>().is_ok() {
            let next = ids.len() + 1;
            let number = *ids.entry(bare).or_insert(next);
            let _ = write!(steady, "01{number:0>24}{}", &word[bare.len()..]);
        } else if bare.parse::<Timestamp>().is_ok() {
            // In JSON there is a fraction, except for one of a thousand moments.
            let has_fraction = bare.contains('.') || steady.ends_with('"');
            let fraction = if has_fraction { ".000Z" } else { "Z" };
            let _ = write!(
                steady,
                "2026-01-01T00:00:00{fraction}{}",
                &word[bare.len()..]
            );
        } else {
            steady.push_str(word);
        }
        rest = &rest[end..];
    }
    steady.push_str(rest);
    steady
}
