//! Complete use in a browser: a new employee signs up and confirms, an operator logs in, changes who may
//! write, recovers dropped messages, and releases held requests. With scripts and without, and partly with
//! only the keyboard.

use serde_json::Value;

use crate::browser::{Browser, Setup};
use crate::help_desk::{HelpDesk, PASSWORD};
use crate::support::client::send;
use crate::support::harness::{Harness, wait_for};

#[tokio::test]
async fn from_the_sign_up_to_the_help_desk() {
    all_the_way(Setup::default()).await;
}

#[tokio::test]
async fn from_the_sign_up_to_the_help_desk_without_scripts() {
    all_the_way(Setup {
        scripts: false,
        ..Setup::default()
    })
    .await;
}

async fn all_the_way(setup: Setup) {
    let harness = HelpDesk::harness("");
    let browser = Browser::start(setup).await;
    scripts_are(&browser, setup.scripts).await;
    sign_up(&browser, &harness).await;
    for (from, marker) in [
        ("anna@corp.example", "first"),
        ("bea@corp.example", "second"),
        ("carl@corp.example", "third"),
        ("ivo@acme.co", "lost-one"),
        ("jana@acme.co", "lost-two"),
        ("kim@elsewhere.example", "lost-three"),
    ] {
        send(harness.smtp, from, marker);
    }
    log_in(&browser, &harness).await;
    let_in(&browser, &harness).await;
    bring_back(&browser, &harness).await;
    release(&browser, &harness).await;
    log_out(&browser).await;
}

/// Checks that the browser's setting for scripts works; otherwise the test would prove nothing.
async fn scripts_are(browser: &Browser, on: bool) {
    browser
        .open("data:text/html,<title>off</title><p>Hello<script>document.title='on'</script>")
        .await;
    assert_eq!(browser.title().await, if on { "on" } else { "off" });
}

async fn sign_up(browser: &Browser, harness: &Harness) {
    browser.open(&format!("http://{}/", harness.http)).await;
    browser.press("a[href='/signup']").await;
    browser.see("with a link that comes by mail").await;
    browser.fill("#email", "dora@corp.example").await;
    browser.press("main button").await;
    browser.see("dora@corp.example").await;
    let link = harness.link_for("dora@corp.example");
    browser
        .open(&format!("http://{}{link}", harness.http))
        .await;
    browser.see("Is this your address?").await;
    assert_eq!(status(harness, "dora@corp.example"), "pending");
    browser.press("button[value=confirm]").await;
    browser.see("Your address is confirmed.").await;
    assert_eq!(status(harness, "dora@corp.example"), "active");
}

fn status(harness: &Harness, address: &str) -> Value {
    harness.json(&["customers", "show", address])[0]["status"].clone()
}

async fn log_in(browser: &Browser, harness: &Harness) {
    browser
        .open(&format!("http://{}/requests", harness.admin))
        .await;
    browser.see("Password").await;
    browser.fill("#name", "olga").await;
    browser.fill("#password", PASSWORD).await;
    browser.press("main button").await;
    browser.see("olga, admin").await;
}

async fn let_in(browser: &Browser, harness: &Harness) {
    browser.press("nav a[href='/access']").await;
    browser.see("who may become a customer").await;
    let field = "[name='external.allowed_domains']";
    browser
        .fill(field, "acme.com\nacme.co\npartner.example")
        .await;
    browser.press("#preview").await;
    browser.see("external.allowed_domains: + acme.co").await;
    browser
        .see("2 messages of 2 people would change from Dropped to Accepted")
        .await;
    let revision = || harness.json(&["access", "show"])[0]["revision"].clone();
    assert_eq!(revision(), 1, "the preview saves nothing");
    browser.press("#save").await;
    browser.see("Revision 2 is in force").await;
    assert_eq!(revision(), 2);
}

async fn bring_back(browser: &Browser, harness: &Harness) {
    browser.press("nav a[href='/dropped']").await;
    browser.see("acme.co").await;
    browser
        .press("button[aria-label='Recover messages from acme.co']")
        .await;
    browser.see("2 recovered.").await;
    wait_for("both at the help desk", || {
        (harness.delivered().len() == 2).then_some(())
    });
    // Allow and recover in one step, for a domain that is not allowed yet.
    browser
        .press("a[href='/dropped/allow?domain=elsewhere.example']")
        .await;
    browser
        .see("1 message of 1 person would change from Dropped to Accepted")
        .await;
    browser.press("#allow").await;
    browser.see("elsewhere.example is on the allow list").await;
    wait_for("the third at the help desk", || {
        (harness.delivered().len() == 3).then_some(())
    });
}

