//! `docs/recipes/request-tracker.md`: RT takes requests through its own `rt-mailgate`. The program is
//! Debian's; the server is a stand-in that answers as RT's mail gateway does.

use super::stand_in::StandIn;
use super::{ask, config_with_desk, delivered};
use crate::support::harness::{Harness, wait_for};

const MAILGATE: &str = "/usr/bin/rt-mailgate-5";

fn help_desk(url: &str) -> String {
    assert!(
        std::path::Path::new(MAILGATE).exists(),
        "{MAILGATE} is missing; install rt5-clients"
    );
    config_with_desk(&format!(
        "type = \"command\"\nprogram = \"{MAILGATE}\"\n\
         args = [\"--queue\", \"IT\", \"--action\", \"correspond\", \"--url\", \"{url}\"]"
    ))
}

#[test]
fn rt_mailgate_hands_a_verified_request_to_rt() {
    let rt = StandIn::start(|_| {
        (
            "200 OK",
            "ok\n\nTicket: 1\nQueue: IT\nOwner: Nobody\nStatus: new\n",
        )
    });
    let harness = Harness::start(&help_desk(&format!("http://{}", rt.address)));
    let request = ask(&harness, "ann@corp.example", "printer");
    delivered(&harness, &request);

    let asked = rt.next();
    assert_eq!(asked.line, "POST /REST/1.0/NoAuth/mail-gateway HTTP/1.1");
    let body = String::from_utf8_lossy(&asked.body);
    for part in [
        "name=\"queue\"\r\n\r\nIT\r\n",
        "name=\"action\"\r\n\r\ncorrespond\r\n",
        "X-Vestibule-Account: internal",
        "From: ann@corp.example",
        "Subject: About printer",
        &format!("X-Vestibule-Request: {request}"),
    ] {
        assert!(body.contains(part), "{part:?} in {body}");
    }
}

#[test]
fn a_delivery_to_an_rt_that_is_down_is_retried() {
    let mut calls = 0;
    let rt = StandIn::start(move |_| {
        calls += 1;
        match calls {
            1 => ("500 Internal Server Error", "the database is away"),
            _ => ("200 OK", "ok\n"),
        }
    });
    let harness = Harness::start(&help_desk(&format!("http://{}", rt.address)));
    let request = ask(&harness, "ann@corp.example", "printer");
    rt.next();
    let shown = wait_for("the failed attempt", || {
        let shown = harness.json(&["requests", "show", &request])[0].clone();
        shown["last_error"].is_string().then_some(shown)
    });
    assert_eq!(shown["state"], "released", "{shown}");
    harness.json(&["deliveries", "retry", "desk"]);
    wait_for("the delivery", || {
        let shown = &harness.json(&["requests", "show", &request])[0];
        (shown["state"] == "delivered").then_some(())
    });
}
