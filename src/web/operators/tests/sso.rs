//! Sign-in at a provider, as far as it needs no provider.

use axum::http::header::SET_COOKIE;

use super::*;
use crate::operations::begin_sign_in;
use crate::store::AttemptPurpose;

#[tokio::test]
async fn another_site_ends_no_attempt_and_writes_no_audit() {
    let mut config = sample::config("");
    config.http.admin_url = Some("http://localhost:8081".to_owned());
    config.sso = Some(crate::sso::tests::sso());
    let harness = Harness::with(config).await;
    let purpose = AttemptPurpose::Operator {
        to: "/messages".to_owned(),
        recent: false,
    };
    let secret = begin_sign_in(&harness.store, purpose.clone()).await;
    let secret = secret.expect("begun");
    let audited = async || {
        let rows = harness.store.audit(crate::store::Page::default()).await;
        rows.expect("rows").rows.len()
    };
    let before = audited().await;
    for query in [
        "",
        "?code=x",
        "?state=x&code=y",
        "?state=x&state=y&code=z",
        "?state=x&error=access_denied",
        "?state=x&code=y&iss=https%3A%2F%2Fid.example",
    ] {
        let request = Request::get(format!("/login/sso/callback{query}"))
            .header(COOKIE, format!("vestibule_sign_in={}", secret.reveal()));
        let answer = harness.send(request.body(Body::empty()).expect("a request"));
        let answer = answer.await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(!answer.headers.contains_key(SET_COOKIE), "{query}");
    }
    assert_eq!(audited().await, before);
    let kept = harness.store.take_attempt(secret.hash(), Timestamp::now());
    assert_eq!(kept.await.expect("read"), Some(purpose));
}
