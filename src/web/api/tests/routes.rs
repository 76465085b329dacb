//! Routes of customers, requests and deliveries.

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
        ("event=account.blocked&since=1d", 1),
        ("event=account.blocked&until=1d", 0),
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
