//! A customer who wants no mail: their page warns before an operator sends them one.

use crate::axe::{self, Asked};
use crate::browser::{Browser, Setup};
use crate::help_desk::{HelpDesk, PASSWORD};
use crate::support::client::send;

#[tokio::test]
async fn the_page_of_a_customer_who_wants_no_mail_warns_before_it_sends_one() {
    let harness = HelpDesk::harness("");
    send(harness.smtp, "anna@corp.example", "Not mine");
    let link = harness.link_for("anna@corp.example");
    let browser = Browser::start(Setup::default()).await;
    browser.run_first(&axe::source()).await;
    browser
        .open(&format!("http://{}{link}", harness.http))
        .await;
    browser.press("button[value=ask-not-me]").await;
    browser.press("button[value=not-me]").await;
    browser.find("button[value=take-back]").await;

    let page = format!("http://{}/customers/anna@corp.example", harness.admin);
    browser.open(&page).await;
    browser.fill("#name", "olga").await;
    browser.fill("#password", PASSWORD).await;
    browser.press("main button").await;
    browser.see("No mail until").await;
    browser.see("the person said “This was not me”").await;
    let ask = "Send the verification mail anyway";
    browser.see(ask).await;
    let warning = "Send it only if they told you, not by mail";
    assert!(!browser.text().await.contains(warning), "it is folded");
    let others = "return document.querySelectorAll('button[value=resend]:not(#resend)').length";
    assert_eq!(
        browser.run(others).await,
        0,
        "no button sends without the warning"
    );
    let fold = "details.action:has(#resend) summary";
    browser.press(fold).await;
    browser.see(warning).await;
    for width in [390, 1280] {
        browser.dress(width, "light").await;
        let wrong = axe::violations(&browser, Asked::Everything).await;
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    if let Some(folder) = std::env::var_os("SCREENSHOTS_OF_ALL_LOOKS") {
        let path = std::path::Path::new(&folder).join("customer-quiet-1280-light.png");
        std::fs::write(path, browser.picture().await).expect("a picture");
    }
    browser.press("#resend").await;
    browser.see("A new verification mail is sent").await;
    assert!(!browser.text().await.contains("No mail until"));
    // The limits apply: the first was sent a moment ago.
    let waiting = harness.json(&["customers", "mail", "--account", "anna@corp.example"]);
    assert_eq!(waiting.len(), 1, "{waiting:?}");
}
