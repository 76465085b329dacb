//! Messages to addresses of our own, which are recovered for a portal that the caller names.

use super::*;
use crate::domain::canary;
use crate::verification::tests::sample;

#[tokio::test]
async fn messages_to_our_own_addresses_are_recovered_for_a_named_portal() {
    let harness = Harness::with(sample::config("\n[canary]\ninterval = \"1h\"\n")).await;
    let agent = token(&harness, Role::Agent).await;
    let answer = async |from: &str| {
        let facts = sample::facts(from, "Re: your request");
        harness.answer(facts).await.ledger.to_string()
    };
    let (one, two, three) = (
        answer("ann@corp.example").await,
        answer("bob@corp.example").await,
        answer("eve@elsewhere.example").await,
    );
    let of_portal = harness.mail("gil@elsewhere.example", "toner").await;
    let of_portal = of_portal.ledger.to_string();
    let listed = get(&harness, &agent, "/dropped?reason=confirmation").await;
    let listed = object(&listed, StatusCode::OK);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(3));
    assert_eq!(listed["items"][0]["portal"], Value::Null);
    assert_eq!(listed["items"][0]["recoverable"], true);

    let path = format!("/dropped/{one}/recover");
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    for (body, status, kind) in [
        (Value::Null, StatusCode::CONFLICT, "not-possible"),
        (json!({"portal": "nowhere"}), unprocessable, "refused"),
        // The canary's portal is hidden.
        (json!({"portal": canary::NAME}), unprocessable, "refused"),
    ] {
        let refused = post(&harness, &agent, &path, body.clone()).await;
        is_problem(&refused, status, kind, &body.to_string());
    }
    let held = post(&harness, &agent, &path, json!({"portal": "it"})).await;
    let held = object(&held, StatusCode::OK);
    assert_eq!(held["reason"], "internal_account_created");
    assert_eq!(held["request"], one);

    let all = json!({"domain": "corp.example", "portal": "it"});
    let refused = post(&harness, &agent, "/dropped/recover", all).await;
    is_problem(&refused, unprocessable, "refused", "a portal for a domain");
    let some = json!({"entries": [two], "portal": "it"});
    let some = post(&harness, &agent, "/dropped/recover", some).await;
    let some = object(&some, StatusCode::OK);
    assert_eq!((&some["recovered"], &some["left"]), (&json!(1), &json!(0)));
    let rest = json!({"entries": [three, of_portal], "portal": "it", "force": true});
    let rest = post(&harness, &agent, "/dropped/recover", rest).await;
    let rest = object(&rest, StatusCode::OK);
    assert_eq!((&rest["recovered"], &rest["left"]), (&json!(1), &json!(1)));
    let items = rest["items"].as_array().expect("items");
    let of_portal = items.iter().find(|item| item["ledger"] == of_portal);
    let detail = &of_portal.expect("an item")["problem"]["detail"];
    let detail = detail.as_str().unwrap_or_default();
    assert!(detail.contains("came for the portal it"), "{rest}");

    let released = get(&harness, &agent, &format!("/ledger/{three}")).await;
    let released = object(&released, StatusCode::OK);
    assert_eq!(released["reason"], "confirmation");
    assert_eq!(released["portal"], "it");
    assert_eq!(released["rules"], json!([]), "no rule decided");
}
