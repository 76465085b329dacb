//! Every dropped message can be recovered: an operator releases it whatever the reason, once, and without
//! lasting permission for its sender.

use crate::support::client::{Smtp, send};
use crate::support::harness::{Harness, STANDARD, wait_for};

const PORTAL: &str = "it-help@corp.example";

/// Sends a message with these fields, and returns its ledger entry.
fn send_with(harness: &Harness, fields: &str, marker: &str) -> String {
    let message = format!(
        "{fields}To: {PORTAL}\r\nSubject: About {marker}\r\n\
         Message-ID: <{marker}@client.example>\r\n\r\nHelp with {marker}!\r\n"
    );
    let mut smtp = Smtp::connect(harness.smtp).expect("connected");
    let sent = smtp.send("mta@client.example", PORTAL, message.as_bytes());
    assert!(sent.expect("an answer").starts_with("250"), "{marker}");
    let entry = harness.json(&["explain", &format!("{marker}@client.example")]);
    entry[0]["ledger"].as_str().expect("an id").to_owned()
}

fn reason(harness: &Harness, ledger: &str) -> String {
    let entry = &harness.json(&["explain", ledger])[0];
    assert_eq!(entry["verdict"], "dropped");
    entry["reason"].as_str().expect("a reason").to_owned()
}

/// Exit status and standard error.
fn run(harness: &Harness, arguments: &[&str]) -> (i32, String) {
    let output = harness.command(arguments).output().expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("a status"), err)
}

/// The header of the delivered message with this marker.
fn delivered(harness: &Harness, marker: &str) -> String {
    wait_for("the delivery", || {
        harness.delivered().into_iter().find_map(|raw| {
            let text = String::from_utf8_lossy(&raw).into_owned();
            text.contains(&format!("Help with {marker}!"))
                .then(|| text.split("\r\n\r\n").next().unwrap_or_default().to_owned())
        })
    })
}

const REPORT: &str = "From: mailer-daemon@mx.example\r\nMIME-Version: 1.0\r\n\
     Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n";

#[test]
fn a_message_dropped_for_any_reason_is_released_once() {
    let harness = Harness::start(&format!(
        "{STANDARD}\n[mail]\nspam = [\"X-Spam-Flag: YES\"]\n"
    ));
    send(harness.smtp, "bob@partner.example", "known");
    // The message must be delivered before its sender is blocked.
    wait_for("the delivery", || harness.delivered().pop());
    harness.json(&["access", "deny", "dan@partner.example"]);
    harness.json(&["customers", "block", "bob@partner.example"]);
    let before = harness.json(&["customers", "show", "bob@partner.example"]);
    for (expected, fields, named) in [
        (
            "domain_not_allowed",
            "From: eve@elsewhere.example\r\n",
            None,
        ),
        ("bounce", REPORT, None),
        (
            "loop",
            "From: eve@elsewhere.example\r\nX-Vestibule-Loop: gate.corp.example\r\n",
            None,
        ),
        (
            "sender_unusable",
            "From: Bob\r\n",
            Some("rob@elsewhere.example"),
        ),
        ("sender_denied", "From: dan@partner.example\r\n", None),
        ("account_blocked", "From: bob@partner.example\r\n", None),
        (
            "spam",
            "X-Spam-Flag: YES\r\nReceived: from client.example by mta.corp.example; \
             Mon, 23 Nov 2026 09:00:00 +0000\r\nFrom: fay@partner.example\r\n",
            None,
        ),
        (
            "automatic",
            "From: gil@partner.example\r\nAuto-Submitted: auto-replied\r\n",
            None,
        ),
        (
            "bulk",
            "From: hal@partner.example\r\nPrecedence: list\r\n",
            None,
        ),
    ] {
        let marker = expected.replace('_', "-");
        let ledger = send_with(&harness, fields, &marker);
        assert_eq!(reason(&harness, &ledger), expected);
        let (status, err) = run(&harness, &["dropped", "recover", &ledger]);
        assert_eq!(status, 1, "{expected}: {err}");
        let mut force = vec!["dropped", "recover", ledger.as_str(), "--force"];
        if let Some(named) = named {
            let (status, err) = run(&harness, &force);
            assert_eq!(status, 1, "{err}");
            assert!(err.contains("has no usable sender"), "{err}");
            force.extend(["--as", named]);
        }
        let (status, err) = run(&harness, &force);
        assert_eq!(status, 0, "{expected}: {err}");
        let header = delivered(&harness, &marker);
        assert!(
            header.contains("\r\nX-Vestibule-Verified: operator "),
            "{header}"
        );
        assert_eq!(
            header.contains("\r\nX-Vestibule-Sender-By: operator"),
            named.is_some(),
            "{header}"
        );
        let (status, err) = run(&harness, &force);
        assert_eq!(status, 1, "{expected}");
        assert!(err.contains("was already released"), "{err}");
        assert_eq!(
            reason(&harness, &ledger),
            expected,
            "the verdict stays what it was"
        );
        let raw = harness
            .command(&["dropped", "raw", &ledger])
            .output()
            .expect("it runs");
        assert!(
            raw.stdout
                .ends_with(format!("Help with {marker}!\r\n").as_bytes())
        );
    }
    assert_eq!(
        harness.delivered().len(),
        10,
        "each once, besides the accepted one"
    );
    assert_eq!(
        harness.json(&["customers", "show", "bob@partner.example"]),
        before
    );
    for made in [
        "eve@elsewhere.example",
        "rob@elsewhere.example",
        "dan@partner.example",
    ] {
        let account = &harness.json(&["customers", "show", made])[0];
        assert_eq!(account["status"], "pending", "{account}");
        assert!(account["verified_at"].is_null(), "{account}");
    }
    assert!(
        harness.verification_mails().is_empty(),
        "nobody is asked to verify an address"
    );
    // A denied sender stays denied, and a blocked one blocked.
    let denied = send_with(&harness, "From: dan@partner.example\r\n", "denied-again");
    assert_eq!(reason(&harness, &denied), "sender_denied");
    let blocked = send_with(&harness, "From: bob@partner.example\r\n", "blocked-again");
    assert_eq!(reason(&harness, &blocked), "account_blocked");
    harness.json(&["doctor"]);
}

