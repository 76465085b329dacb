//! An operator's day: ten questions about 600 messages of two weeks, each answered from the overview with at most
//! three clicks. Typing is not a click; opening a fold and submitting the search are one each.

use std::fmt::Write;

use crate::browser::{Browser, Setup};
use crate::help_desk::{HelpDesk, PASSWORD};
use crate::support::client::Smtp;
use crate::support::harness::{Harness, wait_for};

const MESSAGES: usize = 600;
const MAX_CLICKS: usize = 3;

const FIRST: [&str; 10] = [
    "anna", "bernd", "carla", "david", "elena", "farid", "gina", "henri", "irina", "jonas",
];
const LAST: [&str; 12] = [
    "adams", "baker", "costa", "dietz", "evans", "frank", "gomez", "huber", "ito", "jansen",
    "klein", "lopez",
];
const TOPICS: [&str; 9] = [
    "VPN drops every ten minutes",
    "Printer on the third floor",
    "New laptop",
    "Password of the archive",
    "Second screen",
    "Invoice portal does not open",
    "Access to the wiki",
    "Badge is lost",
    "Update of the phone",
];

/// Returns From, portal, subject and further fields.
fn message(n: usize) -> (String, &'static str, String, &'static str) {
    let person = format!("{}.{}", FIRST[n % 10], LAST[n / 10 % 12]);
    let subject = format!("{} ({n})", TOPICS[n % 9]);
    match n % 6 {
        0 | 1 => (format!("{person}@corp.example"), "it-help", subject, ""),
        2 => (format!("{person}@partner.example"), "people", subject, ""),
        3 => (format!("{person}@acme.co"), "it-help", subject, ""),
        4 => {
            let domain = format!("d{}.example", n % 40);
            (format!("{person}@{domain}"), "it-help", subject, "")
        }
        _ => (
            "news@weekly.example".to_owned(),
            "it-help",
            format!("Your digest {n}"),
            "List-Id: <digest.weekly.example>\r\n",
        ),
    }
}

fn fill(harness: &Harness) {
    let mut client = Smtp::connect(harness.smtp).expect("an answer");
    for n in 0..MESSAGES {
        if n % 50 == 49 {
            client = Smtp::connect(harness.smtp).expect("an answer");
        }
        let (from, portal, subject, fields) = message(n);
        let to = format!("{portal}@corp.example");
        let mut raw = String::new();
        write!(
            raw,
            "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{n}@client.example>\r\n\
             {fields}\r\nThe text of {n}.\r\n"
        )
        .expect("a text");
        let reply = client.send(&from, &to, raw.as_bytes()).expect("an answer");
        assert!(reply.starts_with("250"), "{reply}");
    }
    // The last message can be identified by all its words.
    let raw = "From: Zoe Quist <zoe.quist@corp.example>\r\nTo: it-help@corp.example\r\n\
               Subject: Elevator music\r\nMessage-ID: <zoe@client.example>\r\n\r\nToo loud.\r\n";
    let reply = client.send(
        "zoe.quist@corp.example",
        "it-help@corp.example",
        raw.as_bytes(),
    );
    assert!(reply.expect("an answer").starts_with("250"));
}

/// A question: it begins on the overview and counts the clicks.
struct OperatorQuestion<'a> {
    browser: &'a Browser,
    name: &'static str,
    clicks: usize,
}

impl OperatorQuestion<'_> {
    async fn click(&mut self, css: &str) {
        self.clicks += 1;
        assert!(self.clicks <= MAX_CLICKS, "{}: too many clicks", self.name);
        self.browser.follow(css).await;
    }

    async fn search(&mut self, words: &str) {
        self.browser.fill("#find", words).await;
        self.click("header .find button").await;
    }

    /// The text of the first row of the list.
    async fn first_row(&self) -> String {
        let row = self.browser.find("main tbody tr").await;
        row.text().await.expect("a text")
    }
}

#[tokio::test]
async fn ten_questions_take_three_clicks_at_most() {
    let harness = HelpDesk::harness("");
    fill(&harness);
    wait_for("an index of all", || {
        let found = harness.command(&["find", "elevator", "--json"]).output();
        found.expect("it runs").status.success().then_some(())
    });
    wait_for("a destination that is down", || {
        let queues = harness.json(&["deliveries", "list"]);
        queues
            .iter()
            .any(|queue| queue["state"] == "down")
            .then_some(())
    });
    let browser = Browser::start(Setup::default()).await;
    let home = format!("http://{}/", harness.admin);
    browser.open(&home).await;
    browser.fill("#name", "olga").await;
    browser.fill("#password", PASSWORD).await;
    browser.press("main button").await;
    browser.see("olga, admin").await;
    let begin = async |name| {
        browser.open(&home).await;
        browser.see("Messages by verdict").await;
        OperatorQuestion {
            browser: &browser,
            name,
            clicks: 0,
        }
    };

    let mut ask = begin("Where is the message of Zoe about the elevator, and why?").await;
    ask.search("elevator quist").await;
    ask.click("main tbody a").await;
    browser.see("Too loud.").await;
    browser.see("approved domain").await;

    let mut ask = begin("Who has waited the longest for the verification?").await;
    ask.click("a[href='/requests?state=held']").await;
    ask.click("th a[title='Oldest first']").await;
    assert!(
        ask.first_row().await.contains("(0)"),
        "{}",
        ask.first_row().await
    );

    let mut ask = begin("Which domain is kept out the most?").await;
    ask.click("nav a[href='/dropped']").await;
    assert!(
        ask.first_row().await.contains("acme.co"),
        "{}",
        ask.first_row().await
    );

    let mut ask = begin("What came from that domain?").await;
    ask.search("@acme.co").await;
    assert_eq!(browser.find_all("main tbody tr").await.len(), 50);
    assert!(ask.first_row().await.contains("@acme.co"));

    let mut ask = begin("Does each help desk take its requests, and what is wrong?").await;
    browser.see("he destination “hr-system”").await;
    ask.click("#down a").await;
    browser.see("hr-system").await;
    browser.see("Connection refused").await;
    let links = "return document.querySelectorAll('#down a').length";
    assert_eq!(browser.run(links).await, 0, "no link leads to its own page");

    let mut ask = begin("Why was this newsletter dropped, and by which header field?").await;
    ask.search("digest").await;
    ask.click("main tbody a").await;
    browser.see("digest.weekly.example").await;

    let mut ask = begin("What do we know about Carla Baker?").await;
    ask.search("carla.baker@corp").await;
    ask.click("main .hits a").await;
    browser.see("Verify by hand").await;

    let mut ask = begin("Can this one message of a stranger go to the help desk?").await;
    ask.search("d4.example").await;
    ask.click("main tbody a").await;
    browser.see("Release this message").await;

    let mut ask = begin("How many were dropped as newsletters in these two weeks?").await;
    ask.click("a[href*='reason=bulk']").await;
    assert!(ask.first_row().await.contains("weekly.example"));

    let mut ask = begin("Who logged in today?").await;
    ask.click("nav a[href='/audit']").await;
    assert!(
        ask.first_row().await.contains("olga"),
        "{}",
        ask.first_row().await
    );
}
