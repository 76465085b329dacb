//! Floods in other people's names, through the public interfaces: the quotas that they fill, the people whom
//! they affect, and the recovery.

use serde_json::Value;

use crate::support::client::{Smtp, http};
use crate::support::harness::{Harness, STANDARD};

fn harness(quota: u32, max_content: &str) -> Harness {
    let sections = format!(
        "\n[authentication]\nauthserv_id = \"mx.corp.example\"\n\n[quota]\nrequests = {quota}\n\n\
         [dropped]\nmax_content = \"{max_content}\"\n\n[outgoing]"
    );
    Harness::start(&STANDARD.replace("\n[outgoing]", &sections))
}

/// A message with fields prepended, as an MTA or a list adds them.
fn message(fields: &str, from: &str, id: &str, octets: usize) -> Vec<u8> {
    let mut message = format!(
        "{fields}From: {from}\r\nTo: it-help@corp.example\r\nSubject: {id}\r\n\
         Date: Mon, 1 Jan 2024 10:00:00 +0000\r\n{}\r\nHelp!\r\n",
        match id {
            "" => String::new(),
            id => format!("Message-ID: <{id}@client.example>\r\n"),
        }
    );
    while message.len() < octets {
        message += "It is on fire, and has been for a while. Please come.\r\n";
    }
    message.into_bytes()
}

fn send(harness: &Harness, message: &[u8]) {
    let mut smtp = Smtp::connect(harness.smtp).expect("a connection");
    let reply = smtp.send("someone@client.example", "it-help@corp.example", message);
    let reply = reply.expect("an answer");
    assert!(reply.starts_with("250"), "{reply}");
}

/// The newest entry of the ledger.
fn newest(harness: &Harness, id: &str) -> Value {
    let found = harness.json(&["explain", &format!("{id}@client.example")]);
    found.into_iter().next().expect("an entry")
}

const PASS: &str =
    "Authentication-Results: mx.corp.example; dmarc=pass header.from=corp.example\r\n";

#[test]
fn a_copy_from_a_list_does_not_lose_the_message() {
    let harness = harness(50, "1GiB");
    let list = "Precedence: list\r\nList-Id: <staff.corp.example>\r\n";
    send(&harness, &message(list, "ann@corp.example", "both", 0));
    assert_eq!(newest(&harness, "both")["reason"], "bulk");
    for expected in ["internal_account_created", "duplicate", "duplicate"] {
        send(&harness, &message("", "ann@corp.example", "both", 0));
        let entry = newest(&harness, "both");
        assert_eq!(entry["reason"], expected, "{entry}");
    }
    // If the Message-ID does not distinguish them, sender, date and content do.
    for _ in 0..2 {
        send(&harness, &message("", "bea@corp.example", "", 0));
    }
    let held = harness.json(&["requests", "list", "--account", "bea@corp.example"]);
    assert_eq!(held.len(), 1, "{held:?}");
}

/// The forger adds a field by which the help desk might discard the message.
#[test]
fn a_forged_copy_at_the_help_desk_does_not_stop_the_genuine_message() {
    let harness = harness(50, "1GiB");
    send(&harness, &message(PASS, "ann@corp.example", "first", 0));
    let first = newest(&harness, "first");
    let link = harness.link_for("ann@corp.example");
    let path = &link[link.find("/verify/").expect("a path")..];
    let id = first["ledger"].as_str().expect("an id");
    let form = [("request", id), ("action", "confirm")];
    let (status, page) = http(harness.http, "POST", path, &form);
    assert_eq!(status, 200, "{page}");

    let fail = format!("{}X-Junk: yes\r\n", PASS.replace("pass", "fail (p=none)"));
    send(&harness, &message(&fail, "ann@corp.example", "both", 0));
    assert_eq!(newest(&harness, "both")["reason"], "account_active");
    for expected in ["account_active", "duplicate"] {
        send(&harness, &message(PASS, "ann@corp.example", "both", 0));
        let entry = newest(&harness, "both");
        assert_eq!(entry["reason"], expected, "{entry}");
    }
    let mut delivered = Vec::new();
    crate::support::harness::wait_for("three deliveries", || {
        delivered = harness.delivered();
        (delivered.len() == 3).then_some(())
    });
    for (field, count) in [
        ("X-Vestibule-Authenticated: pass", 2),
        ("X-Vestibule-Authenticated: fail", 1),
        ("X-Junk: yes", 1),
    ] {
        let have = |mail: &&Vec<u8>| String::from_utf8_lossy(mail).contains(field);
        assert_eq!(delivered.iter().filter(have).count(), count, "{field}");
    }
}

