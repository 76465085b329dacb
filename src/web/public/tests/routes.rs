//! Properties of every route.

use super::super::super::render::HEADERS;
use super::super::routes;
use super::*;

/// A path that matches the pattern of a route.
fn example(pattern: &str) -> String {
    pattern
        .replace("{token}", &"A".repeat(43))
        .replace("{name}", "vestibule.css")
}

#[tokio::test]
async fn every_answer_of_every_route_has_the_headers() {
    let harness = Harness::open().await;
    let mut paths: Vec<String> = routes().iter().map(|(path, _)| example(path)).collect();
    assert!(paths.len() >= 7);
    paths.extend(
        [
            "/nothing",
            "/assets/none.css",
            "/verify/short",
            "/assets/..%2fx.css",
        ]
        .map(String::from),
    );
    for path in &paths {
        for method in [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            let answer = harness.ask(method.clone(), path).await;
            for (name, value) in HEADERS {
                assert_eq!(answer.headers[name], value, "{method} {path}");
            }
            let cache = &answer.headers["cache-control"];
            let asset = path == "/assets/vestibule.css" && answer.status == StatusCode::OK;
            assert_eq!(cache == "no-store", !asset, "{method} {path}");
            assert!(
                !answer.headers.contains_key("set-cookie"),
                "{method} {path}"
            );
            let kind = answer.headers.get(CONTENT_TYPE);
            assert!(kind.is_some(), "{method} {path}");
            if answer.status.is_client_error() && method != Method::HEAD {
                assert!(
                    answer.body.contains("<h1>"),
                    "a proper page: {method} {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn forms_from_another_site_are_refused() {
    let harness = Harness::open().await;
    for (path, _) in routes() {
        let request = Request::post(example(path))
            .header("sec-fetch-site", "cross-site")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from("action=confirm&email=ann@corp.example"))
            .expect("a request");
        let answer = harness.send(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    harness.wait_for_background_tasks().await;
    assert!(harness.verification_mail().await.is_none());
}

#[tokio::test]
async fn the_language_follows_the_browser() {
    let harness = Harness::open().await;
    for (accept, lang, word) in [
        ("de-CH, en;q=0.5", "de", "Seite nicht gefunden"),
        ("eo, ar;q=0.5", "ar", "dir=\"rtl\""),
        ("eo", "en", "Page not found"),
    ] {
        let request = Request::get("/nothing")
            .header("accept-language", accept)
            .body(Body::empty())
            .expect("a request");
        let answer = harness.send(request).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.headers["content-language"], lang);
        assert!(answer.body.contains(word), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_page_that_is_not_there_leads_on() {
    let harness = Harness::open().await;
    let page = harness.get("/nothing?lang=de").await.body;
    for link in ["/?lang=de", "/resend?lang=de"] {
        assert!(page.contains(&format!(r#"<p><a href="{link}">"#)), "{page}");
    }
}

#[tokio::test]
async fn forms_that_cannot_be_understood() {
    let harness = Harness::open().await;
    harness.mail("ann@corp.example", "one").await;
    let link = harness.link().await;
    for (form, status) in [
        (String::new(), StatusCode::BAD_REQUEST),
        ("action=other".to_owned(), StatusCode::BAD_REQUEST),
        (
            "action=confirm&request=x".to_owned(),
            StatusCode::BAD_REQUEST,
        ),
        ("a".repeat(65 * 1024), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let answer = harness.post(&link, &form).await;
        assert_eq!(answer.status, status);
        assert!(answer.body.contains("<h1>"));
    }
    let answer = harness.ask(Method::DELETE, &link).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(answer.headers.contains_key("allow"));
}

#[tokio::test]
async fn readiness_is_the_database_the_listeners_and_the_canary() {
    let harness = Harness::open().await;
    assert_eq!(harness.get("/healthz").await.body, "ok\n");
    let before = harness.get("/readyz").await;
    assert_eq!(before.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        before.body,
        r#"{"canary":null,"clock":true,"database":true,"listeners":false,"ready":false}"#
    );
    harness.readiness.listeners_are_up(true);
    let after = harness.get("/readyz").await;
    assert_eq!(after.status, StatusCode::OK);
    harness.readiness.canary_arrived(Some(false));
    let silent = harness.get("/readyz").await;
    assert_eq!(silent.status, StatusCode::SERVICE_UNAVAILABLE);
    harness.readiness.canary_arrived(Some(true));
    let sings = harness.get("/readyz").await;
    assert_eq!(sings.status, StatusCode::OK);
}

#[tokio::test]
async fn guessing_links_is_rate_limited_and_valid_links_still_open() {
    let harness = Harness::open().await;
    harness.mail("ann@corp.example", "one").await;
    let link = harness.link().await;
    let guess = |_| {
        let guess = Token::generate().unwrap_or_else(|error| panic!("{error}"));
        let request = Request::get(format!("/verify/{}", guess.reveal()));
        request.body(Body::empty()).expect("a request")
    };
    // They are handled concurrently, so any of them may be the one that is refused.
    let answers = asked_at_once(&harness.router, (0..40).map(guess)).await;
    for status in [StatusCode::NOT_FOUND, StatusCode::TOO_MANY_REQUESTS] {
        let found = answers.iter().any(|answer| answer.status == status);
        assert!(found, "none was answered {status}");
    }
    assert_eq!(harness.get(&link).await.status, StatusCode::OK);
}

#[tokio::test]
async fn links_and_forms_are_below_the_path_of_the_public_url() {
    let mut config = sample::config("");
    config.http.public_url = "https://corp.example/gate".to_owned();
    let harness = Harness::with(config).await;
    harness.mail("ann@corp.example", "held").await;
    let mail = harness.mail_valid_for(Duration::ZERO).await;
    let (_, token) = mail.expect("a verification mail is due");
    let expired = format!("/verify/{}", token.reveal());
    for path in ["/", "/signup", "/resend", "/nothing", &expired] {
        let body = harness.get(path).await.body;
        let absolute: Vec<_> = body.split("=\"/").skip(1).collect();
        assert!(absolute.len() >= 3, "{path}: {body}");
        for target in absolute {
            assert!(target.starts_with("gate/"), "{path}: {target:.40}");
        }
    }
    let body = harness.get(&expired).await.body;
    assert!(body.contains("action=\"/gate/resend\""), "{body}");
}
