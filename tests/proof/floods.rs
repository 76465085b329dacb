//! Floods in other people's names, seen from outside: what they fill, whom they keep from what, and
//! what can be taken back.

use serde_json::Value;

use crate::client::{Smtp, http};
use crate::house::{House, STANDARD};

fn house(quota: u32, max_content: &str) -> House {
    let sections = format!(
        "\n[authentication]\nauthserv_id = \"mx.corp.example\"\n\n[quota]\nrequests = {quota}\n\n\
         [dropped]\nmax_content = \"{max_content}\"\n\n[outgoing]"
    );
    House::start(&STANDARD.replace("\n[outgoing]", &sections))
}

/// A message with fields on top, as an MTA or a list adds them.
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

fn send(house: &House, message: &[u8]) {
    let mut smtp = Smtp::connect(house.smtp).expect("a connection");
    let reply = smtp.send("someone@client.example", "it-help@corp.example", message);
    let reply = reply.expect("an answer");
    assert!(reply.starts_with("250"), "{reply}");
}

/// The newest entry of the ledger.
fn newest(house: &House, id: &str) -> Value {
    let found = house.json(&["explain", &format!("{id}@client.example")]);
    found.into_iter().next().expect("an entry")
}

const PASS: &str =
    "Authentication-Results: mx.corp.example; dmarc=pass header.from=corp.example\r\n";

#[test]
fn the_copy_of_a_list_does_not_cost_the_message() {
    let house = house(50, "1GiB");
    let list = "Precedence: list\r\nList-Id: <staff.corp.example>\r\n";
    send(&house, &message(list, "ann@corp.example", "both", 0));
    assert_eq!(newest(&house, "both")["reason"], "bulk");
    for expected in ["internal_account_created", "duplicate", "duplicate"] {
        send(&house, &message("", "ann@corp.example", "both", 0));
        let entry = newest(&house, "both");
        assert_eq!(entry["reason"], expected, "{entry}");
    }
    // What no Message-ID tells apart, sender, date and content do.
    for _ in 0..2 {
        send(&house, &message("", "bea@corp.example", "", 0));
    }
    let held = house.json(&["requests", "list", "--account", "bea@corp.example"]);
    assert_eq!(held.len(), 1, "{held:?}");
}

#[test]
fn a_full_hold_does_not_cost_the_real_message() {
    let house = house(2, "1GiB");
    for number in 0..3 {
        send(
            &house,
            &message("", "ann@corp.example", &format!("forged{number}"), 0),
        );
    }
    assert_eq!(newest(&house, "forged2")["reason"], "hold_quota");
    send(&house, &message(PASS, "ann@corp.example", "real", 0));
    assert_eq!(newest(&house, "real")["reason"], "account_pending");
    let replaced = newest(&house, "forged0");
    assert_eq!(replaced["reason"], "hold_quota", "{replaced}");
    assert!(
        replaced["events"].to_string().contains("request.replaced"),
        "{replaced}"
    );

    let link = house.link_for("ann@corp.example");
    let path = &link[link.find("/verify/").expect("a path")..];
    let (status, page) = http(house.http, "GET", path, &[]);
    assert_eq!(status, 200);
    let ticked = page.matches("name=\"request\"").count();
    let checked = page.matches(" checked>").count();
    assert_eq!(
        (ticked, checked),
        (4, 2),
        "two held, and two offered: {page}"
    );
    let offered = newest(&house, "forged2")["ledger"]
        .as_str()
        .expect("an id")
        .to_owned();
    let real = newest(&house, "real")["ledger"]
        .as_str()
        .expect("an id")
        .to_owned();
    let form = [
        ("request", real.as_str()),
        ("request", offered.as_str()),
        ("action", "confirm"),
    ];
    let (status, page) = http(house.http, "POST", path, &form);
    assert_eq!(status, 200, "{page}");
    let mut delivered = Vec::new();
    crate::house::wait_for("two deliveries", || {
        delivered = house.delivered();
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
    let house = house(50, "1MiB");
    let closed = |from: &str, id: &str| send(&house, &message("", from, id, 50_000));
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
    let dropped = house.json(&["dropped", "list", "--limit", "1000"]);
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
    let doctor = house.command(&["doctor"]).output().expect("run");
    assert!(doctor.status.success(), "{doctor:?}");
}
