//! Forms that need a recent sign-in, and the login that leads back to them.

use axum::http::header::LOCATION;

use super::late_forms::sign_in;
use super::*;

const OLD: SignedDuration = SignedDuration::from_mins(16);

/// The link "Sign in again" of a page.
fn again(page: &str) -> String {
    let (_, rest) = page.split_once("id=\"sign-in-again\">").expect("a hint");
    let (_, rest) = rest.split_once("href=\"").expect("a link");
    let link = rest.split('"').next().unwrap_or_default();
    link.replace("&#x2f;", "/").replace("&amp;", "&")
}

#[tokio::test]
async fn a_token_needs_a_recent_sign_in_and_the_entries_are_kept() {
    let harness = Harness::open().await;
    let old = harness.session_of_age(Role::Agent, OLD).await;
    let page = harness.get(&old, "/account").await;
    assert_eq!(again(&page.body), "/login?to=%2Faccount");
    let token = [
        ("action", "token"),
        ("role", "agent"),
        ("days", "365"),
        ("purpose", "a report & \"more\""),
    ];
    let refused = harness.post(&old, "/account", &token).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
    assert!(!refused.body.contains("id=\"token\""), "{}", refused.body);
    let name = harness.operator(Role::Agent).await;
    let made = harness.store.tokens(Some(name.clone()), Timestamp::now());
    assert!(made.await.expect("read").is_empty());

    let link = again(&refused.body);
    let (_, to) = link.split_once("?to=").expect("a destination");
    let form = format!("name={name}&password=correct+horse+battery&to={to}");
    let login = harness.send(posted("/login", None, form)).await;
    assert_eq!(login.status, StatusCode::SEE_OTHER, "{}", login.body);
    let back = login.headers[LOCATION].to_str().expect("text");
    let recent = harness.session(Role::Agent).await;
    let page = harness.get(&recent, back).await.body;
    assert!(!page.contains("sign-in-again"), "{page}");
    for entry in [
        "value=\"a report &amp; &quot;more&quot;\"",
        "<option value=\"agent\" selected>",
        "<option value=\"365\" selected>",
    ] {
        assert!(page.contains(entry), "{entry}: {page}");
    }
    let made = harness.post(&recent, "/account", &token).await;
    assert!(made.body.contains("id=\"token\""), "{}", made.body);
}

#[tokio::test]
async fn a_sign_in_at_the_provider_is_as_old_as_it_says() {
    let mut config = sample::config("");
    config.http.admin_url = Some("http://localhost:8081".to_owned());
    config.sso = Some(crate::sso::tests::sso());
    let harness = Harness::with(config).await;
    let now = Timestamp::now();
    for (authenticated_at, is_recent) in
        [(Some(now), true), (Some(now - OLD), false), (None, false)]
    {
        let cookie = sign_in(&harness.store, Role::Admin, authenticated_at).await;
        let session = harness.enter(cookie).await;
        let page = harness.get(&session, "/account").await.body;
        assert_eq!(
            !page.contains("sign-in-again"),
            is_recent,
            "{authenticated_at:?}"
        );
        let token = [("action", "token"), ("role", "viewer"), ("days", "365")];
        let answer = harness.post(&session, "/account", &token).await;
        assert_eq!(
            answer.body.contains("id=\"token\""),
            is_recent,
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn giving_access_needs_a_recent_sign_in_and_ending_it_does_not() {
    let harness = Harness::open().await;
    let viewer = harness.session(Role::Viewer).await;
    let old = harness.session_of_age(Role::Admin, OLD).await;
    let recent = harness
        .session_of_age(Role::Admin, SignedDuration::from_mins(14))
        .await;
    let password = ("password", "another long password");
    let add = [
        ("action", "add"),
        ("name", "bob"),
        ("role", "admin"),
        password,
    ];
    let set = [("action", "password"), ("name", "the-viewer"), password];
    let reset = [("action", "reset-totp"), ("name", "the-viewer")];
    for (fields, kept) in [
        (
            &add[..],
            "/login?to=%2Foperators%3Fname%3Dbob%26role%3Dadmin",
        ),
        (&set[..], "/login?to=%2Foperators"),
        (&reset[..], "/login?to=%2Foperators"),
    ] {
        let refused = harness.post(&old, "/operators", fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
        assert!(refused.body.contains("Nothing was changed."));
        assert_eq!(again(&refused.body), kept);
        assert!(!refused.body.contains(password.1), "{}", refused.body);
    }
    assert_eq!(harness.get(&viewer, "/").await.status, StatusCode::OK);
    let revoke = [("action", "revoke"), ("name", "the-viewer")];
    let ended = harness.post(&old, "/operators", &revoke).await;
    assert_eq!(ended.status, StatusCode::SEE_OTHER, "{}", ended.body);
    for fields in [&add[..], &set[..]] {
        let done = harness.post(&recent, "/operators", fields).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    }
}

#[tokio::test]
async fn the_own_password_needs_the_current_one_and_no_recent_sign_in() {
    let harness = Harness::open().await;
    let old = harness.session_of_age(Role::Agent, OLD).await;
    let change = [
        ("action", "password"),
        ("current", PASSWORD),
        ("password", "another long password"),
    ];
    let changed = harness.post(&old, "/account", &change).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.body);
}
