//! Mail that attacks its reader, sent to the real daemon and opened on every page.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::browser::{Browser, Setup};
use crate::help_desk::HelpDesk;
use crate::pages::{PAGES, Page, Side};
use crate::support::client::Smtp;
use crate::support::harness::Harness;

/// Records violations of the policy.
const WATCH: &str = "window.forbidden = [];
    addEventListener('securitypolicyviolation', event => forbidden.push(
        event.effectiveDirective + ' ' + event.blockedURI + ' ' + event.sourceFile), true);";

/// Messages whose senders get a link, so that the page of the link shows their content.
const WITH_A_LINK: &[&str] = &["held", "html-only"];

#[tokio::test]
async fn nothing_that_a_stranger_wrote_runs_or_loads() {
    let help_desk = HelpDesk::around(HelpDesk::harness(
        "\n[verification.limits]\nper_domain_hour = 1000\n",
    ));
    let payloads = payloads();
    let (mut messages, mut with_html) = (Vec::new(), Vec::new());
    for template in templates() {
        for (number, payload) in payloads.iter().enumerate() {
            let message = filled(&template, number, payload);
            let ledger = send(&help_desk.harness, &message, payload);
            if message.contains("text/html") {
                with_html.push(ledger.clone());
            }
            messages.push(ledger);
        }
    }
    let browser = Browser::start(Setup::default()).await;
    browser.run_first(WATCH).await;
    let mut wrong = Vec::new();

    for template in WITH_A_LINK {
        for number in 0..payloads.len() {
            let address = format!("{template}-{number}@corp.example");
            let link = help_desk.harness.link_for(&address);
            browser
                .open(&format!("http://{}{link}", help_desk.harness.http))
                .await;
            wrong.extend(run_here(&browser, &address).await);
        }
    }
    // The next page shows the subject again.
    browser.press("button[value=confirm]").await;
    browser.see("Your address is confirmed.").await;
    wrong.extend(run_here(&browser, "html-only").await);
    wrong.extend(asked_for(&browser, &help_desk.harness).await);

    let lists = |page: &&Page| page.side == Side::Admin && page.is_a_list();
    for page in PAGES.iter().filter(lists) {
        browser.go(&help_desk, page).await;
        wrong.extend(run_here(&browser, "olga").await);
    }
    for ledger in messages.iter().step_by(stride()) {
        browser
            .open(&format!(
                "http://{}/messages/{ledger}",
                help_desk.harness.admin
            ))
            .await;
        wrong.extend(run_here(&browser, ledger).await);
    }
    wrong.extend(asked_for(&browser, &help_desk.harness).await);

    // The content of the frame on its own. No script runs there, so violations are not recorded.
    let browser = Browser::start(Setup::default()).await;
    let home = PAGES.iter().find(|page| page.name == "overview");
    browser.go(&help_desk, home.expect("a page")).await;
    for ledger in with_html.iter().step_by(stride()) {
        let address = format!("http://{}/messages/{ledger}/html", help_desk.harness.admin);
        browser.open(&address).await;
        assert_eq!(browser.place().await.as_str(), address);
    }
    wrong.extend(asked_for(&browser, &help_desk.harness).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Step through the messages whose own pages are opened; the lists show every message. An ordinary run opens every
/// third, so that every kind of message is opened with a third of the tricks; a long run opens all.
fn stride() -> usize {
    if std::env::var_os("VESTIBULE_LONG").is_some() {
        1
    } else {
        3
    }
}

/// The tricks work on an unprotected page, and are detected.
#[tokio::test]
async fn the_tricks_work_on_a_careless_page() {
    let harness = HelpDesk::harness("");
    let browser = Browser::start(Setup::default()).await;
    browser.run_first(WATCH).await;
    for (page, signs) in [
        ("<script>window.struck=1</script>", &["1 []"][..]),
        ("<img src='//x' onerror='window.struck=1'>", &["1 []"]),
        (
            "<base href='http://evil.example'><img src='/pixel.gif'>",
            &["http://evil.example/pixel.gif"],
        ),
        (
            "<meta http-equiv=Content-Security-Policy content=\"img-src 'none'\"><img src='x.gif'>",
            &["img-src", "Content Security Policy"],
        ),
    ] {
        let path = harness.path("careless.html");
        fs::write(&path, page).expect("a page");
        browser.open(&format!("file://{}", path.display())).await;
        let mut wrong = asked_for(&browser, &harness).await;
        wrong.extend(run_here(&browser, "").await);
        for sign in signs {
            assert!(
                wrong.iter().any(|line| line.contains(sign)),
                "{page}: {wrong:?}"
            );
        }
    }
}

/// Scripts that ran, or tried to, in the page that contains `words`.
async fn run_here(browser: &Browser, words: &str) -> Option<String> {
    let marks = "return [window.struck || null, window.forbidden, document.body.textContent]";
    let marks = browser.run(marks).await;
    let text = marks[2].as_str().unwrap_or_default();
    let place = browser.place().await;
    assert!(text.contains(words), "{words} is not at {place}:\n{text}");
    let clean = marks[0].is_null() && marks[1] == json!([]);
    (!clean).then(|| format!("{place}: {} {}", marks[0], marks[1]))
}

/// The icon that Chromium itself draws in a date field.
const DATE_ICON: &str = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSIxNiIgaGVpZ2h0PSIxNSIgdmlld0JveD0iMCAwIDI0IDI0Ij48cGF0aCBmaWxsPSJXaW5kb3dUZXh0IiBkPSJNMjAgM2gtMVYxaC0ydjJIN1YxSDV2Mkg0Yy0xLjEgMC0yIC45LTIgMnYxNmMwIDEuMS45IDIgMiAyaDE2YzEuMSAwIDItLjkgMi0yVjVjMC0xLjEtLjktMi0yLTJ6bTAgMThINFY4aDE2djEzeiIvPjxwYXRoIGZpbGw9Im5vbmUiIGQ9Ik0wIDBoMjR2MjRIMHoiLz48L3N2Zz4=";

/// Requests of the pages to other sites since the last call, and the browser's complaints.
async fn asked_for(browser: &Browser, harness: &Harness) -> Vec<String> {
    let ours = [harness.http, harness.admin].map(|address| format!("http://{address}/"));
    let mut wrong = browser.requested().await;
    wrong.retain(|url| url != DATE_ICON && !ours.iter().any(|own| url.starts_with(own)));
    wrong.extend(browser.complaints().await);
    wrong
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/hostile-mail")
}

fn payloads() -> Vec<String> {
    let text = fs::read_to_string(folder().join("payloads.txt")).expect("the payloads");
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert!(lines.len() > 20, "{}", lines.len());
    lines
}

fn templates() -> Vec<String> {
    let mut paths: Vec<_> = fs::read_dir(folder())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "eml"))
        .collect();
    paths.sort();
    assert!(paths.len() > 4, "{paths:?}");
    let text = |path: &PathBuf| fs::read_to_string(path).expect("UTF-8");
    paths.iter().map(text).collect()
}

