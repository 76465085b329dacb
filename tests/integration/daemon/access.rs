//! The access rules through the public interfaces: the deny list, accounts without verification, and the
//! fields of each delivered request.

use crate::support::client::{Smtp, http, message, send};
use crate::support::harness::{Harness, STANDARD, wait_for};

const HR: &str = "hr-help@corp.example";

/// A second portal, which requires verification of external customers; the first one serves them at once.
fn two_portals() -> Harness {
    let hr = format!(
        "[[portal]]\nname = \"hr\"\ntitle = \"People\"\naddresses = [\"{HR}\"]\n\
         destination = \"desk\"\n[portal.access]\nexternal.verify = true\n\n[destination.desk]"
    );
    Harness::start(&STANDARD.replacen("[destination.desk]", &hr, 1))
}

fn send_to_hr(harness: &Harness, from: &str, marker: &str) {
    let mut smtp = Smtp::connect(harness.smtp).expect("connected");
    let sent = smtp.send(from, HR, &message(from, marker));
    assert!(sent.expect("an answer").starts_with("250"));
}

fn decided(harness: &Harness, marker: &str) -> (String, String, u64) {
    let id = format!("{marker}@client.example");
    let entry = harness.json(&["explain", &id]).remove(0);
    let rules = entry["rules"].as_array().expect("rules");
    let last = rules.last().expect("a rule")["rule"].as_u64();
    let word = |name: &str| entry[name].as_str().expect(name).to_owned();
    (word("verdict"), word("reason"), last.expect("a number"))
}

fn is(verdict: &str, reason: &str, rule: u64) -> (String, String, u64) {
    (verdict.to_owned(), reason.to_owned(), rule)
}

/// The value of `X-Vestibule-Verified` in the delivered message with this marker.
fn verified(harness: &Harness, marker: &str) -> String {
    wait_for("the delivery", || {
        harness.delivered().into_iter().find_map(|raw| {
            let text = String::from_utf8_lossy(&raw).into_owned();
            if !text.contains(&format!("<{marker}@client.example>")) {
                return None;
            }
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("X-Vestibule-Verified: "));
            Some(line.expect("the field").to_owned())
        })
    })
}

#[test]
fn denied_mail_is_dropped_even_with_an_account() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "bob@partner.example", "before");
    let dry = harness.json(&["access", "deny", "bob@partner.example", "--dry-run"]);
    assert_eq!(dry[0]["stops"]["accounts"], 1, "{dry:?}");
    assert_eq!(dry[0]["stops"]["addresses"][0], "bob@partner.example");
    harness.json(&["access", "deny", "bob@partner.example", "*.zip"]);
    send(harness.smtp, "Bob <bob@partner.example>", "denied");
    send(harness.smtp, "bob+again@partner.example", "detail");
    send(harness.smtp, "ann@partner.example", "beside");
    send(harness.smtp, "ann@corp.zip", "suffix");
    let denied = is("dropped", "sender_denied", 5);
    for marker in ["denied", "detail", "suffix"] {
        assert_eq!(decided(&harness, marker), denied, "{marker}");
    }
    assert_eq!(
        decided(&harness, "beside"),
        is("accepted", "external_account_created", 17)
    );
    let tested = &harness.json(&["access", "test", "bob@partner.example"])[0];
    assert_eq!(
        (&tested["rule"], &tested["pattern"]),
        (&5.into(), &"bob@partner.example".into())
    );

    // Neither the allow list nor signing up lets them in.
    harness.json(&["access", "allow", "corp.zip", "--recover"]);
    assert_eq!(decided(&harness, "suffix"), denied);
    let form = [("email", "bob@partner.example")];
    let (status, page) = http(harness.http, "POST", "/signup", &form);
    assert_eq!(status, 403, "{page}");
    harness.json(&["access", "remove", "bob@partner.example", "*.zip"]);
    send(harness.smtp, "bob@partner.example", "after");
    assert_eq!(
        decided(&harness, "after"),
        is("accepted", "account_active", 11)
    );
}

#[test]
fn an_unverified_account_is_held_where_verification_is_required() {
    let harness = two_portals();
    send(harness.smtp, "bob@partner.example", "open");
    send_to_hr(&harness, "bob@partner.example", "held");
    assert_eq!(
        decided(&harness, "open"),
        is("accepted", "external_account_created", 17)
    );
    assert_eq!(decided(&harness, "held"), is("held", "account_pending", 13));
    let tested = harness.json(&["access", "test", "bob@partner.example"]);
    let rules: Vec<_> = tested.iter().map(|row| row["rule"].as_u64()).collect();
    assert_eq!(rules, [Some(11), Some(13)]);
    assert_eq!(verified(&harness, "open"), "no");
    let link = harness.link_for("bob@partner.example");
    let (status, page) = http(harness.http, "GET", &link, &[]);
    assert!(status == 200 && page.contains("About held"), "{page}");
    let (status, page) = http(harness.http, "POST", &link, &[("action", "confirm")]);
    assert_eq!(status, 200, "{page}");
    assert!(verified(&harness, "held").starts_with("link "));
    send_to_hr(&harness, "bob@partner.example", "known");
    assert_eq!(
        decided(&harness, "known"),
        is("accepted", "account_active", 11)
    );
}

#[test]
fn a_request_that_an_operator_released_says_so() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "ann@corp.example", "mine");
    send(harness.smtp, "ann@corp.example", "forged");
    let request = |subject: &str| {
        let rows = harness.json(&["requests", "list"]);
        let row = rows.iter().find(|row| row["subject"] == subject);
        row.expect("a request")["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let (mine, forged) = (request("About mine"), request("About forged"));
    let link = harness.link_for("ann@corp.example");
    let form = [("action", "confirm"), ("request", mine.as_str())];
    let (status, page) = http(harness.http, "POST", &link, &form);
    assert_eq!(status, 200, "{page}");
    harness.json(&["requests", "release", &forged]);
    assert!(verified(&harness, "mine").starts_with("link 20"));
    let said = verified(&harness, "forged");
    let words: Vec<_> = said.split(' ').collect();
    assert!(
        matches!(words.as_slice(), ["operator", _, time] if time.starts_with("20")),
        "{said}"
    );
}

#[test]
fn blocking_stops_requests_that_wait_for_their_destination() {
    let harness = Harness::start(STANDARD);
    harness.json(&["deliveries", "pause", "desk"]);
    send(harness.smtp, "bob@partner.example", "waiting");
    harness.json(&["customers", "block", "bob@partner.example"]);
    harness.json(&["deliveries", "resume", "desk"]);
    send(harness.smtp, "eve@partner.example", "other");
    assert_eq!(verified(&harness, "other"), "no");
    let id = harness
        .json(&["explain", "waiting@client.example"])
        .remove(0)["ledger"]
        .clone();
    let shown = harness.json(&["requests", "show", id.as_str().expect("an id")]);
    assert_eq!(shown[0]["state"], "released", "{shown:?}");
    let error = shown[0]["last_error"].as_str().unwrap_or_default();
    assert!(error.contains("blocked"), "{shown:?}");
    assert_eq!(harness.delivered().len(), 1);
    harness.json(&["customers", "unblock", "bob@partner.example"]);
    assert_eq!(verified(&harness, "waiting"), "no");
}
