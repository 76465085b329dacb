//! `Idempotency-Key`.

use axum::response::IntoResponse;
use tokio::sync::Notify;

use super::*;
use crate::store::AnswerKey;
use crate::web::api::idempotency::once;
use crate::web::api::problem::ProblemKind;

async fn keyed(harness: &Harness, token: &str, key: &str, path: &str, body: Value) -> Answer {
    let mut request = request(&Method::POST, path, Some(token), Some(&body));
    let key = key.parse().expect("a value");
    request.headers_mut().insert("idempotency-key", key);
    harness.send(request).await
}

#[tokio::test]
async fn the_same_request_is_done_once_and_answered_the_same() {
    let harness = Harness::open().await;
    let agent = token(&harness, Role::Agent).await;
    let bob = json!({"address": "bob@partner.example"});
    let first = keyed(&harness, &agent, "k-1", "/customers", bob.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    let again = keyed(&harness, &agent, "k-1", "/customers", bob.clone()).await;
    assert_eq!(again.status, StatusCode::CREATED);
    assert_eq!(again.body, first.body);
    assert_eq!(again.headers["location"], first.headers["location"]);
    assert_eq!(again.headers[CONTENT_TYPE], "application/json");
    assert_eq!(again.headers["idempotency-replayed"], "true");
    // Without the key, or with another one, the request is carried out again.
    let anew = post(&harness, &agent, "/customers", bob.clone()).await;
    assert_eq!(anew.status, StatusCode::OK);
    let anew = keyed(&harness, &agent, "k-2", "/customers", bob).await;
    assert_eq!(anew.status, StatusCode::OK);
}

#[tokio::test]
async fn a_key_is_one_requests_and_one_operators() {
    let harness = Harness::open().await;
    let agent = token(&harness, Role::Agent).await;
    let admin = token(&harness, Role::Admin).await;
    let bob = json!({"address": "bob@partner.example"});
    let first = keyed(&harness, &agent, "k", "/customers", bob.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let ann = json!({"address": "ann@corp.example"});
    let other = keyed(&harness, &agent, "k", "/customers", ann).await;
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    is_problem(&other, status, "key-reused", "another body");
    let path = "/customers/bob@partner.example/block";
    let other = keyed(&harness, &agent, "k", path, bob.clone()).await;
    is_problem(&other, status, "key-reused", "another path");
    let others = keyed(&harness, &admin, "k", "/customers", bob).await;
    assert_eq!(others.status, StatusCode::OK, "another operator's");
}

#[tokio::test]
async fn a_refusal_is_replayed_and_a_bad_key_refused_at_once() {
    let harness = Harness::open().await;
    let agent = token(&harness, Role::Agent).await;
    let eve = json!({"address": "eve@elsewhere.example"});
    for replayed in [false, true] {
        let answer = keyed(&harness, &agent, "k", "/customers", eve.clone()).await;
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        is_problem(&answer, status, "access-settings", "not allowed");
        let problem = object(&answer, status);
        assert_eq!(problem["reason"], "domain_not_allowed");
        assert_eq!(problem["rule"], 16);
        assert_eq!(
            answer.headers.contains_key("idempotency-replayed"),
            replayed
        );
    }
    let long = "k".repeat(256);
    for key in ["", "a b", &long] {
        let answer = keyed(&harness, &agent, key, "/customers", eve.clone()).await;
        is_problem(&answer, StatusCode::BAD_REQUEST, "malformed", key);
    }
}

async fn answer_key(harness: &Harness) -> AnswerKey {
    AnswerKey {
        operator: harness.operator(Role::Agent).await,
        key: "k".to_owned(),
        request: [7; 32],
    }
}

#[tokio::test]
async fn the_request_of_a_client_that_disconnects_is_completed_once() {
    let harness = Harness::open().await;
    let (app, asked) = (state_of(&harness), answer_key(&harness).await);
    let (began, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&began), Arc::clone(&may_end));
    let work = async move {
        tell.notify_one();
        wait.notified().await;
        StatusCode::CREATED.into_response()
    };
    let client = tokio::spawn(once(Arc::clone(&app), asked.clone(), work));
    began.notified().await;
    client.abort();
    assert!(client.await.is_err_and(|error| error.is_cancelled()));
    let repeat = || {
        let work = async { StatusCode::OK.into_response() };
        once(Arc::clone(&app), asked.clone(), work)
    };
    let refused = repeat().await.expect_err("underway");
    assert_eq!(refused.kind, ProblemKind::Underway);
    may_end.notify_one();
    // As the drain does.
    app.tasks.close();
    app.tasks.wait().await;
    let answer = repeat().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn work_that_panics_or_takes_too_long_gives_up_its_key() {
    let harness = Harness::open().await;
    let (app, asked) = (state_of(&harness), answer_key(&harness).await);
    let panics = async {
        assert!(std::hint::black_box(false), "no");
        StatusCode::OK.into_response()
    };
    let answer = once(Arc::clone(&app), asked.clone(), panics).await;
    let status = answer.expect("an answer").status();
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    // In paused time the limit expires as soon as nothing else can run.
    tokio::time::pause();
    let answer = once(Arc::clone(&app), asked.clone(), std::future::pending()).await;
    let status = answer.expect("an answer").status();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let works = async { StatusCode::CREATED.into_response() };
    let answer = once(app, asked, works).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_stored_and_its_request_is_not_repeated() {
    let harness = Harness::open().await;
    let (app, asked) = (state_of(&harness), answer_key(&harness).await);
    let carry_out = |size: usize| {
        let work = async move { (StatusCode::CREATED, "x".repeat(size)).into_response() };
        once(Arc::clone(&app), asked.clone(), work)
    };
    let size = 4 * 1024 * 1024 + 1;
    let first = carry_out(size).await.expect("an answer");
    assert_eq!(first.status(), StatusCode::CREATED);
    let body = axum::body::to_bytes(first.into_body(), usize::MAX).await;
    assert_eq!(body.expect("a body").len(), size, "the first is whole");
    let repeat = carry_out(1).await.expect("an answer");
    assert_eq!(repeat.status(), StatusCode::CONFLICT);
    assert_eq!(repeat.headers()[CONTENT_TYPE], "application/problem+json");
    let body = axum::body::to_bytes(repeat.into_body(), usize::MAX).await;
    let problem: Value = serde_json::from_slice(&body.expect("a body")).expect("JSON");
    assert_eq!(problem["type"], "urn:vestibule:problem:answer-not-kept");
    assert_eq!(problem["detail"], "the request was answered 201 before");
}
