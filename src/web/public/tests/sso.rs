//! Verification by a sign-in, as far as it needs no provider.

use axum::http::header::{COOKIE, SET_COOKIE};

use super::*;
use crate::operations::begin_sign_in;
use crate::store::{AttemptPurpose, Choice};

#[tokio::test]
async fn another_site_ends_no_attempt() {
    let mut config = sample::config("");
    config.sso = Some(crate::sso::tests::sso());
    let harness = Harness::with(config).await;
    let link = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    let purpose = AttemptPurpose::Verification {
        token: link.hash(),
        choice: Choice::All,
    };
    let secret = begin_sign_in(&harness.store, purpose.clone()).await;
    let secret = secret.expect("begun");
    let cookie = format!("__Host-vestibule_verification={}", secret.reveal());
    for query in ["", "?state=x&code=y", "?state=x&error=access_denied"] {
        let request = Request::get(format!("/sso/callback{query}")).header(COOKIE, &cookie);
        let answer = harness.send(request.body(Body::empty()).expect("a request"));
        let answer = answer.await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(!answer.headers.contains_key(SET_COOKIE), "{query}");
    }
    let kept = harness.store.take_attempt(secret.hash(), Timestamp::now());
    assert_eq!(kept.await.expect("read"), Some(purpose));
}
