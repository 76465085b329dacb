//! Users of the directory and their accounts.

use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};

use super::*;
use crate::domain::{AccountStatus, RequestState};
use crate::operations::{CustomerAction, act_on_customer};
use crate::store::RequestFilter;

#[tokio::test]
async fn a_user_has_an_account_that_the_directory_vouches_for() {
    let directory = Directory::open().await;
    let answer = directory.send(Method::POST, "/Users", Some(&ann())).await;
    let user = document(&answer, StatusCode::CREATED);
    let id = user["id"].as_str().expect("an id");
    assert_eq!(answer.headers[LOCATION], format!("/scim/v2/Users/{id}"));
    assert_eq!(user["userName"], "Ann@corp.example");
    assert_eq!(user["externalId"], "0a21f0f2");
    assert_eq!(user.get("name"), None, "what is not needed is not kept");
    let own = account(&directory, ANN).await;
    assert_eq!(own.status, AccountStatus::Active);
    assert_eq!(own.verified_by.as_deref(), Some("operator:the-admin"));

    let path = format!("/Users/{id}");
    let shown = directory.get(&path).await;
    assert_eq!(document(&shown, StatusCode::OK), user);
    let again = directory.send(Method::POST, "/Users", Some(&ann())).await;
    is_error(&again, StatusCode::CONFLICT, Some("uniqueness"));
    let same_address = json!({"userName": "other", "emails": [{"value": ANN}]});
    let taken = directory
        .send(Method::POST, "/Users", Some(&same_address))
        .await;
    is_error(&taken, StatusCode::CONFLICT, Some("uniqueness"));
}

#[tokio::test]
async fn the_data_of_a_person_include_those_of_the_directory() {
    let directory = Directory::open().await;
    let mut user = ann();
    user["roles"] = json!([{"value": "staff"}]);
    directory.create(&user).await;
    let admin = token(&directory.harness, Role::Admin, None).await;
    let export = Request::get(format!("/api/v1/customers/{ANN}/export"))
        .header(AUTHORIZATION, format!("Bearer {admin}"))
        .body(Body::empty())
        .expect("a request");
    let answer = directory.harness.send(export).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let data: Value = serde_json::from_str(&answer.body).expect("JSON");
    let stored = &data["directory"];
    assert_eq!(stored["user_name"], "Ann@corp.example");
    assert_eq!(stored["external_id"], "0a21f0f2");
    assert_eq!(stored["emails"], json!([ANN]));
    assert_eq!(stored["roles"], json!(["staff"]));
}

#[tokio::test]
async fn the_access_settings_decide_about_new_accounts() {
    let directory = Directory::open().await;
    let eve = json!({"userName": "eve@evil.example"});
    let refused = directory.send(Method::POST, "/Users", Some(&eve)).await;
    let error = is_error(&refused, StatusCode::BAD_REQUEST, Some("invalidValue"));
    let detail = error["detail"].as_str().expect("a detail");
    assert!(detail.contains("domain_not_allowed"), "{detail}");
    let ours = json!({"userName": "it-help@corp.example"});
    let refused = directory.send(Method::POST, "/Users", Some(&ours)).await;
    is_error(&refused, StatusCode::BAD_REQUEST, Some("invalidValue"));
    let none = json!({"userName": "ann"});
    let refused = directory.send(Method::POST, "/Users", Some(&none)).await;
    is_error(&refused, StatusCode::BAD_REQUEST, Some("invalidValue"));
}

#[tokio::test]
async fn what_is_held_waits_for_the_person() {
    let directory = Directory::open().await;
    directory.harness.mail(ANN, "not by Ann, perhaps").await;
    let user = directory.create(&ann()).await;
    assert_eq!(user["active"], true);
    let own = account(&directory, ANN).await;
    assert_eq!((own.status, own.held), (AccountStatus::Pending, 1));
    let requests = directory
        .harness
        .store
        .requests(RequestFilter::default())
        .await;
    assert_eq!(requests.expect("read").rows[0].state, RequestState::Held);
}