async fn release(browser: &Browser, harness: &Harness) {
    browser.press("nav a[href='/']").await;
    browser.see("Waiting for verification").await;
    browser.press("a[href='/requests?state=held']").await;
    browser.see("anna@corp.example").await;
    let boxes = browser.find_all("input[name=request]").await;
    assert_eq!(boxes.len(), 3);
    for tick in boxes {
        tick.click().await.expect("ticked");
    }
    browser.press("button[value=release]").await;
    browser.see("Nothing has been changed yet.").await;
    assert_eq!(harness.delivered().len(), 3);
    browser.press("#confirm").await;
    browser.see("3 released.").await;
    wait_for("all of it at the help desk", || {
        (harness.delivered().len() == 6).then_some(())
    });
}

/// After the logout, the browser's history shows no page of the session.
async fn log_out(browser: &Browser) {
    browser.press(".leave button").await;
    browser.see("Password").await;
    // The browser does not submit a form again, so there is no page at all.
    for _ in 0..4 {
        browser.back().await;
        let text = browser.text().await;
        for word in ["anna@corp.example", "olga"] {
            assert!(!text.contains(word), "{text}");
        }
    }
    assert!(browser.cookies().await.is_empty());
}

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const SPACE: &str = " ";

#[tokio::test]
async fn a_person_verifies_with_the_keyboard_alone() {
    let harness = HelpDesk::harness("");
    for marker in ["mine", "not-mine"] {
        send(harness.smtp, "anna@corp.example", marker);
    }
    let browser = Browser::start(Setup::default()).await;
    let link = harness.link_for("anna@corp.example");
    browser
        .open(&format!("http://{}{link}", harness.http))
        .await;
    tab_to(&browser, "li:nth-child(2) input[type=checkbox]").await;
    browser.keys(SPACE).await;
    tab_to(&browser, "button[value=confirm]").await;
    browser.keys(ENTER).await;
    browser.see("Your address is confirmed.").await;
    let mut states: Vec<_> = harness
        .json(&["requests", "list"])
        .iter()
        .map(|request| (request["subject"].clone(), request["state"] == "discarded"))
        .collect();
    states.sort_by_key(|(subject, _)| subject.to_string());
    assert_eq!(
        states,
        [
            ("About mine".into(), false),
            ("About not-mine".into(), true)
        ]
    );

    browser.open(&format!("http://{}/", harness.admin)).await;
    until_focused(&browser, "#name").await;
    browser.keys("olga").await;
    tab_to(&browser, "#password").await;
    browser.keys(PASSWORD).await;
    browser.keys(ENTER).await;
    browser.see("olga, admin").await;
    // The first Tab stop leads past the menu.
    browser.keys(TAB).await;
    until_focused(&browser, "a.skip").await;
    browser.keys(ENTER).await;
    browser.until("return location.hash !== ''").await;
    browser.keys(TAB).await;
    until_focused(&browser, "main *").await;
}

/// Presses Tab until the element has the focus, and checks at each stop that the focus is visible.
async fn tab_to(browser: &Browser, css: &str) {
    for _ in 0..40 {
        browser.keys(TAB).await;
        let seen = "
            const style = getComputedStyle(document.activeElement);
            return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;";
        assert_eq!(browser.run(seen).await, true, "the focus cannot be seen");
        if is_focused(browser, css).await {
            return;
        }
    }
    panic!("{css} cannot be reached with Tab");
}

const FOCUSED: &str = "return document.activeElement.matches(\"CSS\")";

async fn is_focused(browser: &Browser, css: &str) -> bool {
    browser.run(&FOCUSED.replace("CSS", css)).await == true
}

/// A page gets the focus a moment after it has loaded.
async fn until_focused(browser: &Browser, css: &str) {
    browser.until(&FOCUSED.replace("CSS", css)).await;
}
