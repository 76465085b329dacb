//! Requests that the person does not intend: from mail scanners, which follow every link before the person does,
//! and from other sites, which try to frame our pages.

use serde_json::Value;

use crate::browser::{Browser, Setup};
use crate::help_desk::HelpDesk;
use crate::raw_http::ask;
use crate::support::client::send;
use crate::support::harness::{Harness, wait_for};

/// Header fields of browsers and scanners that prefetch a URL.
const AHEAD_OF_TIME: &[&str] = &[
    "Purpose: prefetch",
    "Sec-Purpose: prefetch",
    "Sec-Purpose: prefetch;prerender",
    "X-Moz: prefetch",
    "User-Agent: Mozilla/5.0 (compatible; LinkScanner/1.0)",
];

#[tokio::test]
async fn a_scanner_releases_nothing_and_uses_up_nothing() {
    let harness = HelpDesk::harness("");
    for marker in ["first", "second"] {
        send(harness.smtp, "anna@corp.example", marker);
    }
    let link = harness.link_for("anna@corp.example");
    // The mail's file is there before its record.
    wait_for("the record of the mail", || {
        let customers = harness.json(&["customers", "list"]);
        (customers[0]["unanswered_mails"] == 1).then_some(())
    });
    let before = state(&harness);

    for field in AHEAD_OF_TIME {
        for method in ["GET", "HEAD"] {
            let answer = ask(harness.http, method, &link, &[field], "");
            assert_eq!(answer.status, 200, "{method} {field}");
        }
    }
    for method in ["OPTIONS", "PUT", "DELETE", "PROPFIND"] {
        let answer = ask(harness.http, method, &link, &[], "");
        assert_eq!(answer.status, 405, "{method}");
    }
    // A form on another site, in the browser of the link's holder.
    let foreign = [
        "Sec-Fetch-Site: cross-site",
        "Content-Type: application/x-www-form-urlencoded",
    ];
    let answer = ask(harness.http, "POST", &link, &foreign, "action=confirm");
    assert_eq!(answer.status, 403);

    // A scanner that renders the page, and then follows each link on it.
    let browser = Browser::start(Setup::default()).await;
    let page = format!("http://{}{link}", harness.http);
    browser.open(&page).await;
    browser.see("About first").await;
    let links = browser
        .run("return [...document.links].map(link => link.href)")
        .await;
    let links = links.as_array().expect("a list");
    assert!(!links.is_empty(), "the link to the front page");
    for link in links {
        browser.open(link.as_str().expect("an address")).await;
    }
    assert_eq!(state(&harness), before);
    assert!(harness.delivered().is_empty());

    browser.open(&page).await;
    browser.press("button[value=confirm]").await;
    browser.see("Your address is confirmed.").await;
    wait_for("both at the help desk", || {
        (harness.delivered().len() == 2).then_some(())
    });
}

/// All state that a person's visit could change.
fn state(harness: &Harness) -> [Vec<Value>; 2] {
    [["requests", "list"], ["customers", "list"]].map(|command| harness.json(&command))
}

#[tokio::test]
async fn no_other_site_can_put_our_pages_into_its_own() {
    let harness = HelpDesk::harness("");
    send(harness.smtp, "anna@corp.example", "first");
    let link = harness.link_for("anna@corp.example");
    let browser = Browser::start(Setup::default()).await;
    for (address, words) in [
        (
            format!("http://{}{link}", harness.http),
            "Is this your address?",
        ),
        (format!("http://{}/login", harness.admin), "Password"),
    ] {
        browser.open(&address).await;
        browser.see(words).await;
        browser
            .open(&format!("data:text/html,<iframe src='{address}'></iframe>"))
            .await;
        let framed = browser.text_in_frame().await;
        assert!(!framed.contains(words), "{framed}");
    }
}
