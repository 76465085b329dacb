//! Every route of the table, requested with each credential that it must refuse. A route is served only from
//! the table, so none can be missing here.

use axum::http::header::{LOCATION, SET_COOKIE};

use super::super::routes;
use super::*;
use crate::web::render::HEADERS;

/// A path that matches the pattern of a route. Its asset exists; its id names nothing.
fn example(pattern: &str) -> String {
    pattern
        .replace("{name}", "operators.css")
        .replace("{id}", "01J9ZQ4D8N0VXB7T3WKE5M2R6C")
}

fn asked(method: &Method, path: &str, cookie: Option<&str>) -> Request<Body> {
    let mut request = posted(path, cookie, "action=save&csrf=".to_owned());
    *request.method_mut() = method.clone();
    request
}

const LOWER: [(Role, Option<Role>); 3] = [
    (Role::Viewer, None),
    (Role::Agent, Some(Role::Viewer)),
    (Role::Admin, Some(Role::Agent)),
];

#[tokio::test]
async fn only_the_way_in_is_open_to_all() {
    let open: Vec<_> = routes()
        .into_iter()
        .filter(|route| route.required.is_none())
        .map(|route| (route.method, route.path))
        .collect();
    assert_eq!(
        open,
        [
            (Method::GET, "/assets/{name}"),
            (Method::GET, "/login"),
            (Method::POST, "/login"),
            (Method::POST, "/login/code"),
            (Method::GET, "/login/sso"),
            (Method::GET, "/login/sso/callback"),
        ]
    );
    let changes_as_viewer: Vec<_> = routes()
        .into_iter()
        .filter(|route| route.method == Method::POST && route.required == Some(Role::Viewer))
        .map(|route| route.path)
        .collect();
    assert_eq!(
        changes_as_viewer,
        ["/logout", "/account", "/account/second-factor"]
    );
}

#[tokio::test]
async fn every_route_requires_a_session() {
    let harness = Harness::open().await;
    let unknown = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    let ended = harness.session(Role::Admin).await;
    let key = ended.cookie.split_once('=').expect("a pair").1.to_owned();
    let key = Token::parse(&key).unwrap_or_else(|error| panic!("{error}"));
    harness.store.end_key(key.hash()).await.expect("ended");
    for route in routes() {
        if route.required.is_none() {
            continue;
        }
        for cookie in [
            None,
            Some(String::new()),
            Some(format!("{COOKIE_NAME}=x")),
            Some(format!("{COOKIE_NAME}={}", unknown.reveal())),
            Some(ended.cookie.clone()),
        ] {
            let path = example(route.path);
            let request = asked(&route.method, &path, cookie.as_deref());
            let answer = harness.send(request).await;
            if route.method == Method::GET {
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "GET {path}");
                let to = answer.headers[LOCATION].to_str().expect("text");
                assert!(to.starts_with("/login"), "{to}");
            } else {
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "POST {path}");
            }
        }
    }
}

