//! Operators, their passwords, sessions and tokens; queued mail; a person's data.

use axum::http::header::{AUTHORIZATION, LOCATION};

use super::*;
use crate::domain::EmailAddress;

#[tokio::test]
async fn an_admin_adds_and_removes_operators() {
    let harness = Harness::open().await;
    let (agent, admin) = (
        harness.session(Role::Agent).await,
        harness.session(Role::Admin).await,
    );
    let refused = harness.get(&agent, "/operators").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let add = [("action", "add"), ("name", "bob"), ("role", "agent")];
    let with = |password| [&add[..], &[("password", password)]].concat();
    let short = harness.post(&admin, "/operators", &with("short")).await;
    assert_eq!(
        short.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        short.body
    );
    let added = harness.post(&admin, "/operators", &with(PASSWORD)).await;
    assert_eq!(added.headers[LOCATION], "/operators?done=added");
    let page = harness.get(&admin, "/operators").await.body;
    assert!(
        page.contains("Remove bob") && !page.contains("Remove the-admin"),
        "{page}"
    );
    for (fields, done) in [
        ([("action", "revoke"), ("name", "the-agent")], "revoked"),
        ([("action", "remove"), ("name", "bob")], "removed"),
    ] {
        let answer = harness.post(&admin, "/operators", &fields).await;
        assert_eq!(answer.headers[LOCATION], format!("/operators?done={done}"));
    }
    let gone = harness.get(&agent, "/requests").await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    let own = [("action", "remove"), ("name", "the-admin")];
    let own = harness.post(&admin, "/operators", &own).await;
    assert_eq!(own.status, StatusCode::UNPROCESSABLE_ENTITY);
    // The name of a removed operator is for the same person.
    let refused = harness.post(&admin, "/operators", &with(PASSWORD)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let tick = "<input type=\"checkbox\" name=\"same_person\" value=\"yes\">";
    assert!(refused.body.contains(tick), "{}", refused.body);
    assert!(refused.body.contains("value=\"bob\""), "{}", refused.body);
    let same = [&with(PASSWORD)[..], &[("same_person", "yes")]].concat();
    let returned = harness.post(&admin, "/operators", &same).await;
    assert_eq!(returned.headers[LOCATION], "/operators?done=added");
}

#[tokio::test]
async fn everybody_has_a_password_sessions_and_tokens_of_their_own() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let token = [
        ("action", "token"),
        ("role", "viewer"),
        ("days", "30"),
        ("purpose", "report"),
    ];
    let page = harness.post(&session, "/account", &token).await.body;
    let (_, rest) = page.split_once("<code id=\"token\">").expect("a token");
    let token = rest.split('<').next().unwrap_or_default();
    let request = Request::get("/api/v1/stats").header(AUTHORIZATION, format!("Bearer {token}"));
    let answer = harness
        .send(request.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let page = harness.get(&session, "/account").await.body;
    assert!(!page.contains(token) && page.contains("report"), "{page}");
    let above = [("action", "token"), ("role", "admin"), ("days", "30")];
    let above = harness.post(&session, "/account", &above).await;
    assert_eq!(above.status, StatusCode::CONFLICT);
    let change = |current| {
        [
            ("action", "password"),
            ("current", current),
            ("password", "another long password"),
        ]
    };
    let wrong = harness.post(&session, "/account", &change("wrong")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let done = harness.post(&session, "/account", &change(PASSWORD)).await;
    assert_eq!(done.headers[LOCATION], "/login");
    let ended = harness.get(&session, "/").await;
    assert_eq!(ended.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn waiting_mail_is_listed_and_a_person_is_exported_and_forgotten() {
    let harness = Harness::open().await;
    let (agent, admin) = (
        harness.session(Role::Agent).await,
        harness.session(Role::Admin).await,
    );
    harness.mail("ann@corp.example", "one").await;
    let page = harness.get(&agent, "/mail").await.body;
    assert!(
        page.contains("ann@corp.example") && page.contains("verification"),
        "{page}"
    );
    let none = harness.get(&agent, "/hooks/nothing").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    let address = EmailAddress::parse("ann@corp.example").expect("an address");
    let account = harness
        .store
        .customer(&address)
        .await
        .expect("read")
        .expect("there");
    let path = format!("/customers/{}", account.id);
    let export = format!("{path}/export");
    let refused = harness.get(&agent, &export).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let saved = harness.get(&admin, &export).await;
    assert_eq!(saved.headers[CONTENT_TYPE], "application/octet-stream");
    let data: serde_json::Value = serde_json::from_str(&saved.body).expect("JSON");
    assert_eq!(data["account"]["address"], "ann@corp.example");
    assert_eq!(data["requests"].as_array().map(Vec::len), Some(1));
    let forget = format!("{path}/forget");
    let typo = harness
        .post(&admin, &forget, &[("address", "amn@corp.example")])
        .await;
    assert_eq!(typo.status, StatusCode::CONFLICT);
    let done = harness
        .post(&admin, &forget, &[("address", "Ann@corp.example")])
        .await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert!(done.body.contains("is forgotten"), "{}", done.body);
    assert!(
        harness
            .store
            .customer(&address)
            .await
            .expect("read")
            .is_none()
    );
}

#[tokio::test]
async fn people_are_pasted_looked_at_and_imported_by_an_admin() {
    let harness = Harness::open().await;
    let (agent, admin) = (
        harness.session(Role::Agent).await,
        harness.session(Role::Admin).await,
    );
    let path = "/customers/import";
    let refused = harness.get(&agent, path).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let text = "address;groups\r\nann@corp.example;staff\r\n<b>x</b>;\r\n";
    let address = EmailAddress::parse("ann@corp.example").expect("an address");
    let ann = async || harness.store.customer(&address).await.expect("read");
    let looked = harness
        .post(&admin, path, &[("people", text), ("action", "check")])
        .await;
    assert_eq!(looked.status, StatusCode::OK, "{}", looked.body);
    assert!(
        looked.body.contains("Nothing has been changed yet."),
        "{}",
        looked.body
    );
    assert!(
        looked.body.contains("1 would be created"),
        "{}",
        looked.body
    );
    assert!(!looked.body.contains("<b>x</b>"), "{}", looked.body);
    assert!(ann().await.is_none());
    let done = harness
        .post(&admin, path, &[("people", text), ("action", "import")])
        .await;
    assert!(done.body.contains("1 created"), "{}", done.body);
    assert_eq!(ann().await.expect("there").groups, ["staff"]);
    let wrong = harness.post(&admin, path, &[("people", "mail\n")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn an_address_is_tried() {
    let harness = Harness::open().await;
    let viewer = harness.session(Role::Viewer).await;
    let page = harness
        .get(&viewer, "/access/test?address=eve%40evil.example")
        .await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert!(page.body.contains("domain_not_allowed"), "{}", page.body);
    let wrong = harness.get(&viewer, "/access/test?address=%3Cb%3E").await;
    assert!(wrong.body.contains("role=\"alert\""), "{}", wrong.body);
    let empty = harness.get(&viewer, "/access/test").await;
    assert_eq!(empty.status, StatusCode::OK);
}
