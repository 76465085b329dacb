//! Routes of the access settings.

use super::*;

#[tokio::test]
async fn settings_are_shown_changed_compared_and_tried() {
    let harness = Harness::open().await;
    let admin = token(&harness, Role::Admin).await;
    let shown = object(&get(&harness, &admin, "/access").await, StatusCode::OK);
    assert_eq!(shown["revision"], 1);
    assert_eq!(
        shown["internal"]["approved_domains"],
        json!(["corp.example"])
    );
    assert_eq!(shown["sources"]["external.verify"], "default");

    let domains = json!({"domains": ["gmail.com"], "dry_run": true});
    let tried = post(&harness, &admin, "/access/approve", domains).await;
    let tried = object(&tried, StatusCode::OK);
    assert_eq!(tried["revision"], 1);
    assert!(
        tried["warnings"][0]
            .as_str()
            .is_some_and(|text| text.contains("mailbox provider"))
    );

    let domains = json!({"domains": ["new.example.com"], "portal": "it", "revision": 1});
    let allowed = post(&harness, &admin, "/access/allow", domains.clone()).await;
    let allowed = object(&allowed, StatusCode::OK);
    assert_eq!(allowed["revision"], 2);
    assert_eq!(allowed["changes"][0]["key"], "external.allowed_domains");
    assert_eq!(allowed["changes"][0]["portal"], "it");
    let late = post(&harness, &admin, "/access/allow", domains).await;
    is_problem(&late, StatusCode::CONFLICT, "settings-changed", "late");

    let set =
        json!({"settings": {"external.verify": true, "internal.default_groups": ["IT staff"]}});
    let done = object(
        &post(&harness, &admin, "/access/set", set).await,
        StatusCode::OK,
    );
    assert_eq!(done["revision"], 3);
    let inherit = json!({"settings": {"external.allowed_domains": null}, "portal": "it"});
    let done = object(
        &post(&harness, &admin, "/access/set", inherit).await,
        StatusCode::OK,
    );
    assert_eq!(done["changes"][0]["after"], Value::Null);
    let removed = json!({"domains": ["corp.example"]});
    let removed = post(&harness, &admin, "/access/remove", removed).await;
    assert_eq!(object(&removed, StatusCode::OK)["revision"], 5);

    for (path, body, status, kind) in [
        (
            "/access/approve",
            json!({"domains": ["co.uk"]}),
            422,
            "refused",
        ),
        ("/access/approve", json!({"domains": []}), 400, "malformed"),
        (
            "/access/approve",
            json!({"domains": ["a.example"], "portal": "x"}),
            422,
            "refused",
        ),
        (
            "/access/remove",
            json!({"domains": ["never.example"]}),
            422,
            "refused",
        ),
        (
            "/access/set",
            json!({"settings": {"external.verify": null}}),
            422,
            "refused",
        ),
        (
            "/access/set",
            json!({"settings": {"external.verify": "yes"}}),
            400,
            "malformed",
        ),
        (
            "/access/set",
            json!({"settings": {"external.verfy": true}}),
            400,
            "malformed",
        ),
        (
            "/access/set",
            json!({"settings": {"internal.default_groups": ["a,b"]}}),
            422,
            "refused",
        ),
    ] {
        let answer = post(&harness, &admin, path, body.clone()).await;
        let status = StatusCode::from_u16(status).expect("a status");
        is_problem(&answer, status, kind, &format!("{path} {body}"));
    }

    let part = object(
        &get(&harness, &admin, "/access/history?limit=2").await,
        StatusCode::OK,
    );
    assert_eq!(part["items"][0]["origin"], "api");
    assert_eq!(part["items"][0]["by"], "operator:the-admin");
    assert_eq!(part["next"], "4");
    let part = get(&harness, &admin, "/access/history?limit=100&after=4").await;
    let part = object(&part, StatusCode::OK);
    assert_eq!(
        (part["items"].as_array().map(Vec::len), &part["next"]),
        (Some(3), &Value::Null)
    );
    let diff = object(
        &get(&harness, &admin, "/access/diff?from=1&to=2").await,
        StatusCode::OK,
    );
    assert_eq!(diff["changes"].as_array().map(Vec::len), Some(1));
    let none = get(&harness, &admin, "/access/diff?from=1&to=77").await;
    is_problem(
        &none,
        StatusCode::NOT_FOUND,
        "not-found",
        "no such revision",
    );
    let first = object(
        &get(&harness, &admin, "/access?revision=1").await,
        StatusCode::OK,
    );
    assert_eq!(first, shown);
    let tested = get(&harness, &admin, "/access/test?address=ann%40other.example").await;
    let tested = object(&tested, StatusCode::OK);
    assert_eq!(tested["items"][0]["reason"], "domain_not_allowed");
}

#[tokio::test]
async fn a_draft_is_compared_with_the_mail_that_came() {
    let harness = Harness::open().await;
    let viewer = token(&harness, Role::Viewer).await;
    harness.mail("eve@elsewhere.example", "one").await;
    let draft = json!({"settings": {"external.restrict_domains": false}, "since": "1d"});
    let answer = post(&harness, &viewer, "/access/simulate", draft).await;
    let simulated = object(&answer, StatusCode::OK);
    assert_eq!(
        (&simulated["messages"], &simulated["changed"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(simulated["domains"][0]["domain"], "elsewhere.example");
    assert_eq!(simulated["domains"][0]["after"]["verdict"], "accepted");
    let history = harness.store.access_history(10).await.expect("read");
    assert_eq!(history.len(), 1, "nothing was changed");
}