#[tokio::test]
async fn every_route_refuses_the_role_below_its_own() {
    let harness = Harness::open().await;
    for route in routes() {
        let Some(least) = route.required else {
            continue;
        };
        let below = LOWER.iter().find(|(role, _)| *role == least);
        let Some((_, Some(below))) = below else {
            continue;
        };
        let session = harness.session(*below).await;
        let path = example(route.path);
        let answer = match route.method {
            Method::GET => harness.get(&session, &path).await,
            _ => harness.post(&session, &path, &[("action", "save")]).await,
        };
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        let words = format!("This needs the role {least}.");
        assert!(answer.body.contains(&words), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn every_form_is_refused_cross_site_and_without_its_csrf_token() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Admin).await;
    let other = harness.session(Role::Admin).await;
    assert_ne!(session.csrf, other.csrf);
    let mut forms = 0;
    for route in routes() {
        if route.method != Method::POST {
            continue;
        }
        forms += 1;
        let path = example(route.path);
        let mut foreign = posted(
            &path,
            Some(&session.cookie),
            format!("csrf={}", session.csrf),
        );
        foreign.headers_mut().insert(
            "sec-fetch-site",
            axum::http::HeaderValue::from_static("same-site"),
        );
        let answer = harness.send(foreign).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "cross-site {path}");
        if route.required.is_none() {
            continue;
        }
        for csrf in ["", "x", other.csrf.as_str()] {
            let form = format!("action=save&csrf={csrf}");
            let answer = harness
                .send(posted(&path, Some(&session.cookie), form))
                .await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{csrf:?} {path}");
            assert!(
                answer.body.contains("Nothing was changed")
                    || answer.body.contains("nothing was changed")
            );
        }
    }
    assert!(forms >= 7);
    let history = harness.store.access_history(10).await.expect("read");
    assert_eq!(history.len(), 1, "nothing was changed");
    // The session still exists: the logout was refused, too.
    assert_eq!(harness.get(&session, "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_has_the_headers_and_none_is_kept() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Admin).await;
    for route in routes() {
        let path = example(route.path);
        for answer in [
            harness.send(asked(&route.method, &path, None)).await,
            harness.send(asked(&Method::PUT, &path, None)).await,
            harness.get(&session, &path).await,
        ] {
            for (name, value) in HEADERS {
                assert_eq!(answer.headers[name], value, "{path}");
            }
            let asset = path.starts_with("/assets/") && answer.status == StatusCode::OK;
            assert_eq!(
                answer.headers["cache-control"] == "no-store",
                !asset,
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_password_opens_a_session_and_the_logout_ends_it() {
    let harness = Harness::open().await;
    let name = harness.operator(Role::Agent).await;
    let login = async |name: &str, password: &str| {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("name", name), ("password", password)])
            .finish();
        harness.send(posted("/login", None, form)).await
    };
    for (name, password) in [
        (name.as_str(), "correct horse batterz"),
        ("nobody", PASSWORD),
        ("no name", PASSWORD),
        ("", ""),
    ] {
        let answer = login(name, password).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
        assert!(answer.body.contains("The name or the password is wrong."));
        assert!(!answer.headers.contains_key(SET_COOKIE));
    }
    let answer = login(name.as_str(), PASSWORD).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let cookie = answer.headers[SET_COOKIE]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let session = harness.enter(cookie).await;
    let page = harness.get(&session, "/").await;
    assert!(page.body.contains(">the-agent</a>, agent"));
    let answer = harness.post(&session, "/logout", &[]).await;
    assert_eq!(answer.headers[LOCATION], "/login");
    assert_eq!(
        harness.get(&session, "/").await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn guessing_passwords_is_bounded() {
    let harness = Harness::open().await;
    let guess = |_| posted("/login", None, "name=no+name&password=x".to_owned());
    let answers = asked_at_once(harness.router(), (0..11).map(guess)).await;
    let last = answers.last().map(|answer| answer.status);
    assert_eq!(last, Some(StatusCode::TOO_MANY_REQUESTS));
}

#[tokio::test]
async fn a_failed_login_is_in_the_audit_and_no_flood_of_them() {
    let harness = Harness::open().await;
    let name = harness.operator(Role::Agent).await;
    let guess = |name: &str| posted("/login", None, format!("name={name}&password=x"));
    let audited = async || {
        let page = crate::store::Page::first(100);
        let rows = harness.store.audit(page).await.expect("rows").rows;
        let failed = rows.into_iter().rev();
        failed
            .filter(|row| row.event == "operator.login_failed")
            .map(|row| (row.actor, row.origin, row.detail.unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    // A password in the wrong field must not appear in the log.
    let names = ["hunter2", "no+name", ""];
    let flood = std::iter::repeat_n(name.as_str(), 21);
    let guesses = names.into_iter().chain(flood).map(guess);
    asked_at_once(harness.router(), guesses).await;
    let locked_out = "locked out after too many attempts, from 0.0.0.0";
    let (lockouts, mut by): (Vec<_>, Vec<_>) = audited()
        .await
        .into_iter()
        .partition(|(_, _, why)| why == locked_out);
    assert_eq!(lockouts.len(), 1, "{lockouts:?}");
    by.sort();
    let page = || Some("page".to_owned());
    let (wrong, unknown) = ("wrong password", "unknown name");
    let row = |by: &str, why: &str| {
        (
            format!("operator:{by}"),
            page(),
            format!("{why}, from 0.0.0.0"),
        )
    };
    let mut expected = vec![row("?", unknown); 3];
    expected.resize(10, row(name.as_str(), wrong));
    assert_eq!(by, expected);
}

#[tokio::test]
async fn a_name_of_another_site_is_not_answered() {
    let harness = Harness::open().await;
    let answer = async |target: &str, hosts: &[&str]| {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.body(Body::empty()).expect("a request");
        let answer = harness.send(request).await;
        (answer.status.as_u16(), answer.body)
    };
    for path in ["/login", "/assets/operators.css"] {
        for (hosts, status) in [
            (&["127.0.0.1:8081"][..], 200),
            (&["[::1]:8081"], 200),
            (&["10.1.2.3"], 200),
            (&["localhost"], 200),
            (&["LocalHost.:8081"], 200),
            (&["evil.example"], 421),
            (&["evil.example:8081"], 421),
            (&["localhost.evil.example"], 421),
            (&["localhost", "localhost"], 400),
            (&["localhost", "evil.example"], 400),
            (&["a@localhost"], 400),
        ] {
            let (found, body) = answer(path, hosts).await;
            assert_eq!(found, status, "{path} {hosts:?}");
            assert_eq!(body.contains("http.admin_hosts"), status == 421, "{body}");
        }
        let (found, _) = answer(&format!("http://evil.example{path}"), &["localhost"]).await;
        assert_eq!(found, 421);
    }
}

#[tokio::test]
async fn the_cookie_of_a_session_is_that_of_this_host_alone() {
    let mut config = sample::config("");
    config.http.admin_url = Some("https://vestibule.corp.example".to_owned());
    let harness = Harness::with(config).await;
    let name = harness.operator(Role::Agent).await;
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("name", name.as_str()), ("password", PASSWORD)])
        .finish();
    let answer = harness.send(posted("/login", None, form)).await;
    let set = answer.headers[SET_COOKIE].to_str().expect("text");
    assert!(
        set.starts_with("__Host-vestibule_session="),
        "the host's own: {set}"
    );
    assert!(set.ends_with("; SameSite=Strict; Secure"), "{set}");
    let own = set.split(';').next().expect("a pair");
    let other = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    let other = format!("__Host-vestibule_session={}", other.reveal());
    for (cookies, status) in [
        (own.to_owned(), StatusCode::OK),
        (own.replace("__Host-", ""), StatusCode::SEE_OTHER),
        (format!("{own}; {other}"), StatusCode::SEE_OTHER),
        (format!("{other}; {own}"), StatusCode::SEE_OTHER),
    ] {
        let request = Request::get("/").header(COOKIE, &cookies);
        let request = request.body(Body::empty()).expect("a request");
        assert_eq!(harness.send(request).await.status, status, "{cookies}");
    }
    let session = harness.enter(own.to_owned()).await;
    let answer = harness.post(&session, "/logout", &[]).await;
    let set = answer.headers[SET_COOKIE].to_str().expect("text");
    assert!(
        set.starts_with("__Host-vestibule_session=; Path=/; Max-Age=0;") && set.ends_with("Secure"),
        "{set}"
    );
}

#[tokio::test]
async fn a_form_of_somebody_without_a_session_is_small() {
    let harness = Harness::open().await;
    for path in ["/login", "/login/code"] {
        let large = posted(path, None, "a&".repeat(32 * 1024));
        let answer = harness.send(large).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    // The longest password and path, in the longest encoding.
    let (password, to) = ("%C3%A4".repeat(512), "%41".repeat(4095));
    let form = format!("name=ann&password={password}&to=/{to}");
    let answer = harness.send(posted("/login", None, form)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.body);
}
