//! Routes of dropped messages: explanation, recovery and release.

use super::*;

#[tokio::test]
async fn a_dropped_message_is_explained_and_recovered() {
    let harness = Harness::open().await;
    let admin = token(&harness, Role::Admin).await;
    let one = harness.mail("eve@elsewhere.example", "one").await.ledger;
    let two = harness.mail("eve@elsewhere.example", "two").await.ledger;
    let listed = get(&harness, &admin, "/dropped?reason=domain_not_allowed").await;
    let listed = object(&listed, StatusCode::OK);
    assert_eq!(listed["items"][0]["ledger"], two.to_string());
    assert_eq!(listed["items"][0]["recoverable"], true);
    let ranked = object(
        &get(&harness, &admin, "/dropped/domains").await,
        StatusCode::OK,
    );
    assert_eq!(ranked["items"][0]["domain"], "elsewhere.example");
    assert_eq!(ranked["items"][0]["messages"], 2);
    assert_eq!(ranked["next"], Value::Null);
    let rest = get(
        &harness,
        &admin,
        "/dropped/domains?after=2-elsewhere.example",
    )
    .await;
    assert_eq!(object(&rest, StatusCode::OK)["items"], json!([]));

    let path = format!("/dropped/{one}/recover");
    let still = object(
        &post(&harness, &admin, &path, Value::Null).await,
        StatusCode::OK,
    );
    assert_eq!(
        (&still["verdict"], &still["request"]),
        (&json!("dropped"), &Value::Null)
    );
    let allow = json!({"domains": ["elsewhere.example"]});
    assert_eq!(
        post(&harness, &admin, "/access/allow", allow).await.status,
        StatusCode::OK
    );
    let back = object(
        &post(&harness, &admin, &path, Value::Null).await,
        StatusCode::OK,
    );
    assert_eq!(back["request"], one.to_string());
    let all = json!({"domain": "elsewhere.example"});
    let all = object(
        &post(&harness, &admin, "/dropped/recover", all).await,
        StatusCode::OK,
    );
    assert_eq!((&all["recovered"], &all["left"]), (&json!(1), &json!(0)));
    let some = json!({"entries": [two.to_string()]});
    let some = object(
        &post(&harness, &admin, "/dropped/recover", some).await,
        StatusCode::OK,
    );
    assert_eq!(some["items"][0]["problem"]["status"], 409);

    let by_id = get(&harness, &admin, &format!("/ledger/{one}")).await;
    let by_id = object(&by_id, StatusCode::OK);
    assert_eq!(by_id["verdict"], "accepted");
    assert!(
        by_id["rules"]
            .as_array()
            .is_some_and(|rules| rules.len() > 5)
    );
    assert!(by_id["events"].as_array().is_some_and(|events| {
        events
            .iter()
            .any(|event| event["event"] == "request.recovered")
    }));
    let message_id = by_id["facts"]["message_id"].as_str();
    let mut questions = vec![one.to_string(), "eve@elsewhere.example".to_owned()];
    questions.extend(message_id.map(|id| format!("%3C{id}%3E")));
    for what in questions {
        let found = get(&harness, &admin, &format!("/explain?of={what}")).await;
        let found = object(&found, StatusCode::OK);
        let items = found["items"].as_array().expect("items");
        assert!(items.contains(&by_id), "{what}");
    }
    let by_sender = get(
        &harness,
        &admin,
        "/ledger?sender=eve@elsewhere.example&limit=1",
    )
    .await;
    let by_sender = object(&by_sender, StatusCode::OK);
    assert_eq!(by_sender["items"][0]["ledger"], two.to_string());
    assert!(by_sender["next"].is_string());
    while harness
        .store
        .index_entries(100)
        .await
        .expect("indexed")
        .more
    {}
    let found = get(&harness, &admin, "/find?q=TWO%20eve%40else").await;
    let found = object(&found, StatusCode::OK);
    assert_eq!(found["items"][0]["ledger"], two.to_string());
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["customers"], json!([]));
    let eve = get(&harness, &admin, "/customers/eve@elsewhere.example").await;
    let eve = object(&eve, StatusCode::OK);
    let first = get(&harness, &admin, "/find?q=eve%40else&limit=1").await;
    let first = object(&first, StatusCode::OK);
    assert_eq!(first["items"][0]["ledger"], two.to_string());
    assert_eq!(first["customers"], json!([eve]));
    let next = first["next"].as_str().expect("more");
    let rest = format!("/find?q=eve%40else&limit=1&after={next}");
    let rest = object(&get(&harness, &admin, &rest).await, StatusCode::OK);
    assert_eq!(rest["items"][0]["ledger"], one.to_string());
    assert_eq!(rest["customers"], json!([]));
    let none = get(&harness, &admin, "/find?q=two&until=2020-01-01T00:00:00Z").await;
    let none = object(&none, StatusCode::OK);
    assert_eq!(none["items"].as_array().map(Vec::len), Some(0));
    let raw = get(&harness, &admin, &format!("/ledger/{one}/raw")).await;
    assert!(raw.body.starts_with("From: eve@elsewhere.example"));
    let drops = object(
        &get(&harness, &admin, "/stats?since=1h&portal=it").await,
        StatusCode::OK,
    );
    assert_eq!(drops["messages"], 2);
    for path in ["/dropped", "/dropped/domains", "/ledger"] {
        let by_age = get(&harness, &admin, &format!("{path}?since=1d")).await;
        let since = format!("{path}?since=2000-01-01T00:00:00Z");
        let since = get(&harness, &admin, &since).await;
        let items = object(&since, StatusCode::OK)["items"].clone();
        assert_eq!(object(&by_age, StatusCode::OK)["items"], items, "{path}");
    }
    for (since, messages) in [("2000-01-01T00:00:00Z", 2), ("2100-01-01T00:00:00Z", 0)] {
        let counts = get(&harness, &admin, &format!("/stats?since={since}")).await;
        assert_eq!(object(&counts, StatusCode::OK)["messages"], messages);
    }
}

