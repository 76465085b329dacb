//! People's data and operators' access: read, erased and ended by admins.

use super::*;

#[tokio::test]
async fn a_person_is_exported_and_forgotten_by_an_admin() {
    let harness = Harness::open().await;
    let (agent, admin) = (
        token(&harness, Role::Agent).await,
        token(&harness, Role::Admin).await,
    );
    harness.mail("ann@corp.example", "one").await;
    let export = "/customers/ann@corp.example/export";
    let refused = get(&harness, &agent, export).await;
    is_problem(&refused, StatusCode::FORBIDDEN, "role", "admin");
    let data = object(&get(&harness, &admin, export).await, StatusCode::OK);
    assert_eq!(data["account"]["address"], "ann@corp.example");
    assert_eq!(data["requests"][0]["subject"], "one");
    let unknown = get(&harness, &admin, "/customers/nobody@corp.example/export").await;
    is_problem(
        &unknown,
        StatusCode::NOT_FOUND,
        "not-found",
        "nobody@corp.example",
    );

    let waiting = object(&get(&harness, &agent, "/mail").await, StatusCode::OK);
    assert_eq!(waiting["items"][0]["address"], "ann@corp.example");
    assert_eq!(waiting["items"][0]["state"], "waiting");
    for (query, count) in [
        (
            "account=ann@corp.example&state=waiting&since=2020-01-01T00:00:00Z",
            1,
        ),
        ("account=bea@corp.example", 0),
        ("state=claimed", 0),
        ("until=2020-01-01T00:00:00Z", 0),
    ] {
        let found = get(&harness, &agent, &format!("/mail?{query}")).await;
        let found = object(&found, StatusCode::OK);
        assert_eq!(
            found["items"].as_array().map(Vec::len),
            Some(count),
            "{query}"
        );
    }

    let forget = "/customers/ann@corp.example/forget";
    let typed = json!({"address": "ann@corp.example"});
    let refused = post(&harness, &agent, forget, typed.clone()).await;
    is_problem(&refused, StatusCode::FORBIDDEN, "role", "admin");
    let other = json!({"address": "amn@corp.example"});
    let refused = post(&harness, &admin, forget, other).await;
    is_problem(
        &refused,
        StatusCode::UNPROCESSABLE_ENTITY,
        "refused",
        "nothing was changed",
    );
    let erased = object(
        &post(&harness, &admin, forget, typed.clone()).await,
        StatusCode::OK,
    );
    assert_eq!(
        (&erased["entries"], &erased["discarded"]),
        (&json!(1), &json!(1))
    );
    let gone = post(&harness, &admin, forget, typed).await;
    is_problem(
        &gone,
        StatusCode::NOT_FOUND,
        "not-found",
        "ann@corp.example",
    );
}

#[tokio::test]
async fn settings_are_applied_from_a_file() {
    let harness = Harness::open().await;
    let admin = token(&harness, Role::Admin).await;
    let toml = "[external]\nrestrict_domains = true\nallowed_domains = [\"partner.example\"]\n";
    for (dry_run, revision) in [(true, 1), (false, 2)] {
        let file = json!({"toml": toml, "dry_run": dry_run});
        let changed = post(&harness, &admin, "/access/apply", file).await;
        let changed = object(&changed, StatusCode::OK);
        assert_eq!(changed["revision"], revision);
        assert_ne!(changed["changes"], json!([]));
    }
    let wrong = json!({"toml": "[external]\nrestrict_domians = true\n"});
    let refused = post(&harness, &admin, "/access/apply", wrong).await;
    is_problem(
        &refused,
        StatusCode::UNPROCESSABLE_ENTITY,
        "refused",
        "restrict_domians",
    );
    let unknown = json!({"toml": "[portals.xx.external]\nrestrict_domains = true\n"});
    let refused = post(&harness, &admin, "/access/apply", unknown).await;
    is_problem(
        &refused,
        StatusCode::UNPROCESSABLE_ENTITY,
        "refused",
        "toml:1: portals: there is no such key",
    );
}

