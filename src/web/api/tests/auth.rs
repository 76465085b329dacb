//! Every route of the table, requested with each credential that it must refuse. A route is served only from
//! the table, so none can be missing here.

use std::net::SocketAddr;

use axum::http::header::{ALLOW, COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue};

use super::super::{MAX_BODY, routes};
use super::*;
use crate::web::rate_limit::Peer;
use crate::web::render::HEADERS;

/// A path that matches the pattern of a route and names nothing that exists.
fn example(pattern: &str) -> String {
    pattern
        .replace("{customer}", "nobody@corp.example")
        .replace("{request}", "01J9ZQ4D8N0VXB7T3WKE5M2R6C")
        .replace("{ledger}", "01J9ZQ4D8N0VXB7T3WKE5M2R6C")
        .replace("{destination}", "nowhere")
}

const BELOW: [(Role, Option<Role>); 3] = [
    (Role::Viewer, None),
    (Role::Agent, Some(Role::Viewer)),
    (Role::Admin, Some(Role::Agent)),
];

#[test]
fn only_the_document_is_open_to_all_and_no_viewer_changes_anything() {
    let open: Vec<_> = routes()
        .into_iter()
        .filter(|route| route.required.is_none())
        .map(|route| (route.method, route.path))
        .collect();
    assert_eq!(open, [(Method::GET, "/openapi.json")]);
    let by_viewers: Vec<_> = routes()
        .into_iter()
        .filter(|route| route.method != Method::GET && route.required <= Some(Role::Viewer))
        .map(|route| route.path)
        .collect();
    // A comparison: it changes nothing.
    assert_eq!(by_viewers, ["/access/simulate"]);
}

#[tokio::test]
async fn every_route_requires_a_sufficient_token() {
    let hour = SignedDuration::from_hours(1);
    let harness = Harness::open().await;
    for (number, route) in (0..).zip(routes()) {
        if route.required.is_none() {
            continue;
        }
        // One client for each route: this many invalid tokens would exhaust the rate limit of a single
        // client.
        let client = SocketAddr::from(([192, 0, 2, number], 1));
        let session = harness.session(Role::Admin).await;
        let unknown = Token::generate().unwrap_or_else(|error| panic!("{error}"));
        let expired = key(&harness, Role::Admin, Role::Admin, KeyKind::Token, -hour).await;
        let browsers = key(&harness, Role::Admin, Role::Admin, KeyKind::Session, hour).await;
        let ended = token(&harness, Role::Admin).await;
        let hash = Token::parse(&ended).unwrap_or_else(|error| panic!("{error}"));
        harness.store.end_key(hash.hash()).await.expect("ended");
        let good = token(&harness, Role::Admin).await;
        let path = example(route.path);
        let plain = || {
            let mut request = request(&route.method, &path, None, Some(&json!({})));
            request.extensions_mut().insert(Peer(client));
            request
        };
        let with = |name: HeaderName, value: &str| {
            let mut request = plain();
            let value = HeaderValue::from_str(value).expect("a value");
            request.headers_mut().insert(name, value);
            request
        };
        let mut from_elsewhere = with(COOKIE, &session.cookie);
        from_elsewhere
            .headers_mut()
            .insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        for (request, kind) in [
            (plain(), "no-token"),
            // A session opens pages only, whichever header carries it.
            (with(COOKIE, &session.cookie), "no-token"),
            (from_elsewhere, "no-token"),
            (with(AUTHORIZATION, ""), "invalid-token"),
            (with(AUTHORIZATION, "Bearer"), "invalid-token"),
            (with(AUTHORIZATION, &good), "invalid-token"),
            (
                with(AUTHORIZATION, &format!("Basic {good}")),
                "invalid-token",
            ),
            (
                with(AUTHORIZATION, &format!("Bearer {}", unknown.reveal())),
                "invalid-token",
            ),
            (
                with(AUTHORIZATION, &format!("Bearer {expired}")),
                "invalid-token",
            ),
            (
                with(AUTHORIZATION, &format!("Bearer {browsers}")),
                "invalid-token",
            ),
            (
                with(AUTHORIZATION, &format!("Bearer {ended}")),
                "invalid-token",
            ),
        ] {
            let answer = harness.send(request).await;
            let what = format!("{} {path}", route.method);
            is_problem(&answer, StatusCode::UNAUTHORIZED, kind, &what);
            assert!(answer.headers.contains_key(WWW_AUTHENTICATE), "{what}");
        }
        let answer = harness
            .send(with(AUTHORIZATION, &format!("bearer {good}")))
            .await;
        assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        let history = harness.store.access_history(10).await.expect("read");
        assert_eq!(history.len(), 1, "{path}: nothing was changed");
    }
}