#[test]
fn an_impossible_release_names_the_reason() {
    let harness = Harness::start(STANDARD);
    let kept = send_with(&harness, "From: eve@elsewhere.example\r\n", "kept");
    let nobody = send_with(&harness, "From: Bob\r\n", "nobody");
    for (arguments, status, why) in [
        (
            &[
                "dropped",
                "recover",
                &kept,
                "--force",
                "--as",
                "rob@elsewhere.example",
            ][..],
            1,
            "was written by eve@elsewhere.example",
        ),
        (
            &["dropped", "recover", &nobody, "--force", "--as", PORTAL],
            1,
            "is an address of this installation",
        ),
        (
            &[
                "dropped",
                "recover",
                &nobody,
                "--force",
                "--as",
                "rob@x.example\r\nX-A: b",
            ],
            2,
            "--as",
        ),
        (
            &["dropped", "recover", &nobody, "--as", "rob@x.example"],
            2,
            "--force",
        ),
        (&["dropped", "recover", "--all", "--force"], 2, "--force"),
        (
            &["dropped", "recover", &kept],
            1,
            "elsewhere.example is not in external.allowed_domains",
        ),
    ] {
        let output = harness.command(arguments).output().expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    // The same message again is a duplicate of the released one, even if its sender is allowed by then.
    harness.json(&["dropped", "recover", &kept, "--force"]);
    harness.json(&["access", "allow", "elsewhere.example"]);
    let again = send_with(&harness, "From: eve@elsewhere.example\r\n", "kept");
    let entries = harness.json(&["explain", "kept@client.example"]);
    assert_eq!(entries.len(), 2, "{entries:?}");
    let copy = entries.iter().find(|entry| entry["reason"] == "duplicate");
    assert!(copy.is_some(), "{again}: {entries:?}");
    let dropped = harness.json(&["dropped", "list"]);
    for row in &dropped {
        let recoverable = row["ledger"] == nobody.as_str();
        assert_eq!(row["recoverable"], recoverable, "{row}");
    }
    delivered(&harness, "kept");
    assert_eq!(harness.delivered().len(), 1);
}

#[test]
fn a_released_loop_does_not_loop_again() {
    let harness = Harness::start(STANDARD);
    let ledger = send_with(
        &harness,
        "From: eve@partner.example\r\nX-Vestibule-Loop: gate.corp.example\r\n",
        "round",
    );
    harness.json(&["dropped", "recover", &ledger, "--force"]);
    delivered(&harness, "round");
    let raw = harness.delivered().remove(0);
    let mut smtp = Smtp::connect(harness.smtp).expect("connected");
    let sent = smtp.send("mta@client.example", PORTAL, &raw);
    assert!(sent.expect("an answer").starts_with("250"));
    // A duplicate or a mail loop: it is dropped in either case.
    wait_for("the second entry", || {
        let entries = harness.json(&["explain", "round@client.example"]);
        (entries.len() == 2).then_some(())
    });
    assert_eq!(harness.json(&["requests", "list"]).len(), 1);
}
