//! An installation with data on every page: people have written, and operators have acted.

use std::collections::BTreeMap;
use std::fs;

use crate::support::client::{Smtp, http};
use crate::support::harness::{BASE, DEADLINE, Harness, wait_for};

pub const PASSWORD: &str = "correct horse battery staple";

/// The administrator, a viewer, and the role of each.
const OPERATORS: &[(&str, &str)] = &[("olga", "admin"), ("vera", "viewer")];

/// Three portals: one whose help desk accepts everything, one whose help desk is down, one whose help desk
/// refuses.
const CONFIGURATION: &str = r#"
[[portal]]
name = "it"
title = "IT Help"
url = "https://desk.corp.example"
contact = "extension 4711"
addresses = ["it-help@corp.example"]
destination = "desk"

[[portal]]
name = "people"
title = "People and Culture"
addresses = ["people@corp.example"]
destination = "hr-system"

[[portal]]
name = "press"
title = "Press Office"
addresses = ["press@corp.example"]
destination = "archive"

[destination.desk]
type = "maildir"
path = "desk"

[destination.hr-system]
type = "smtp"
url = "smtp://127.0.0.1:9"

[destination.archive]
type = "command"
program = "/bin/false"

[[hook]]
name = "directory"
url = "http://127.0.0.1:9/people"
allow_private = true
events = ["account.created"]
retry = ["1s"]
give_up_after = "1s"

[verification]
from = "Corp Help <no-reply@corp.example>"

[outgoing]
type = "file"
dir = "letters"

[authentication]
authserv_id = "mx.corp.example"

[access]
internal.approved_domains = ["corp.example", "*.corp.example"]
internal.default_groups = ["staff"]
external.restrict_domains = true
external.allowed_domains = ["partner.example", "acme.com"]
"#;

/// From, portal's address, subject, further fields, and a line of text.
type VerificationMail = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const IT: &str = "it-help@corp.example";

const MAIL: &[VerificationMail] = &[
    (
        "Anna Miller <anna.miller@corp.example>",
        IT,
        "VPN drops every ten minutes",
        "",
        "Since the update on Monday the VPN drops every ten minutes. Could somebody have a look?",
    ),
    (
        "Anna Miller <anna.miller@corp.example>",
        IT,
        "Second screen for room 2.14",
        "",
        "We have a new colleague from December on and need a second screen.",
    ),
    (
        "Anna Miller <anna.miller@corp.example>",
        "people@corp.example",
        "Parental leave from March: which form, and by when?",
        "",
        "Which form do I need?",
    ),
    (
        "Bea Ito <bea.ito@corp.example>",
        IT,
        "New laptop",
        "",
        "The battery lasts for half an hour.",
    ),
    (
        "Carl Weber <carl.weber@corp.example>",
        IT,
        "URGENT: change the account for my salary",
        "",
        "Please change it today.",
    ),
    (
        "Dora Klein <dora.klein@berlin.corp.example>",
        IT,
        "Printer on the third floor",
        "",
        "It says PC LOAD LETTER.",
    ),
    (
        "Ernst Vogel <ernst.vogel@corp.example>",
        IT,
        "Login for the archive",
        "",
        "I need it for the audit.",
    ),
    (
        "Gil Santos <gil@partner.example>",
        IT,
        "Certificate of sftp.corp.example expires on Friday",
        "Authentication-Results: mx.corp.example; dkim=pass header.d=partner.example;\r\n \
         dmarc=pass header.from=partner.example\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n",
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello,\r\n\r\nthe certificate of \
         sftp.corp.example expires on Friday.\r\n\r\nGil\r\n--b\r\nContent-Type: text/html; \
         charset=utf-8\r\n\r\n<p>Hello,</p><p>the certificate of <b>sftp.corp.example</b> expires \
         on <i>Friday</i>.</p><table><tr><td>Host</td><td>sftp.corp.example</td></tr></table>\
         <p>Gil</p>\r\n--b--",
    ),
    (
        "Gil Santos <gil@partner.example>",
        "people@corp.example",
        "Contract of the summer interns",
        "",
        "Signed copy attached.",
    ),
    (
        "Hana Suzuki <hana@acme.com>",
        "press@corp.example",
        "Interview with your CTO",
        "",
        "Would next week suit?",
    ),
    (
        "Ivo Novak <ivo@acme.co>",
        IT,
        "Invoice portal does not open",
        "",
        "It shows a blank page.",
    ),
    (
        "Jana Novak <jana@acme.co>",
        IT,
        "Re: Invoice portal does not open",
        "",
        "Same here.",
    ),
    (
        "Ivo Novak <ivo@acme.co>",
        IT,
        "Invoice portal, again",
        "",
        "Hello?",
    ),
    (
        "Kim <kim@elsewhere.example>",
        IT,
        "Best prices for toner",
        "",
        "Buy now.",
    ),
    (
        "Trade Weekly <news@weekly.example>",
        IT,
        "Your Monday digest",
        "List-Id: <digest.weekly.example>\r\n",
        "All the news.",
    ),
    (
        "Anna Miller <anna.miller@corp.example>",
        IT,
        "Out of office",
        "Auto-Submitted: auto-replied\r\n",
        "I am away until Monday.",
    ),
];