#[tokio::test]
async fn every_route_refuses_the_role_below_its_own() {
    let harness = Harness::open().await;
    let hour = SignedDuration::from_hours(1);
    for route in routes() {
        let Some(least) = route.required else {
            continue;
        };
        let below = BELOW.iter().find(|(role, _)| *role == least);
        let Some((_, Some(below))) = below else {
            continue;
        };
        let path = example(route.path);
        let less = token(&harness, *below).await;
        // A token with a higher role than its operator has.
        let boasts = key(&harness, *below, least, KeyKind::Token, hour).await;
        for token in [less, boasts] {
            let body = json!({});
            let body = (route.method == Method::POST).then_some(&body);
            let sent = request(&route.method, &path, Some(&token), body);
            let answer = harness.send(sent).await;
            is_problem(&answer, StatusCode::FORBIDDEN, "role", &path);
            let words = format!("this needs the role {least}; the token has the role {below}");
            assert!(answer.body.contains(&words), "{path}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn invalid_tokens_are_limited_and_valid_ones_are_not() {
    let harness = Harness::open().await;
    let good = token(&harness, Role::Viewer).await;
    let guess = |_| request(&Method::GET, "/stats", Some("wrong"), None);
    let answers = asked_at_once(harness.router(), (0..61).map(guess)).await;
    let last = answers.last().expect("answers");
    is_problem(last, StatusCode::TOO_MANY_REQUESTS, "too-many", "the last");
    assert!(last.headers.contains_key("retry-after"));
    assert_eq!(get(&harness, &good, "/stats").await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_error_is_a_problem_with_the_common_headers() {
    let harness = Harness::open().await;
    let admin = token(&harness, Role::Admin).await;
    let raw = |method: &Method, path: &str, kind: &str, body: Body| {
        Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {admin}"))
            .header(CONTENT_TYPE, kind)
            .body(body)
            .expect("a request")
    };
    let (get, post) = (Method::GET, Method::POST);
    let json = "application/json";
    let large = "x".repeat(MAX_BODY + 1);
    for (request, status, kind) in [
        (raw(&get, "/api", json, Body::empty()), 404, "not-found"),
        (
            raw(&get, "/api/v2/stats", json, Body::empty()),
            404,
            "not-found",
        ),
        (
            raw(&get, "/api/v1/nothing", json, Body::empty()),
            404,
            "not-found",
        ),
        (
            raw(&Method::DELETE, "/api/v1/stats", json, Body::empty()),
            405,
            "method",
        ),
        (
            raw(&get, "/api/v1/stats?since=yesterday", json, Body::empty()),
            400,
            "malformed",
        ),
        (
            raw(&get, "/api/v1/stats?sinse=1d", json, Body::empty()),
            400,
            "malformed",
        ),
        (
            raw(&get, "/api/v1/deliveries?x=1", json, Body::empty()),
            400,
            "malformed",
        ),
        (
            raw(&get, "/api/v1/requests?limit=0", json, Body::empty()),
            400,
            "malformed",
        ),
        (
            raw(&get, "/api/v1/requests?limit=1001", json, Body::empty()),
            400,
            "malformed",
        ),
        (
            raw(
                &get,
                "/api/v1/requests?state=held&state=failed",
                json,
                Body::empty(),
            ),
            400,
            "malformed",
        ),
        (
            raw(&get, "/api/v1/requests?portal=nope", json, Body::empty()),
            422,
            "refused",
        ),
        (
            raw(
                &get,
                "/api/v1/requests?after=01J9ZQ4D8N0VXB7T3WKE5M2R6C",
                json,
                Body::empty(),
            ),
            422,
            "refused",
        ),
        (
            raw(&get, "/api/v1/requests/x", json, Body::empty()),
            404,
            "not-found",
        ),
        (
            raw(&get, "/api/v1/customers/%FF", json, Body::empty()),
            400,
            "malformed",
        ),
        (
            raw(&post, "/api/v1/customers", json, Body::from("{")),
            400,
            "malformed",
        ),
        (
            raw(
                &post,
                "/api/v1/customers",
                json,
                Body::from("{\"adress\": 1}"),
            ),
            400,
            "malformed",
        ),
        (
            raw(&post, "/api/v1/customers", "text/plain", Body::from("{}")),
            415,
            "media-type",
        ),
        (
            raw(
                &post,
                "/api/v1/customers",
                "application/x-www-form-urlencoded",
                Body::from("{}"),
            ),
            415,
            "media-type",
        ),
        (
            raw(&post, "/api/v1/customers", json, Body::from(large)),
            413,
            "too-large",
        ),
    ] {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = harness.send(request).await;
        let status = StatusCode::from_u16(status).expect("a status");
        is_problem(&answer, status, kind, &what);
        assert_eq!(
            status == StatusCode::METHOD_NOT_ALLOWED,
            answer.headers.contains_key(ALLOW)
        );
        for (name, value) in HEADERS {
            assert_eq!(answer.headers[name], value, "{what}");
        }
        assert_eq!(answer.headers["cache-control"], "no-store", "{what}");
    }
}
