//! The path of an employee, in three languages: they write to the help desk, get a mail, press one button, and the
//! help desk has the request. When somebody else writes in their name, they object, and take the objection back.

use serde_json::json;

use crate::browser::{Browser, Setup};
use crate::help_desk::HelpDesk;
use crate::support::client::Smtp;
use crate::support::harness::{Harness, wait_for};

/// Languages: English, a left-to-right one with a different grammar, and a right-to-left one.
const LANGUAGES: [&str; 3] = ["en", "de", "ar"];

#[tokio::test]
async fn an_employee_confirms_once_and_the_help_desk_has_the_request() {
    let harness = HelpDesk::harness("");
    for (language, name) in LANGUAGES.into_iter().zip(["ann", "bernd", "chadia"]) {
        let address = format!("{name}@corp.example");
        write(&harness, &address, language, "The printer burns");
        let mail = mail_to(&harness, &address);
        assert!(
            mail.contains(&format!("Content-Language: {language}\r\n")),
            "{mail}"
        );
        let subject = mail.lines().find(|line| line.starts_with("Subject: "));
        assert!(!subject.expect("a subject").contains(name), "{mail}");
        let browser = Browser::start(Setup {
            languages: language,
            ..Setup::default()
        })
        .await;
        let link = format!("http://{}{}", harness.http, harness.link_for(&address));
        browser.open(&link).await;
        is_in(&browser, language).await;
        browser.see("The printer burns").await;
        browser.see(&address).await;
        // They change their mind: the confirmation page leads back.
        browser.press("button[value=ask-not-me]").await;
        browser.find("button[value=not-me]").await;
        is_in(&browser, language).await;
        browser.press("main .buttons a").await;
        browser.press("button[value=confirm]").await;
        browser
            .until("return !document.querySelector('button[value=confirm]')")
            .await;
        is_in(&browser, language).await;
        let subject = format!("Subject: [{language}] The printer burns\r\n");
        wait_for("the request at the help desk", || {
            let delivered = harness.delivered();
            let is_there = |raw: &Vec<u8>| String::from_utf8_lossy(raw).contains(&subject);
            delivered.iter().any(is_there).then_some(())
        });
        // From now on their mail passes without verification.
        write(&harness, &address, language, "Now it is out");
        let requests = || harness.json(&["requests", "list", "--account", &address]);
        wait_for("the second at the help desk", || {
            let delivered = |request: &serde_json::Value| request["state"] == "delivered";
            let requests = requests();
            (requests.len() == 2 && requests.iter().all(delivered)).then_some(())
        });
        let to_them = harness.verification_mails();
        let to_them = to_them
            .iter()
            .filter(|mail| mail.contains(&format!("To: {address}\r\n")));
        assert_eq!(to_them.count(), 1, "a person is asked only once");
        // The page of the link reports that all is well, and no longer shows the request.
        browser.open(&link).await;
        is_in(&browser, language).await;
        assert!(!browser.text().await.contains("printer"));
    }
}

#[tokio::test]
async fn an_employee_discards_a_forged_request_and_can_undo_it() {
    let harness = HelpDesk::harness("");
    for (language, name) in LANGUAGES.into_iter().zip(["dora", "emil", "farid"]) {
        let address = format!("{name}@corp.example");
        write(&harness, &address, language, "Change my salary account");
        let link = format!("http://{}{}", harness.http, harness.link_for(&address));
        let browser = Browser::start(Setup {
            languages: language,
            ..Setup::default()
        })
        .await;
        let state =
            || harness.json(&["requests", "list", "--account", &address])[0]["state"].clone();
        browser.open(&link).await;
        browser.press("button[value=ask-not-me]").await;
        browser.find("button[value=not-me]").await;
        assert_eq!(state(), "held", "asking discards nothing");
        browser.press("button[value=not-me]").await;
        browser.find("button[value=take-back]").await;
        is_in(&browser, language).await;
        assert_eq!(state(), "discarded");
        browser.press("button[value=take-back]").await;
        browser.find("button[value=confirm]").await;
        is_in(&browser, language).await;
        browser.press("button[value=confirm]").await;
        wait_for("the request at the help desk", || {
            (state() == "delivered").then_some(())
        });
    }
}

fn write(harness: &Harness, address: &str, language: &str, subject: &str) {
    let raw = format!(
        "From: {address}\r\nTo: it-help@corp.example\r\nSubject: [{language}] {subject}\r\n\
         Content-Language: {language}\r\n\r\nSee the subject.\r\n"
    );
    let reply = Smtp::connect(harness.smtp)
        .and_then(|mut client| client.send(address, "it-help@corp.example", raw.as_bytes()))
        .expect("an answer");
    assert!(reply.starts_with("250"), "{reply}");
}

fn mail_to(harness: &Harness, address: &str) -> String {
    let to = format!("To: {address}\r\n");
    wait_for("a mail", || {
        let mails = harness.verification_mails();
        mails.into_iter().find(|mail| mail.contains(&to))
    })
}

async fn is_in(browser: &Browser, language: &str) {
    let seen = browser
        .run("return [document.documentElement.lang, getComputedStyle(document.body).direction]")
        .await;
    let direction = if language == "ar" { "rtl" } else { "ltr" };
    assert_eq!(seen, json!([language, direction]));
}