/// The installation and the URLs of its pages.
pub struct HelpDesk {
    pub harness: Harness,
    places: BTreeMap<&'static str, String>,
}

impl HelpDesk {
    /// Three people have not confirmed yet, one has, and the link of another has expired.
    pub fn open() -> Self {
        let harness = Self::harness("");
        for verification_mail in MAIL {
            send(&harness, verification_mail);
        }
        let links = [
            ("open", "anna.miller@corp.example"),
            ("proved", "bea.ito@corp.example"),
            ("other", "carl.weber@corp.example"),
            ("expired", "dora.klein@berlin.corp.example"),
        ];
        let mut places: BTreeMap<_, _> = links
            .into_iter()
            .map(|(name, address)| (name, harness.link_for(address)))
            .collect();
        http(
            harness.http,
            "POST",
            &places["proved"],
            &[("action", "confirm")],
        );
        age_the_link_of(&harness, "dora.klein@berlin.corp.example");
        harness.json(&["customers", "block", "hana@acme.com"]);
        wait_for("a failed delivery and a deferred one", || {
            let requests = harness.json(&["requests", "list"]);
            let failed = requests.iter().any(|request| request["state"] == "failed");
            let tried = |request: &serde_json::Value| {
                request["state"] == "released" && !request["last_error"].is_null()
            };
            (failed && requests.iter().any(tried)).then_some(())
        });
        let id_of = |command: &[&str], key: &str| {
            let rows = harness.json(command);
            rows[0][key].as_str().expect("an id").to_owned()
        };
        for (name, address) in [
            ("pending", "ernst.vogel@corp.example"),
            ("active", "gil@partner.example"),
        ] {
            places.insert(name, id_of(&["customers", "show", address], "id"));
        }
        for (name, subject) in [
            ("held", "Login for the archive"),
            ("html", "Certificate of sftp.corp.example expires on Friday"),
            ("dropped", "Best prices for toner"),
        ] {
            let id = format!("{}@client.example", marker(subject));
            places.insert(name, id_of(&["explain", &id], "ledger"));
        }
        spread_over_days(&harness);
        // A mail that is still claimed would be settled later, and undo what leave_work_behind writes.
        wait_for("the record of Ernst's mail", || {
            let ernst = harness.json(&["customers", "show", "ernst.vogel@corp.example"]);
            (ernst[0]["unanswered_mails"] == 1).then_some(())
        });
        leave_work_behind(&harness);
        Self { harness, places }
    }

    /// An installation without named places.
    pub fn around(harness: Harness) -> Self {
        let places = BTreeMap::new();
        Self { harness, places }
    }

