//! The listeners of the pages: requests that two servers could parse differently, links that somebody else opens,
//! and a Host that is not ours.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::client::{http, send};
use crate::support::harness::{DEADLINE, Harness, STANDARD, wait_for};

/// All answers to these bytes until the connection ends.
fn ask(address: SocketAddr, said: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    // The connection may end after an answer, before everything was sent.
    let _ = stream.write_all(said);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    String::from_utf8_lossy(&heard).into_owned()
}

/// The status of each answer.
fn statuses(heard: &str) -> Vec<&str> {
    heard
        .split("HTTP/1.")
        .skip(1)
        .filter_map(|answer| answer.get(2..5))
        .collect()
}

/// Requests by name. Each gets at most one answer on either listener, and that is a refusal.
const REQUESTS: &[(&str, &str)] = &[
    (
        "Content-Length and Transfer-Encoding, a request hidden in the body",
        "POST /signup HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "the same the other way round",
        "POST /signup HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n\
         0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "two lengths",
        "POST /signup HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 40\r\n\r\na=b\
         GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "a list of lengths",
        "POST /signup HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 40\r\n\r\na=b",
    ),
    (
        "a length with a sign",
        "POST /signup HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\na=b",
    ),
    (
        "a coding behind chunked",
        "POST /signup HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "a coding that is none",
        "POST /signup HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in HTTP/1.0",
        "POST /signup HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a blank before the colon",
        "GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
    ),
    (
        "a folded field",
        "GET /healthz HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    ),
    (
        "a NUL in a field",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    ),
    ("HTTP/0.9", "GET /healthz\r\n\r\n"),
    ("HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("rubbish", "\u{16}\u{3}\u{1}\0\r\n\r\n"),
];

#[test]
fn no_request_can_be_read_in_two_ways() {
    let harness = Harness::start(STANDARD);
    let many = "X: y\r\n".repeat(200);
    let long = "a".repeat(300_000);
    let built = [
        (
            "too many fields",
            format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
        ),
        (
            "too long a field",
            format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
        ),
        (
            "too long a target",
            format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        ),
        (
            "too large a body",
            format!(
                "POST /signup HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n{long}"
            ),
        ),
    ];
    let table = REQUESTS
        .iter()
        .map(|(name, said)| (*name, (*said).to_owned()));
    let mut wrong = Vec::new();
    for (name, said) in table.chain(built) {
        for address in [harness.http, harness.admin] {
            let heard = ask(address, said.as_bytes());
            let statuses = statuses(&heard);
            let is_refused = statuses.iter().all(|status| status.starts_with('4'));
            if statuses.len() > 1 || !is_refused {
                wrong.push(format!("{name}: {statuses:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(http(harness.http, "GET", "/healthz", &[]).0, 200);
}

/// Nothing in a client's request can redirect anyone elsewhere.
#[test]
fn no_answer_leads_to_another_site() {
    let harness = Harness::start(STANDARD);
    for target in [
        "/",
        "//evil.example/",
        "/\\evil.example",
        "/login?next=//evil.example",
        "/signup?next=https://evil.example",
        "/verify/%0d%0aLocation:%20https://evil.example",
        "/verify/..%2f..%2fevil.example",
        "http://evil.example/",
        "/%2e%2e//evil.example",
    ] {
        for address in [harness.http, harness.admin] {
            let heard = ask(
                address,
                format!(
                    "GET {target} HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\n\
                     Connection: close\r\n\r\n"
                )
                .as_bytes(),
            );
            let (fields, body) = heard.split_once("\r\n\r\n").unwrap_or((&heard, ""));
            assert!(!fields.contains("evil"), "{target}: {fields}");
            assert!(!body.contains("//evil.example"), "{target}: {body}");
            assert!(
                !fields.to_lowercase().contains("set-cookie"),
                "{target}: {fields}"
            );
        }
    }
}

/// Opening the link — by a scanner, a preview, a prefetching browser — releases nothing.
#[test]
fn links_that_others_open_release_nothing() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "ann@corp.example", "scanned");
    let link = harness.link_for("ann@corp.example");
    let token = link.rsplit('/').next().expect("a token").to_owned();
    for request in [
        format!("GET {link} HTTP/1.1\r\n"),
        format!("HEAD {link} HTTP/1.1\r\n"),
        format!("OPTIONS {link} HTTP/1.1\r\n"),
        format!("PROPFIND {link} HTTP/1.1\r\n"),
        format!("PUT {link} HTTP/1.1\r\nContent-Length: 0\r\n"),
        format!("GET {link}?action=confirm HTTP/1.1\r\n"),
        format!("GET {link} HTTP/1.1\r\nPurpose: prefetch\r\nSec-Purpose: prefetch\r\n"),
        format!("GET {link} HTTP/1.1\r\nX-HTTP-Method-Override: POST\r\n"),
        format!("POST {link}?action=confirm HTTP/1.1\r\nContent-Length: 0\r\n"),
        format!(
            "POST {link} HTTP/1.1\r\nContent-Length: 14\r\nSec-Fetch-Site: cross-site\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n"
        ),
    ] {
        ask(
            harness.http,
            format!("{request}Host: a\r\nConnection: close\r\n\r\naction=confirm").as_bytes(),
        );
        let state = &harness.json(&["requests", "list"])[0]["state"];
        assert_eq!(state, "held", "{request}");
    }
    // No similar token opens the link, and no log contains the token.
    let mut other = token.clone();
    other.replace_range(..1, if token.starts_with('a') { "b" } else { "a" });
    let (status, _) = http(
        harness.http,
        "POST",
        &format!("/verify/{other}"),
        &[("action", "confirm")],
    );
    assert_eq!(status, 404);
    assert!(!harness.log().contains(&token) && !harness.log().contains(&token[..20]));
    assert_eq!(
        http(harness.http, "POST", &link, &[("action", "confirm")]).0,
        200
    );
}

/// Guessing is limited for each client, and does not affect others.
#[test]
fn guessing_links_is_limited_and_does_not_affect_others() {
    let harness = Harness::start(STANDARD);
    send(harness.smtp, "ann@corp.example", "waiting");
    let link = harness.link_for("ann@corp.example");
    let mut number = 0;
    let mut guess = || {
        number += 1;
        http(harness.http, "GET", &format!("/verify/{number:043}"), &[]).0
    };
    assert_eq!(guess(), 404);
    // The tokens are refilled over time; only a client that guesses faster exhausts them.
    wait_for("the rate limit to be exceeded", || {
        (guess() == 429).then_some(())
    });
    assert_eq!(
        http(harness.http, "GET", &link, &[]).0,
        200,
        "a valid link still opens"
    );
}
