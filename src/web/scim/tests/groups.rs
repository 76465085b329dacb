//! Roles of a user, which are the groups of its account.

use super::*;

#[tokio::test]
async fn roles_are_the_groups_of_the_account() {
    let directory = Directory::open().await;
    let user = directory.create(&ann()).await;
    let defaults = account(&directory, ANN).await.groups;
    let add = json!({"op": "add", "path": "roles", "value": [{"value": "staff"}, {"value": "VPN users"}]});
    let patched = directory.patch(&user["id"], add).await;
    assert_eq!(patched["roles"][1]["value"], "VPN users");
    assert_eq!(
        account(&directory, ANN).await.groups,
        ["VPN users", "staff"]
    );
    let hostile = json!({"Operations": [{"op": "add", "path": "roles", "value": "a\r\nX-Vestibule-Account: internal"}]});
    let path = format!("/Users/{}", user["id"].as_str().expect("an id"));
    let refused = directory.send(Method::PATCH, &path, Some(&hostile)).await;
    is_error(&refused, StatusCode::BAD_REQUEST, Some("invalidValue"));
    directory
        .patch(&user["id"], json!({"op": "remove", "path": "roles"}))
        .await;
    assert_eq!(account(&directory, ANN).await.groups, defaults);
}

#[tokio::test]
async fn the_groups_of_a_user_end_with_it_and_with_its_address() {
    let directory = Directory::open().await;
    let moved = "ann.bow@corp.example";
    let user = directory.create(&ann()).await;
    let defaults = account(&directory, ANN).await.groups;
    let add = json!({"op": "add", "path": "roles", "value": "payroll"});
    directory.patch(&user["id"], add).await;
    assert_eq!(account(&directory, ANN).await.groups, ["payroll"]);
    // Inactive, the user keeps them.
    for active in [false, true] {
        let set = json!({"op": "replace", "path": "active", "value": active});
        directory.patch(&user["id"], set).await;
        assert_eq!(account(&directory, ANN).await.groups, ["payroll"]);
    }
    let married = json!({"op": "replace", "path": "emails", "value": moved});
    directory.patch(&user["id"], married).await;
    assert_eq!(account(&directory, moved).await.groups, ["payroll"]);
    assert_eq!(account(&directory, ANN).await.groups, defaults);

    let path = format!("/Users/{}", user["id"].as_str().expect("an id"));
    directory.send(Method::DELETE, &path, None).await;
    assert_eq!(account(&directory, moved).await.groups, defaults);
    // The next person with one of these addresses does not inherit them.
    for address in [ANN, moved] {
        directory.create(&json!({ "userName": address })).await;
        assert_eq!(account(&directory, address).await.groups, defaults);
    }
}