/// The message with the trick inserted wherever the template has a place for it.
fn filled(template: &str, number: usize, payload: &str) -> String {
    let quoted = payload.replace('\\', "\\\\").replace('"', "\\\"");
    template
        .replace(
            "ENCODED",
            &format!("=?utf-8?B?{}?=", STANDARD.encode(payload)),
        )
        .replace("LOCAL", &quoted)
        .replace("NUMBER", &number.to_string())
        .replace("PAYLOAD", payload)
        .replace('\n', "\r\n")
}

/// Sends a message from a client with a hostile name and a hostile envelope, as far as these are accepted,
/// and returns the id of the entry.
fn send(harness: &Harness, message: &str, payload: &str) -> String {
    let to = "it-help@corp.example";
    let mut client = Smtp::connect(harness.smtp).expect("a connection");
    client.say(&format!("EHLO {payload}")).expect("an answer");
    client.say("RSET").expect("an answer");
    let quoted = payload.replace(['\\', '"'], "");
    let mut reply = client
        .send(
            &format!("\"{quoted}\"@evil.example"),
            to,
            message.as_bytes(),
        )
        .expect("an answer");
    if !reply.starts_with("250") {
        client.say("RSET").expect("an answer");
        reply = client
            .send("mallory@evil.example", to, message.as_bytes())
            .expect("an answer");
    }
    assert!(reply.starts_with("250"), "{reply} to:\n{message}");
    reply.trim().rsplit(' ').next().expect("an id").to_owned()
}
