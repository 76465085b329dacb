//! The page of a message to an address of our own: an operator recovers or releases it for a portal that they name.

use axum::http::header::LOCATION;

use super::*;
use crate::domain::canary;
use crate::mail::ListAuthor;

#[tokio::test]
async fn an_answer_to_a_verification_mail_is_recovered_for_the_portal_that_the_operator_names() {
    let harness = Harness::with(sample::config("\n[canary]\ninterval = \"1h\"\n")).await;
    let agent = harness.session(Role::Agent).await;
    let facts = sample::facts("ann@corp.example", "Re: your request");
    let path = format!("/messages/{}", harness.answer(facts).await.ledger);
    let page = harness.get(&agent, &path).await.body;
    for text in [
        "My screen is black.",
        // The operator has to choose.
        "id=\"portal-release\" name=\"portal\" required><option value=\"\">",
        "id=\"portal-recover\" name=\"portal\" required><option value=\"\">",
        "<option value=\"it\">",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("name=\"as\""), "{page}");
    let recover = async |portal: &[(&str, &str)]| {
        let fields = [&[("action", "recover")], portal].concat();
        harness.post(&agent, &path, &fields).await
    };
    for portal in [
        &[][..],
        &[("portal", "")],
        &[("portal", "nowhere")],
        &[("portal", "no name")],
        &[("portal", canary::NAME)],
    ] {
        let refused = recover(portal).await;
        assert!(refused.status.is_client_error(), "{portal:?}");
    }
    let done = recover(&[("portal", "it")]).await;
    let back = format!("{path}?done=recovered");
    assert_eq!(done.headers[LOCATION], back, "{}", done.body);
    assert_eq!(harness.states().await, [RequestState::Held]);
    let page = harness.get(&agent, &path).await.body;
    assert!(!page.contains("id=\"portal-release\""), "{page}");
    assert!(page.contains("Rule 14 decided"), "{page}");
}

#[tokio::test]
async fn a_message_from_an_address_of_ours_is_released_for_a_named_sender_and_portal() {
    let harness = Harness::open().await;
    let agent = harness.session(Role::Agent).await;
    let facts = sample::facts("it-help@corp.example", "Fwd: my screen");
    let path = format!("/messages/{}", harness.answer(facts).await.ledger);
    let page = harness.get(&agent, &path).await.body;
    let field = "name=\"as\" type=\"email\" maxlength=\"320\" autocomplete=\"off\" required>";
    assert!(page.contains(field), "{page}");

    let portal = ("portal", "it");
    let unnamed = [("action", "release"), portal];
    let refused = harness.post(&agent, &path, &unnamed).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    let named = [("action", "release"), portal, ("as", "ann@corp.example")];
    let done = harness.post(&agent, &path, &named).await;
    let back = format!("{path}?done=released");
    assert_eq!(done.headers[LOCATION], back, "{}", done.body);
    assert_eq!(harness.states().await, [RequestState::Released]);

    let page = harness.get(&agent, &path).await.body;
    for text in [
        "Dropped, because it answers a verification mail",
        "the operator named its sender and the portal it; it came for confirm@corp.example",
        "<dt>Envelope to</dt><dd><code>confirm@corp.example</code></dd>",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("id=\"decided\""), "no rule decided: {page}");
}

#[tokio::test]
async fn the_sender_may_be_named_if_the_portal_decides_who_it_is() {
    let harness = Harness::open().await;
    let agent = harness.session(Role::Agent).await;
    let mut facts = sample::facts("it@groups.example", "Re: your request");
    facts.author_behind_list = Some(ListAuthor {
        list: "it.groups.example".to_owned(),
        author: sample::facts("ann@corp.example", "").sender,
        field: "X-Original-From".to_owned(),
    });
    let path = format!("/messages/{}", harness.answer(facts).await.ledger);
    let page = harness.get(&agent, &path).await.body;
    let field = "name=\"as\" type=\"email\" maxlength=\"320\" autocomplete=\"off\">";
    assert!(page.contains(field), "{page}");
    // No portal has this list, so its address is the sender.
    let fields = [("action", "release"), ("portal", "it")];
    let done = harness.post(&agent, &path, &fields).await;
    let back = format!("{path}?done=released");
    assert_eq!(done.headers[LOCATION], back, "{}", done.body);
}

#[tokio::test]
async fn a_page_promises_to_decide_again_only_about_a_message_to_a_portal() {
    let harness = Harness::open().await;
    let agent = harness.session(Role::Agent).await;
    let ann = "ann@corp.example";
    let held = harness.mail(ann, "one").await;
    let path = format!("/messages/{}", held.ledger);
    let blocked = harness.post(&agent, &path, &[("action", "block")]).await;
    assert_eq!(blocked.headers[LOCATION], format!("{path}?done=blocked"));
    let dropped = harness.mail(ann, "two").await;
    let answer = harness.answer(sample::facts(ann, "Re: one")).await;
    for (entry, hint) in [
        (
            dropped,
            "ann@corp.example is unblocked, and this message is decided again.",
        ),
        (
            answer,
            "ann@corp.example is unblocked. This message stays as it is; you can release it, or \
             decide again for a portal.",
        ),
        (held, "ann@corp.example is unblocked.</p>"),
    ] {
        let path = format!("/messages/{}", entry.ledger);
        let page = harness.get(&agent, &path).await.body;
        assert!(page.contains(hint), "{hint}: {page}");
    }
}
