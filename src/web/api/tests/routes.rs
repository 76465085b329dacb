//! Routes of customers, requests, dropped messages and deliveries.

use super::*;

#[tokio::test]
async fn a_customer_is_created_shown_and_acted_on_and_the_audit_names_the_operator() {
    let harness = Harness::open().await;
    let agent = token(&harness, Role::Agent).await;
    let made = post(
        &harness,
        &agent,
        "/customers",
        json!({"address": "ann@corp.example"}),
    )
    .await;
    assert!(
        made.headers["location"]
            .to_str()
            .is_ok_and(|to| to.starts_with("/api/v1/customers/"))
    );
    let made = object(&made, StatusCode::CREATED);
    assert_eq!(
        (&made["kind"], &made["status"]),
        (&json!("internal"), &json!("pending"))
    );
    let id = made["id"].as_str().expect("an id").to_owned();
    for (act, status) in [
        ("resend", "pending"),
        ("block", "blocked"),
        ("unblock", "pending"),
        ("verify", "active"),
    ] {
        let answer = post(
            &harness,
            &agent,
            &format!("/customers/{id}/{act}"),
            Value::Null,
        )
        .await;
        assert_eq!(object(&answer, StatusCode::OK)["status"], status, "{act}");
    }
    let too_late = post(
        &harness,
        &agent,
        &format!("/customers/{id}/resend"),
        Value::Null,
    )
    .await;
    is_problem(&too_late, StatusCode::CONFLICT, "not-possible", "active");
    let shown = get(&harness, &agent, "/customers/ANN@corp.example").await;
    let shown = object(&shown, StatusCode::OK);
    assert_eq!(shown["verified_by"], "operator:the-agent");
    let listed = get(&harness, &agent, "/customers?status=active&search=ann").await;
    assert_eq!(object(&listed, StatusCode::OK)["items"][0], shown);
    let ours = post(
        &harness,
        &agent,
        "/customers",
        json!({"address": "it-help@corp.example"}),
    )
    .await;
    is_problem(&ours, StatusCode::UNPROCESSABLE_ENTITY, "refused", "ours");

    let audit = object(&get(&harness, &agent, "/audit").await, StatusCode::OK);
    let deeds: Vec<_> = audit["items"].as_array().expect("rows").iter().collect();
    let expected = [
        "account.verified",
        "account.unblocked",
        "account.blocked",
        "verification.requested",
        "account.added",
    ];
    for (action, event) in deeds.iter().zip(expected) {
        assert_eq!(action["event"], event);
        assert_eq!(action["actor"], "operator:the-agent");
        assert_eq!(action["origin"], "api");
    }
    let mut after = String::new();
    for event in expected {
        let path = format!("/audit?limit=1{after}");
        let part = object(&get(&harness, &agent, &path).await, StatusCode::OK);
        assert_eq!(part["items"].as_array().map(Vec::len), Some(1), "{part}");
        assert_eq!(part["items"][0]["event"], event);
        after = format!("&after={}", part["next"].as_str().unwrap_or_default());
    }
    for (filter, expected) in [
        ("event=account.blocked", 1),
        ("event=account.blocked&operator=the-agent", 1),
        ("event=account.blocked&operator=nobody", 0),
        ("event=account.blocked&since=2000-01-01T00:00:00Z", 1),
        ("event=account.blocked&until=2000-01-01T00:00:00Z", 0),
    ] {
        let path = format!("/audit?{filter}");
        let part = object(&get(&harness, &agent, &path).await, StatusCode::OK);
        let found = part["items"].as_array().map(Vec::len);
        assert_eq!(found, Some(expected), "{filter}: {part}");
    }
}