#[tokio::test]
async fn an_inactive_user_has_no_access_and_an_operators_block_stays() {
    let directory = Directory::open().await;
    let user = directory.create(&ann()).await;
    for (operation, active) in [
        (
            json!({"op": "Replace", "path": "active", "value": "False"}),
            false,
        ),
        (json!({"op": "replace", "value": {"active": true}}), true),
        (
            json!({"op": "replace", "path": "active", "value": false}),
            false,
        ),
    ] {
        let patched = directory.patch(&user["id"], operation).await;
        assert_eq!(patched["active"], active);
        let own = account(&directory, ANN).await;
        assert_eq!(own.status == AccountStatus::Active, active);
        assert_eq!(own.deactivated_at.is_none(), active);
    }
    // An operator blocks the deactivated account: from now on the directory cannot reactivate it.
    let by = Actor::operator("root", Interface::CommandLine);
    let store = &directory.harness.store;
    let own = account(&directory, ANN).await;
    let blocked = act_on_customer(store, CustomerAction::Block, &own, by.clone()).await;
    blocked.expect("blocked");
    let activate = json!({"op": "replace", "path": "active", "value": true});
    let patched = directory.patch(&user["id"], activate.clone()).await;
    assert_eq!(patched["active"], false, "it says what is true");
    assert_eq!(
        account(&directory, ANN).await.status,
        AccountStatus::Blocked
    );

    // Nor can it by removing the user and creating it again.
    let path = format!("/Users/{}", user["id"].as_str().expect("an id"));
    let removed = directory.send(Method::DELETE, &path, None).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{}", removed.body);
    is_error(&directory.get(&path).await, StatusCode::NOT_FOUND, None);
    let anew = directory.create(&ann()).await;
    assert_eq!(anew["active"], false);
    assert_eq!(
        account(&directory, ANN).await.status,
        AccountStatus::Blocked
    );

    let own = account(&directory, ANN).await;
    let unblocked = act_on_customer(store, CustomerAction::Unblock, &own, by).await;
    assert_eq!(
        unblocked.expect("done").account.status,
        AccountStatus::Active
    );
}

#[tokio::test]
async fn a_request_without_active_leaves_it_unchanged() {
    let directory = Directory::open().await;
    let unsaid = |active: Value| {
        let mut user = ann();
        let user_object = user.as_object_mut().expect("an object");
        user_object.remove("active");
        if active != json!("unsaid") {
            user_object.insert("active".to_owned(), active);
        }
        user
    };
    for new in [json!("unsaid"), Value::Null] {
        let user = directory.create(&unsaid(new)).await;
        assert_eq!(user["active"], true, "a new user is active");
        let path = format!("/Users/{}", user["id"].as_str().expect("an id"));
        for active in [false, true] {
            let set = json!({"op": "replace", "path": "active", "value": active});
            directory.patch(&user["id"], set).await;
            for operation in [
                json!({"op": "remove", "path": "active"}),
                json!({"op": "replace", "path": "active", "value": null}),
                json!({"op": "add", "value": {"active": null, "externalId": "7"}}),
            ] {
                let patched = directory.patch(&user["id"], operation.clone()).await;
                assert_eq!(patched["active"], active, "{operation}");
            }
            for body in [unsaid(json!("unsaid")), unsaid(Value::Null)] {
                let put = directory.send(Method::PUT, &path, Some(&body)).await;
                assert_eq!(document(&put, StatusCode::OK)["active"], active, "{body}");
            }
            let own = account(&directory, ANN).await;
            assert_eq!(own.deactivated_at.is_none(), active);
            // Another address is another account of the same user, in the same state.
            for address in ["ann.bow@corp.example", ANN] {
                let mut moved = unsaid(json!("unsaid"));
                moved["emails"] = json!([{"value": address}]);
                let put = directory.send(Method::PUT, &path, Some(&moved)).await;
                assert_eq!(document(&put, StatusCode::OK)["active"], active);
                let own = account(&directory, address).await;
                assert_eq!(own.deactivated_at.is_none(), active, "{address}");
            }
        }
        directory.send(Method::DELETE, &path, None).await;
    }
}