#[tokio::test]
async fn a_dropped_message_is_released_whatever_the_reason() {
    let harness = Harness::open().await;
    let agent = token(&harness, Role::Agent).await;
    let one = harness.mail("eve@elsewhere.example", "one").await.ledger;
    let two = harness.mail("eve@elsewhere.example", "two").await.ledger;
    let path = format!("/dropped/{one}/recover");
    let still = object(
        &post(&harness, &agent, &path, Value::Null).await,
        StatusCode::OK,
    );
    assert_eq!(
        still["evidence"],
        "elsewhere.example is not in external.allowed_domains"
    );
    for (body, status, kind) in [
        (
            json!({"force": true, "as": "bob@x.example"}),
            StatusCode::CONFLICT,
            "not-possible",
        ),
        (
            json!({"as": "bob@x.example"}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "refused",
        ),
        (
            json!({"force": true, "as": "bob@x.example\r\nX-A: b"}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "refused",
        ),
        (json!({"force": 1}), StatusCode::BAD_REQUEST, "malformed"),
    ] {
        let answer = post(&harness, &agent, &path, body.clone()).await;
        is_problem(&answer, status, kind, &body.to_string());
    }
    let viewer = token(&harness, Role::Viewer).await;
    let force = json!({"force": true});
    let refused = post(&harness, &viewer, &path, force.clone()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let released = object(
        &post(&harness, &agent, &path, force.clone()).await,
        StatusCode::OK,
    );
    assert_eq!(
        (
            &released["request"],
            &released["forced"],
            &released["verdict"]
        ),
        (&json!(one.to_string()), &json!(true), &json!("dropped"))
    );
    let again = post(&harness, &agent, &path, force).await;
    assert!(
        again.body.contains("was already released"),
        "{}",
        again.body
    );
    let many = json!({"entries": [one.to_string(), two.to_string()], "force": true});
    let many = object(
        &post(&harness, &agent, "/dropped/recover", many).await,
        StatusCode::OK,
    );
    assert_eq!((&many["recovered"], &many["left"]), (&json!(1), &json!(1)));
    let all = json!({"domain": "elsewhere.example", "force": true});
    let refused = post(&harness, &agent, "/dropped/recover", all).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let listed = object(&get(&harness, &agent, "/dropped").await, StatusCode::OK);
    assert_eq!(listed["items"][0]["recoverable"], false);
    assert_eq!(listed["items"][0]["request"], two.to_string());
}