#[tokio::test]
async fn requests_are_listed_read_released_and_discarded_one_or_many() {
    let harness = Harness::open().await;
    let agent = token(&harness, Role::Agent).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        let entry = harness
            .mail("ann@corp.example", &format!("number {n}"))
            .await;
        ids.push(entry.ledger.to_string());
    }
    let part = get(&harness, &agent, "/requests?state=held&portal=it&limit=3").await;
    let part = object(&part, StatusCode::OK);
    assert_eq!(part["items"].as_array().map(Vec::len), Some(3));
    let next = part["next"].as_str().expect("more");
    let path = format!("/requests?state=held&account=ann@corp.example&newer_than=1d&after={next}");
    let part = object(&get(&harness, &agent, &path).await, StatusCode::OK);
    assert_eq!(part["items"][0]["subject"], "number 0");
    assert_eq!(part["next"], Value::Null);
    let none = object(
        &get(&harness, &agent, "/requests?older_than=1h").await,
        StatusCode::OK,
    );
    assert_eq!(none["items"], json!([]));

    let raw = get(&harness, &agent, &format!("/requests/{}/raw", ids[0])).await;
    assert_eq!(raw.headers[CONTENT_TYPE], "message/rfc822");
    assert!(
        raw.body.starts_with("From: ann@corp.example\r\n"),
        "{}",
        raw.body
    );

    let released = post(
        &harness,
        &agent,
        &format!("/requests/{}/release", ids[0]),
        Value::Null,
    )
    .await;
    assert_eq!(object(&released, StatusCode::OK)["state"], "released");
    let again = post(
        &harness,
        &agent,
        &format!("/requests/{}/release", ids[0]),
        Value::Null,
    )
    .await;
    is_problem(&again, StatusCode::CONFLICT, "not-possible", "again");

    let some = json!({"requests": [ids[0], ids[1], "01J9ZQ4D8N0VXB7T3WKE5M2R6C"]});
    let done = object(
        &post(&harness, &agent, "/requests/release", some).await,
        StatusCode::OK,
    );
    assert_eq!((&done["done"], &done["failed"]), (&json!(1), &json!(2)));
    assert_eq!(done["items"][0]["problem"]["status"], 409);
    assert_eq!(done["items"][1]["request"]["state"], "released");
    assert_eq!(done["items"][2]["problem"]["status"], 404);
    let rest = json!({"requests": [ids[2], ids[3]]});
    let done = object(
        &post(&harness, &agent, "/requests/discard", rest).await,
        StatusCode::OK,
    );
    assert_eq!(done["done"], 2);
    let failed = post(
        &harness,
        &agent,
        "/requests/retry",
        json!({"all_failed": true}),
    )
    .await;
    assert_eq!(object(&failed, StatusCode::OK)["items"], json!([]));
    let unclear = post(&harness, &agent, "/requests/retry", json!({})).await;
    is_problem(
        &unclear,
        StatusCode::UNPROCESSABLE_ENTITY,
        "refused",
        "unclear",
    );
    assert!(unclear.body.contains("give requests"), "{}", unclear.body);
    // The error names the field of the ids.
    let misnamed = json!({"ids": [ids[0]]});
    let misnamed = post(&harness, &agent, "/requests/release", misnamed).await;
    assert_eq!(misnamed.status, StatusCode::BAD_REQUEST);
    assert!(misnamed.body.contains("`requests`"), "{}", misnamed.body);
}

/// The cursors of the history are numbers, and documented as such.
#[tokio::test]
async fn an_invalid_cursor_is_refused_with_the_name_of_its_parameter() {
    let harness = Harness::open().await;
    let admin = token(&harness, Role::Admin).await;
    for (path, status, kind) in [
        ("/audit?after=x", 422, "refused"),
        ("/dropped?after=x", 422, "refused"),
        ("/dropped/domains?after=x", 422, "refused"),
        ("/ledger?after=x", 422, "refused"),
        ("/requests?after=x", 422, "refused"),
        ("/access/history?after=x", 400, "malformed"),
        ("/access/history?after=4294967296", 400, "malformed"),
    ] {
        let answer = get(&harness, &admin, path).await;
        let status = StatusCode::from_u16(status).expect("a status");
        is_problem(&answer, status, kind, path);
        let detail = &object(&answer, status)["detail"];
        let is_named = detail.as_str().is_some_and(|text| text.contains("after: "));
        assert!(is_named, "{path}: {detail}");
    }
}

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
}

#[tokio::test]
async fn a_destination_is_paused_and_resumed() {
    let harness = Harness::open().await;
    let admin = token(&harness, Role::Admin).await;
    let listed = object(&get(&harness, &admin, "/deliveries").await, StatusCode::OK);
    let name = listed["items"][0]["destination"].as_str().expect("a name");
    for (act, state) in [("pause", "paused"), ("pause", "paused"), ("resume", "up")] {
        let path = format!("/deliveries/{name}/{act}");
        let answer = object(
            &post(&harness, &admin, &path, Value::Null).await,
            StatusCode::OK,
        );
        assert_eq!(answer["state"], state);
    }
    let unknown = post(&harness, &admin, "/deliveries/nowhere/pause", Value::Null).await;
    is_problem(&unknown, StatusCode::NOT_FOUND, "not-found", "nowhere");
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
