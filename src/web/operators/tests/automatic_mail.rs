//! The button on the page of a customer that accepts their automatic mail.

use axum::http::header::LOCATION;

use super::*;
use crate::domain::{EmailAddress, Reason};
use crate::mail::Evidence;

/// Accepts a message to the IT portal that a program sent from Ann's address. Returns the reason of its verdict.
async fn report(harness: &Harness, subject: &str) -> Reason {
    let mut facts = sample::facts("ann@corp.example", subject);
    facts.automatic = Some(Evidence {
        field: "Auto-Submitted".to_owned(),
        value: "auto-generated".to_owned(),
    });
    let arrival = Arrival {
        facts,
        raw: b"Auto-Submitted: auto-generated\r\n\r\nThe disk is full.\r\n".to_vec(),
        parts: vec![ArrivalPart::Portal {
            recipient: "it-help@corp.example".to_owned(),
            circumstances: sample::circumstances(),
        }],
        ..sample::arrival(&harness.config)
    };
    let mut entries = harness.store.accept(arrival).await.expect("accepted");
    entries.remove(0).reason
}

#[tokio::test]
async fn automatic_mail_of_an_active_customer_is_accepted_by_a_button_and_dropped_by_another() {
    let harness = Harness::open().await;
    let agent = harness.session(Role::Agent).await;
    let viewer = harness.session(Role::Viewer).await;
    let path = "/customers/ann@corp.example";
    harness.mail("ann@corp.example", "one").await;
    let offers = async |session: &Session| {
        let page = harness.get(session, path).await.body;
        ["take-automatic", "drop-automatic"]
            .map(|action| page.contains(&format!("value=\"{action}\"")))
    };
    let act = async |action| harness.post(&agent, path, &[("action", action)]).await;
    // The setting counts only while the account is active.
    assert_eq!(offers(&agent).await, [false, false]);
    act("verify").await;
    assert_eq!(offers(&agent).await, [true, false]);
    assert_eq!(offers(&viewer).await, [false, false]);
    assert_eq!(report(&harness, "two").await, Reason::Automatic);

    let done = act("take-automatic").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let place = done.headers[LOCATION].to_str().expect("text").to_owned();
    let page = harness.get(&agent, &place).await.body;
    for text in [
        "is accepted from now on",
        "<dt>Automatic mail</dt>",
        "vestibule customers drop-automatic ann@corp.example",
        "account.takes_automatic",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert_eq!(offers(&agent).await, [false, true]);
    assert_eq!(report(&harness, "three").await, Reason::AccountActive);
    act("block").await;
    assert_eq!(offers(&agent).await, [false, true]);

    let done = act("drop-automatic").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    assert_eq!(offers(&agent).await, [false, false]);
    act("unblock").await;
    assert_eq!(offers(&agent).await, [true, false]);
    assert_eq!(report(&harness, "four").await, Reason::Automatic);
}

#[tokio::test]
async fn a_viewer_cannot_accept_automatic_mail() {
    let harness = Harness::open().await;
    let viewer = harness.session(Role::Viewer).await;
    harness.mail("ann@corp.example", "one").await;
    let path = "/customers/ann@corp.example";
    let action = [("action", "take-automatic")];
    let refused = harness.post(&viewer, path, &action).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
    let address = EmailAddress::parse("ann@corp.example").expect("an address");
    let ann = harness.store.customer(&address).await.expect("read");
    assert!(!ann.expect("an account").takes_automatic);
}