#[tokio::test]
async fn access_of_operators_is_listed_and_ended() {
    let harness = Harness::open().await;
    let (agent, admin) = (
        token(&harness, Role::Agent).await,
        token(&harness, Role::Admin).await,
    );
    let refused = get(&harness, &agent, "/operators").await;
    is_problem(&refused, StatusCode::FORBIDDEN, "role", "admin");
    let operators = object(&get(&harness, &admin, "/operators").await, StatusCode::OK);
    let names: Vec<_> = operators["items"]
        .as_array()
        .expect("rows")
        .iter()
        .collect();
    assert!(
        names.iter().any(|row| row["name"] == "the-agent"),
        "{names:?}"
    );

    let path = "/operators/the-agent/tokens";
    let tokens = object(&get(&harness, &admin, path).await, StatusCode::OK);
    let id = tokens["items"][0]["id"].as_str().expect("an id").to_owned();
    let end = format!("{path}/{id}/end");
    let ended = post(&harness, &admin, &end, Value::Null).await;
    assert_eq!(object(&ended, StatusCode::OK)["ended"], 1);
    let refused = get(&harness, &agent, "/stats").await;
    is_problem(
        &refused,
        StatusCode::UNAUTHORIZED,
        "invalid-token",
        "revoked",
    );
    let again = post(&harness, &admin, &end, Value::Null).await;
    is_problem(&again, StatusCode::NOT_FOUND, "not-found", "token");

    let revoked = post(&harness, &admin, "/operators/the-agent/revoke", Value::Null).await;
    assert_eq!(object(&revoked, StatusCode::OK)["ended"], 0);
    let own = post(&harness, &admin, "/operators/the-admin/remove", Value::Null).await;
    is_problem(
        &own,
        StatusCode::UNPROCESSABLE_ENTITY,
        "refused",
        "own operator",
    );
    let removed = post(&harness, &admin, "/operators/the-agent/remove", Value::Null).await;
    assert_eq!(object(&removed, StatusCode::OK)["operator"], "the-agent");
    let gone = get(&harness, &admin, path).await;
    is_problem(&gone, StatusCode::NOT_FOUND, "not-found", "the-agent");
}

#[tokio::test]
async fn people_are_imported_with_an_outcome_for_each() {
    let harness = Harness::open().await;
    let (agent, admin) = (
        token(&harness, Role::Agent).await,
        token(&harness, Role::Admin).await,
    );
    let people = |dry_run: bool| {
        json!({"dry_run": dry_run, "people": [
            {"address": "ann@corp.example", "kind": "internal", "groups": ["staff"], "verified": true},
            {"address": "bob@partner.example"},
            {"address": "eve@evil.example", "verified": true},
            {"address": "it-help@corp.example"},
            {"address": "cid@corp.example", "groups": ["a,b"]},
        ]})
    };
    let refused = post(&harness, &agent, "/customers/import", people(false)).await;
    is_problem(&refused, StatusCode::FORBIDDEN, "role", "admin");
    for (dry_run, created, unchanged) in [(true, 2, 0), (false, 2, 0), (false, 0, 2)] {
        let done = post(&harness, &admin, "/customers/import", people(dry_run)).await;
        let done = object(&done, StatusCode::OK);
        let counts = (&done["created"], &done["unchanged"], &done["refused"]);
        assert_eq!(
            counts,
            (&json!(created), &json!(unchanged), &json!(3)),
            "{done}"
        );
        let details: Vec<_> = done["items"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["detail"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert!(details[2].contains("domain_not_allowed"), "{details:?}");
        assert!(
            details[3].contains("address of this installation"),
            "{details:?}"
        );
        assert!(
            details[4].contains("not the name of a group"),
            "{details:?}"
        );
    }
    let ann = get(&harness, &admin, "/customers/ann@corp.example").await;
    let ann = object(&ann, StatusCode::OK);
    assert_eq!(ann["groups"], json!(["staff"]));
    assert_eq!(ann["verified_by"], "operator:the-admin");
}
