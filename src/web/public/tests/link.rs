//! The link: opening it changes nothing, the button releases, pressing it twice is harmless.

use std::time::Duration;

use super::*;
use crate::domain::{AccountStatus, Actor, Interface, VerificationMethod};
use crate::store::{Choice, VerificationOutcome};

#[tokio::test]
async fn looking_changes_nothing_and_the_button_releases_once() {
    let harness = Harness::open().await;
    let first = harness.mail("ann@corp.example", "Printer <b>on fire").await;
    let held = first.request.expect("held");
    let link = harness.link().await;
    for _ in 0..3 {
        let page = harness.get(&link).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("ann@corp.example"));
        assert!(page.body.contains("Printer &lt;b&gt;on fire"));
        assert!(page.body.contains(&format!(
            r#"<input type="checkbox" name="request" value="{held}" checked>"#
        )));
        harness.ask(Method::HEAD, &link).await;
        assert_eq!(harness.state(held).await, "held");
    }
    let form = format!("request={held}&shown={held}&action=confirm");
    let pressed = harness.post(&link, &form).await;
    assert_eq!(pressed.status, StatusCode::OK);
    assert!(pressed.body.contains("Your address is confirmed."));
    assert!(pressed.body.contains("Printer &lt;b&gt;on fire"));
    assert!(pressed.body.contains(r#"href="https://desk.corp.example""#));
    assert_eq!(harness.state(held).await, "released");
    for again in [harness.post(&link, &form).await, harness.get(&link).await] {
        assert_eq!(again.status, StatusCode::OK);
        assert!(again.body.contains("already confirmed"), "{}", again.body);
        assert!(!again.body.contains("From now on"), "{}", again.body);
    }
}

/// Three requests, two of which the page showed. For each form: the states of the two shown requests and of
/// the later one.
#[tokio::test]
async fn only_what_was_shown_can_be_left_out() {
    for (form, expected) in [
        (
            "shown=1&shown=2&request=1&request=2",
            ["released", "released", "released"],
        ),
        (
            "shown=1&shown=2&request=1",
            ["released", "discarded", "released"],
        ),
        ("shown=1&shown=2", ["discarded", "discarded", "released"]),
        ("request=1", ["released", "discarded", "discarded"]),
        (
            "request=1&request=2&request=3",
            ["released", "released", "released"],
        ),
        ("", ["released", "released", "released"]),
    ] {
        let harness = Harness::open().await;
        let mut ids = Vec::new();
        for subject in ["one", "two", "three"] {
            let entry = harness.mail("ann@corp.example", subject).await;
            ids.push(entry.request.expect("held"));
        }
        let link = harness.link().await;
        let mut filled = format!("{form}&action=confirm");
        for (number, id) in ids.iter().enumerate() {
            filled = filled.replace(&format!("={}", number + 1), &format!("={id}"));
        }
        let answer = harness.post(&link, &filled).await;
        assert_eq!(answer.status, StatusCode::OK, "{form}: {}", answer.body);
        let mut states = Vec::new();
        for id in ids {
            states.push(harness.state(id).await);
        }
        assert_eq!(states, expected, "{form}");
    }
}

#[tokio::test]
async fn the_requests_of_another_person_cannot_be_named() {
    let harness = Harness::open().await;
    harness.mail("ann@corp.example", "hers").await;
    let link = harness.link().await;
    let other = harness.mail("bob@corp.example", "his").await;
    let his = other.request.expect("held");
    for form in [
        format!("action=confirm&shown={his}"),
        format!("action=confirm&request={his}&shown={his}"),
    ] {
        harness.post(&link, &form).await;
        assert_eq!(harness.state(his).await, "held");
    }
}

#[tokio::test]
async fn refusing_discards_everything_and_is_remembered() {
    let harness = Harness::open().await;
    let entry = harness.mail("ann@corp.example", "forged").await;
    let held = entry.request.expect("held");
    let link = harness.link().await;
    let pressed = harness
        .post(&link, &format!("request={held}&action=not-me"))
        .await;
    assert_eq!(pressed.status, StatusCode::OK);
    assert!(pressed.body.contains("Nothing was passed on"));
    assert_eq!(harness.state(held).await, "discarded");
    let again = harness.post(&link, "action=not-me").await;
    assert_eq!(again.status, StatusCode::OK);
    harness.post(&link, "action=confirm").await;
    assert_eq!(harness.state(held).await, "discarded");
}

#[tokio::test]
async fn this_was_not_me_asks_once_more_with_the_number_of_messages() {
    let harness = Harness::open().await;
    let first = harness.mail("ann@corp.example", "one").await;
    harness.mail("ann@corp.example", "two").await;
    let link = harness.link().await;
    let page = harness.get(&link).await.body;
    assert!(page.contains(r#"value="ask-not-me""#), "{page}");
    assert!(page.contains("Confirm and send"), "{page}");
    let asked = harness.post(&link, "action=ask-not-me").await;
    assert_eq!(asked.status, StatusCode::OK);
    for part in [
        "2 waiting messages will be discarded.",
        r#"value="not-me""#,
        "ann@corp.example",
    ] {
        assert!(asked.body.contains(part), "{part}: {}", asked.body);
    }
    let held = first.request.expect("held");
    assert_eq!(harness.state(held).await, "held");
    let refused = harness.post(&link, "action=not-me").await.body;
    assert_eq!(harness.state(held).await, "discarded");
    assert!(
        refused.contains("nobody can pass on the discarded messages"),
        "{refused}"
    );
}

fn operator() -> Actor {
    Actor::operator("root", Interface::CommandLine)
}

/// An operator's verification does not end the person's choice: the page still offers the refused messages, held ones
/// and those that the quota dropped, and releases those that are ticked.
#[tokio::test]
async fn refused_messages_are_released_with_the_link_of_a_verified_address() {
    let mut config = sample::config("");
    config.quota.requests = 1;
    let harness = Harness::with(config).await;
    let held = harness.mail("ann@corp.example", "mine").await;
    let (account, _) = held.account.expect("an account");
    let held = held.request.expect("held");
    let dropped = harness.mail("ann@corp.example", "forged").await;
    let dropped = RequestId::from_bytes(dropped.ledger.to_bytes());
    let link = harness.link().await;
    let asked = harness.post(&link, "action=ask-not-me").await.body;
    assert!(
        asked.contains("2 waiting messages will be discarded."),
        "{asked}"
    );
    harness.post(&link, "action=not-me").await;
    let by = VerificationMethod::Operator(operator());
    let now = Timestamp::now();
    let verified = harness
        .store
        .verify_account(by, Some(account), Choice::All, now);
    let verified = verified.await.expect("verified");
    assert!(
        matches!(&verified, VerificationOutcome::Verified { released, .. } if released.is_empty()),
        "{verified:?}"
    );
    let taken_back = harness.post(&link, "action=take-back").await.body;
    for page in [taken_back, harness.get(&link).await.body] {
        assert!(page.contains("already confirmed"), "{page}");
        for id in [held, dropped] {
            let unticked = format!(r#"<input type="checkbox" name="request" value="{id}">"#);
            assert!(page.contains(&unticked), "{page}");
        }
    }
    let none = format!("shown={held}&shown={dropped}&action=confirm");
    harness.post(&link, &none).await;
    assert_eq!(harness.state(held).await, "discarded");
    let form = format!("{none}&request={held}");
    let released = harness.post(&link, &form).await.body;
    assert_eq!(harness.state(held).await, "released");
    assert!(
        released.contains("This message is being passed on now") && released.contains("mine"),
        "{released}"
    );
    let others = harness.get(&link).await.body;
    assert!(others.contains(&dropped.to_string()), "{others}");
    assert!(!others.contains(&held.to_string()), "{others}");
    let form = format!("shown={dropped}&request={dropped}&action=confirm");
    harness.post(&link, &form).await;
    assert_eq!(harness.state(dropped).await, "released");
    let page = harness.get(&link).await.body;
    assert!(!page.contains("checkbox"), "{page}");
}

#[tokio::test]
async fn the_page_of_a_refusal_admits_that_other_mail_was_passed_on() {
    let harness = Harness::open().await;
    let entry = harness.mail("ann@corp.example", "forged").await;
    let held = entry.request.expect("held");
    let link = harness.link().await;
    harness.post(&link, "action=not-me").await;
    let later = harness.mail("ann@corp.example", "later").await;
    let later = later.request.expect("held");
    let released = harness
        .store
        .release_request(later, operator(), Timestamp::now());
    released.await.expect("released");
    let page = harness.get(&link).await.body;
    assert!(!page.contains("Nothing was passed on"), "{page}");
    assert!(
        page.contains("Mail from this address has been or is being passed on to IT Help.")
            && page.contains("please contact it-office@corp.example"),
        "{page}"
    );
    assert_eq!(harness.state(held).await, "discarded");
}

#[tokio::test]
async fn this_was_not_me_after_a_confirmation_says_that_it_was_confirmed() {
    let harness = Harness::open().await;
    harness.mail("ann@corp.example", "forged").await;
    let link = harness.link().await;
    harness.post(&link, "action=confirm").await;
    for _ in 0..2 {
        let opened = harness.get(&link).await.body;
        assert!(
            opened.contains(r#"name="action" value="not-me""#),
            "{opened}"
        );
        let pressed = harness.post(&link, "action=not-me").await;
        assert_eq!(pressed.status, StatusCode::OK);
        assert!(!pressed.body.contains("nothing more to do"));
        assert!(
            pressed
                .body
                .contains("ann@corp.example was confirmed before")
        );
        assert!(
            pressed
                .body
                .contains("please contact it-office@corp.example")
        );
    }
    let ann = EmailAddress::parse("ann@corp.example").expect("an address");
    let account = harness.store.customer(&ann).await.expect("read");
    assert_eq!(account.expect("an account").status, AccountStatus::Active);
}

#[tokio::test]
async fn an_unknown_link_says_only_that_it_is_not_valid() {
    let harness = Harness::open().await;
    let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    for path in [
        format!("/verify/{}", token.reveal()),
        "/verify/x".to_owned(),
    ] {
        for answer in [
            harness.get(&path).await,
            harness.post(&path, "action=confirm").await,
            harness.post(&path, "action=not-me").await,
        ] {
            assert_eq!(answer.status, StatusCode::NOT_FOUND);
            assert!(answer.body.contains("This link is not valid"));
        }
    }
}

#[tokio::test]
async fn an_expired_link_offers_a_new_one_and_releases_nothing() {
    let harness = Harness::open().await;
    let entry = harness.mail("ann@corp.example", "one").await;
    let held = entry.request.expect("held");
    let (_, token) = harness
        .mail_valid_for(Duration::ZERO)
        .await
        .expect("a verification mail is due");
    let link = format!("/verify/{}", token.reveal());
    for answer in [
        harness.get(&link).await,
        harness.post(&link, "action=confirm").await,
        harness.post(&link, "action=not-me").await,
    ] {
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body.contains("This link has expired"));
        // The messages may expire before the new link is asked for.
        assert!(!answer.body.contains("kept"), "{}", answer.body);
        assert!(answer.body.contains("shows what is still waiting"));
        assert!(answer.body.contains(&format!(
            r#"<input type="hidden" name="token" value="{}">"#,
            token.reveal()
        )));
        assert_eq!(harness.state(held).await, "held");
    }
    let expired = harness
        .post("/resend", &format!("token={}", token.reveal()))
        .await;
    let other = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    let unknown = harness
        .post("/resend", &format!("token={}", other.reveal()))
        .await;
    assert_eq!(expired.status, StatusCode::OK);
    assert_eq!(expired.body, unknown.body);
}

/// Requests that the quota dropped are offered unticked, unless a domain vouches for them, and are recovered
/// when they are ticked.
#[tokio::test]
async fn messages_over_the_quota_are_recovered_when_ticked() {
    let mut config = sample::config("");
    config.quota.requests = 1;
    let harness = Harness::with(config).await;
    let held = harness.mail("ann@corp.example", "held").await;
    let held = held.request.expect("held");
    let dropped = harness.mail("ann@corp.example", "dropped <i>one</i>").await;
    assert_eq!(dropped.request, None);
    let foreign = harness.mail("bea@corp.example", "foreign").await;
    let foreign = foreign.request.expect("held");
    let link = harness.link_of("ann@corp.example").await;
    let offered = RequestId::from_bytes(dropped.ledger.to_bytes());
    let page = harness.get(&link).await.body;
    assert!(
        page.contains(&format!(
            r#"<input type="checkbox" name="request" value="{offered}">"#
        )),
        "{page}"
    );
    assert!(page.contains("dropped &lt;i&gt;one"), "{page}");
    let form = format!(
        "shown={held}&shown={offered}&request={held}&request={offered}&request={foreign}&action=confirm"
    );
    for _ in 0..2 {
        let answer = harness.post(&link, &form).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(harness.state(held).await, "released");
        assert_eq!(harness.state(offered).await, "released");
        assert_eq!(harness.state(foreign).await, "held");
    }
}

#[tokio::test]
async fn undoing_an_objection_says_what_waits_again() {
    let harness = Harness::open().await;
    harness
        .post("/signup", "email=ann@corp.example&portal=it")
        .await;
    harness.wait_for_background_tasks().await;
    let link = harness.link().await;
    harness.post(&link, "action=not-me").await;
    let undone = harness.post(&link, "action=take-back").await.body;
    assert!(undone.contains("was undone."), "{undone}");
    assert!(!undone.contains("waiting for you again"), "{undone}");

    let entry = harness.mail("ann@corp.example", "mine").await;
    harness.post(&link, "action=not-me").await;
    let undone = harness.post(&link, "action=take-back").await.body;
    assert_eq!(harness.state(entry.request.expect("held")).await, "held");
    assert!(undone.contains("waiting for you again"), "{undone}");
}
