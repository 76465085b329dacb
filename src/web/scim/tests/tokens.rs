//! Tokens that open the interface.

use super::*;
use crate::domain::{Timestamp, Token};
use crate::web::operators::tests::late_forms::LateBody;

#[tokio::test]
async fn only_an_admins_token_opens_it_and_the_directorys_opens_nothing_else() {
    let directory = Directory::open().await;
    let harness = &directory.harness;
    let admin = token(harness, Role::Admin, None).await;
    let agent = token(harness, Role::Agent, None).await;
    for (token, status) in [
        (admin.as_str(), StatusCode::OK),
        (agent.as_str(), StatusCode::FORBIDDEN),
        ("nonsense", StatusCode::UNAUTHORIZED),
    ] {
        let answer = harness
            .send(request(token, Method::GET, "/Users", None))
            .await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    let api = Request::get("/api/v1/customers")
        .header(AUTHORIZATION, format!("Bearer {}", directory.token))
        .body(Body::empty())
        .expect("a request");
    assert_eq!(harness.send(api).await.status, StatusCode::FORBIDDEN);
    let none = Request::get("/scim/v2/Users").body(Body::empty());
    let refused = harness.send(none.expect("a request")).await;
    is_error(&refused, StatusCode::UNAUTHORIZED, None);
    let listed = harness
        .store
        .tokens(None, Timestamp::now())
        .await
        .expect("read");
    assert!(
        listed
            .iter()
            .any(|token| token.scope == Some(TokenScope::Scim))
    );
}

#[tokio::test]
async fn a_token_that_ends_while_its_request_comes_makes_no_user() {
    let directory = Directory::open().await;
    let store = directory.harness.store.clone();
    let token = Token::parse(&directory.token).unwrap_or_else(|error| panic!("{error}"));
    let end = async move { store.end_key(token.hash()).await.expect("ended") };
    let (parts, _) = request(&directory.token, Method::POST, "/Users", Some(&ann())).into_parts();
    let late = Request::from_parts(parts, LateBody::after(end, ann().to_string()));
    let refused = directory.harness.send(late).await;
    is_error(&refused, StatusCode::UNAUTHORIZED, None);
    let address = EmailAddress::parse(ANN).expect("an address");
    let found = directory.harness.store.customer(&address).await;
    assert!(found.expect("read").is_none());
}