#[tokio::test]
async fn an_unrelated_change_does_not_deactivate_a_blocked_user() {
    let directory = Directory::open().await;
    let user = directory.create(&ann()).await;
    let by = Actor::operator("root", Interface::CommandLine);
    let store = &directory.harness.store;
    let own = account(&directory, ANN).await;
    let blocked = act_on_customer(store, CustomerAction::Block, &own, by).await;
    blocked.expect("blocked");
    let rename = json!({"op": "replace", "path": "externalId", "value": "2"});
    let patched = directory.patch(&user["id"], rename).await;
    assert_eq!(
        (&patched["active"], &patched["externalId"]),
        (&json!(false), &json!("2"))
    );
    let own = account(&directory, ANN).await;
    assert_eq!(
        (own.status, own.deactivated_at),
        (AccountStatus::Blocked, None)
    );
}

#[tokio::test]
async fn a_removed_user_loses_access_and_comes_back_as_a_new_one() {
    let directory = Directory::open().await;
    let user = directory.create(&ann()).await;
    let path = format!("/Users/{}", user["id"].as_str().expect("an id"));
    directory.send(Method::DELETE, &path, None).await;
    assert_eq!(
        account(&directory, ANN).await.status,
        AccountStatus::Blocked
    );
    let again = directory.send(Method::DELETE, &path, None).await;
    is_error(&again, StatusCode::NOT_FOUND, None);
    let anew = directory.create(&ann()).await;
    assert_ne!(anew["id"], user["id"]);
    assert_eq!(account(&directory, ANN).await.status, AccountStatus::Active);
}

#[tokio::test]
async fn another_address_is_another_account() {
    let directory = Directory::open().await;
    let user = directory.create(&ann()).await;
    let married = json!({
        "op": "replace", "path": "emails[type eq \"work\"].value", "value": "ann.bow@corp.example",
    });
    let patched = directory.patch(&user["id"], married).await;
    assert_eq!(patched["id"], user["id"]);
    assert_eq!(
        account(&directory, ANN).await.status,
        AccountStatus::Blocked
    );
    let own = account(&directory, "ann.bow@corp.example").await;
    assert_eq!(own.status, AccountStatus::Active);
    let back = json!({"op": "replace", "path": "emails[primary eq true].value", "value": ANN});
    directory.patch(&user["id"], back).await;
    assert_eq!(account(&directory, ANN).await.status, AccountStatus::Active);
}

#[tokio::test]
async fn users_are_found_by_name_in_any_case_and_listed_in_pages() {
    let directory = Directory::open().await;
    for name in ["ann", "bob", "cid"] {
        let user = json!({"userName": format!("{name}@corp.example"), "externalId": name});
        directory.create(&user).await;
    }
    // The directory does not see a customer that it did not create.
    directory.harness.mail("dan@corp.example", "hello").await;
    let list = async |query: &str| {
        let answer = directory.get(&format!("/Users?{query}")).await;
        let list = document(&answer, StatusCode::OK);
        let rows = list["Resources"].as_array().expect("rows").clone();
        let names: Vec<_> = rows.iter().map(|row| row["externalId"].clone()).collect();
        (list["totalResults"].clone(), json!(names))
    };
    assert_eq!(list("").await, (json!(3), json!(["ann", "bob", "cid"])));
    assert_eq!(
        list("startIndex=2&count=1").await,
        (json!(3), json!(["bob"]))
    );
    assert_eq!(list("startIndex=0&count=-1").await, (json!(3), json!([])));
    assert_eq!(list("count=0").await, (json!(3), json!([])));
    assert_eq!(list("startIndex=9").await, (json!(3), json!([])));
    for filter in [
        "userName+eq+%22BOB%40corp.example%22",
        "username+EQ+%22bob%40CORP.example%22",
        "externalId+eq+%22bob%22",
        "emails.value+eq+%22bob%40corp.example%22",
    ] {
        assert_eq!(
            list(&format!("filter={filter}")).await,
            (json!(1), json!(["bob"])),
            "{filter}"
        );
    }
    for filter in ["userName+eq+%22dan%40corp.example%22", "id+eq+%22x%22"] {
        assert_eq!(
            list(&format!("filter={filter}")).await.0,
            json!(0),
            "{filter}"
        );
    }
    for filter in [
        "userName+co+%22b%22",
        "title+eq+%22x%22",
        "userName+eq+true",
    ] {
        let answer = directory.get(&format!("/Users?filter={filter}")).await;
        is_error(&answer, StatusCode::BAD_REQUEST, Some("invalidFilter"));
    }
    let search =
        json!({"filter": "userName eq \"bob@corp.example\"", "attributes": ["externalId"]});
    for path in ["/Users/.search", "/.search"] {
        let answer = directory.send(Method::POST, path, Some(&search)).await;
        let found = document(&answer, StatusCode::OK);
        let row = found["Resources"][0].as_object().expect("a row");
        let keys: Vec<_> = row.keys().map(String::as_str).collect();
        assert_eq!(keys, ["externalId", "id", "schemas"]);
    }
}