    /// Starts with the operators but without mail.
    pub fn harness(more: &str) -> Harness {
        let harness = Harness::start(&format!("{BASE}{CONFIGURATION}{more}"));
        let file = harness.path("password");
        fs::write(&file, PASSWORD).expect("a file");
        let file = file.display().to_string();
        for (name, role) in OPERATORS {
            let mut command = harness.command(&["operators", "add", name, "--role", role]);
            let added = command
                .args(["--password-file", &file])
                .output()
                .expect("it runs");
            assert!(added.status.success(), "{added:?}");
        }
        harness
    }

    /// Fills in the names in braces of a path.
    pub fn place(&self, path: &str) -> String {
        self.places
            .iter()
            .fold(path.to_owned(), |path, (name, value)| {
                path.replace(&format!("{{{name}}}"), value)
            })
    }
}

fn send(harness: &Harness, &(from, to, subject, fields, text): &VerificationMail) {
    let marker = marker(subject);
    let address = from
        .rsplit('<')
        .next()
        .unwrap_or(from)
        .trim_end_matches('>');
    let message = format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\n\
         Date: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <{marker}@client.example>\r\n\
         {fields}\r\n{text}\r\n"
    );
    let reply = Smtp::connect(harness.smtp)
        .and_then(|mut client| client.send(address, to, message.as_bytes()))
        .expect("the daemon answers");
    assert!(reply.starts_with("250"), "{reply}");
}

/// The local part of a message's Message-ID.
fn marker(subject: &str) -> String {
    let number = MAIL
        .iter()
        .position(|verification_mail| verification_mail.2 == subject);
    format!("m{}", number.expect(subject))
}

fn database(harness: &Harness) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(harness.path("data/vestibule.db"));
    let database = database.expect("the database");
    let timeout = database.busy_timeout(DEADLINE);
    timeout.expect("a setting");
    database
}

/// Makes the mail look weeks old.
fn age_the_link_of(harness: &Harness, address: &str) {
    let changed = database(harness)
        .execute(
            "UPDATE token SET expires_at = (unixepoch() - 3600) * 1000
             WHERE account = (SELECT n FROM account WHERE address = ?1)",
            [address],
        )
        .expect("older");
    // The link and the reply address.
    assert_eq!(changed, 2);
}

/// Makes a verification mail wait for its next attempt, and some calls of the hook fail for good.
fn leave_work_behind(harness: &Harness) {
    database(harness)
        .execute_batch(
            "UPDATE letter SET state = 'waiting', due_at = (unixepoch() + 1800) * 1000, settled_at = NULL,
                 attempts = 2, last_error = 'connect: Connection refused (os error 111)'
             WHERE n = (SELECT max(l.n) FROM letter AS l JOIN account AS a ON a.n = l.account
                 WHERE a.address = 'ernst.vogel@corp.example');
             UPDATE hook_call SET state = 'failed', settled_at = created_at, due_at = NULL, in_work = 0,
                 claim = NULL, holder = NULL, attempts = 7, last_error = 'HTTP 410'
             WHERE n IN (SELECT n FROM hook_call ORDER BY n LIMIT 3);",
        )
        .expect("left");
}

/// Makes the mail look as if it had arrived over the last two weeks, most of it today.
fn spread_over_days(harness: &Harness) {
    database(harness)
        .execute_batch(
            "CREATE TEMP TABLE back AS
                 SELECT n, (last - n) * (last - n) / 20 * 86400000 AS by
                 FROM ledger, (SELECT max(n) AS last FROM ledger);
             UPDATE ledger SET received_at = received_at - by FROM back WHERE back.n = ledger.n;
             UPDATE request SET received_at = received_at - by FROM back WHERE back.n = ledger;
             UPDATE event SET at = at - by FROM back WHERE back.n = ledger;
             UPDATE account SET created_at = min(created_at, coalesce(
                 (SELECT min(received_at) FROM ledger WHERE sender = address), created_at));",
        )
        .expect("older");
}