#[test]
fn a_full_hold_quota_does_not_lose_the_genuine_message() {
    let harness = harness(2, "1GiB");
    for number in 0..3 {
        send(
            &harness,
            &message("", "ann@corp.example", &format!("forged{number}"), 0),
        );
    }
    assert_eq!(newest(&harness, "forged2")["reason"], "hold_quota");
    send(&harness, &message(PASS, "ann@corp.example", "real", 0));
    assert_eq!(newest(&harness, "real")["reason"], "account_pending");
    let replaced = newest(&harness, "forged0");
    assert_eq!(replaced["reason"], "hold_quota", "{replaced}");
    assert!(
        replaced["events"].to_string().contains("request.replaced"),
        "{replaced}"
    );

    let link = harness.link_for("ann@corp.example");
    let path = &link[link.find("/verify/").expect("a path")..];
    let (status, page) = http(harness.http, "GET", path, &[]);
    assert_eq!(status, 200);
    let ticked = page.matches("name=\"request\"").count();
    let checked = page.matches(" checked>").count();
    assert_eq!(
        (ticked, checked),
        (4, 2),
        "two held, and two offered: {page}"
    );
    let offered = newest(&harness, "forged2")["ledger"]
        .as_str()
        .expect("an id")
        .to_owned();
    let real = newest(&harness, "real")["ledger"]
        .as_str()
        .expect("an id")
        .to_owned();
    let form = [
        ("request", real.as_str()),
        ("request", offered.as_str()),
        ("action", "confirm"),
    ];
    let (status, page) = http(harness.http, "POST", path, &form);
    assert_eq!(status, 200, "{page}");
    let mut delivered = Vec::new();
    crate::support::harness::wait_for("two deliveries", || {
        delivered = harness.delivered();
        (delivered.len() == 2).then_some(())
    });
    for subject in ["Subject: real", "Subject: forged2"] {
        assert!(
            delivered
                .iter()
                .any(|mail| String::from_utf8_lossy(mail).contains(subject)),
            "{subject}"
        );
    }
}

#[test]
fn a_flood_of_invented_domains_erases_what_it_brought() {
    let harness = harness(50, "1MiB");
    let closed = |from: &str, id: &str| send(&harness, &message("", from, id, 50_000));
    for number in 0..3 {
        closed("bob@shop.example", &format!("bob{number}"));
    }
    for number in 0..40 {
        closed(
            &format!("eve@evil{number}.example"),
            &format!("eve{number}"),
        );
    }
    closed("zoe@late.example", "zoe");
    let dropped = harness.json(&["dropped", "list", "--limit", "1000"]);
    assert_eq!(dropped.len(), 44, "the entries stay");
    let recoverable = |domain: &str| {
        let of = dropped.iter().filter(|entry| {
            entry["domain"]
                .as_str()
                .is_some_and(|found| found.contains(domain))
        });
        of.filter(|entry| entry["recoverable"] == true).count()
    };
    assert_eq!(recoverable("shop.example"), 3);
    assert_eq!(recoverable("late.example"), 1);
    let eve = recoverable("evil");
    assert!((10..20).contains(&eve), "{eve}");
    let doctor = harness.command(&["doctor"]).output().expect("run");
    assert!(doctor.status.success(), "{doctor:?}");
}