#[tokio::test]
async fn a_change_of_an_outdated_version_is_refused() {
    let directory = Directory::open().await;
    let created = directory.send(Method::POST, "/Users", Some(&ann())).await;
    let tag = created.headers[ETAG].clone();
    let user = document(&created, StatusCode::CREATED);
    let path = format!("/Users/{}", user["id"].as_str().expect("an id"));
    let mut known = request(&directory.token, Method::GET, &path, None);
    known.headers_mut().insert(IF_NONE_MATCH, tag.clone());
    let unchanged = directory.harness.send(known).await;
    assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
    assert_eq!(unchanged.headers[ETAG], tag);
    directory
        .patch(
            &user["id"],
            json!({"op": "add", "path": "externalId", "value": "2"}),
        )
        .await;
    let mut late = request(&directory.token, Method::PUT, &path, Some(&ann()));
    late.headers_mut().insert(IF_MATCH, tag);
    let refused = directory.harness.send(late).await;
    is_error(&refused, StatusCode::PRECONDITION_FAILED, None);
    let replaced = directory.send(Method::PUT, &path, Some(&ann())).await;
    assert_eq!(
        document(&replaced, StatusCode::OK)["externalId"],
        "0a21f0f2"
    );
}

#[tokio::test]
async fn bodies_are_bounded_and_of_the_right_kind() {
    let directory = Directory::open().await;
    let large = json!({"userName": ANN, "title": "x".repeat(MAX_BODY)});
    let refused = directory.send(Method::POST, "/Users", Some(&large)).await;
    is_error(&refused, StatusCode::PAYLOAD_TOO_LARGE, None);
    for body in [
        json!([]),
        json!("x"),
        json!({"schemas": ["urn:x"], "userName": ANN}),
    ] {
        let refused = directory.send(Method::POST, "/Users", Some(&body)).await;
        is_error(&refused, StatusCode::BAD_REQUEST, Some("invalidSyntax"));
    }
    for user in [
        json!({}),
        json!({"userName": 1}),
        json!({"userName": "a\nb", "emails": [{"value": ANN}]}),
        json!({"userName": ANN, "active": "perhaps"}),
        json!({"userName": ANN, "emails": [{"type": "work"}]}),
        json!({"userName": ANN, "emails": [""]}),
        json!({"userName": ANN, "emails": [ANN, "x".repeat(513)]}),
        json!({"userName": ANN, "emails": [ANN, "b\u{7}@corp.example"]}),
        json!({"userName": ANN, "emails": "b@corp.example\n"}),
        json!({"userName": ANN, "roles": ["x".repeat(513)]}),
        json!({"userName": ANN, "roles": ["staff\n"]}),
        json!({"userName": ANN, "emails": vec![json!({"value": ANN}); 21]}),
        json!({"userName": ANN, "emails": [{"value": ANN, "primary": true}, {"value": "b@corp.example", "primary": true}]}),
    ] {
        let refused = directory.send(Method::POST, "/Users", Some(&user)).await;
        is_error(&refused, StatusCode::BAD_REQUEST, Some("invalidValue"));
    }
    let form = Request::post("/scim/v2/Users")
        .header(AUTHORIZATION, format!("Bearer {}", directory.token))
        .header(CONTENT_TYPE, "text/plain")
        .body(Body::from(ann().to_string()))
        .expect("a request");
    let refused = directory.harness.send(form).await;
    is_error(&refused, StatusCode::UNSUPPORTED_MEDIA_TYPE, None);
    for (method, path, status) in [
        (Method::DELETE, "/Users", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/Schemas", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/Groups", StatusCode::NOT_FOUND),
        (Method::GET, "/Schemas/urn:x", StatusCode::NOT_FOUND),
    ] {
        is_error(&directory.send(method, path, None).await, status, None);
    }
}
