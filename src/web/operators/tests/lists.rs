//! Lists: forwards and backwards, selection, CSV, the audit's filter, and links that survive the login.

use axum::http::header::{CONTENT_DISPOSITION, LOCATION};

use super::*;
use crate::domain::DestinationName;
use crate::store::DownDestination;

/// The address of the link with this relation.
fn link(page: &str, relation: &str) -> Option<String> {
    let (before, _) = page.split_once(&format!("\" rel=\"{relation}\""))?;
    let (_, address) = before.rsplit_once("href=\"")?;
    Some(address.replace("&amp;", "&").replace("&#x2f;", "/"))
}

#[tokio::test]
async fn a_paused_destination_says_since_when_it_is_down() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Admin).await;
    let down = DownDestination {
        name: DestinationName::parse("helpdesk").expect("a name"),
        since: Timestamp::now(),
        next_try_at: Timestamp::now(),
        last_error: "503".to_owned(),
        is_requested: false,
    };
    harness.store.record_down(down).await.expect("recorded");
    let pause = [("action", "pause"), ("destination", "helpdesk")];
    for text in [" since <time", ", down since <time"] {
        let shown = harness.get(&session, "/deliveries").await;
        let hint = format!("<span class=\"hint\">{text}");
        assert!(shown.body.contains(&hint), "{text}: {}", shown.body);
        harness.post(&session, "/deliveries", &pause).await;
    }
}

#[tokio::test]
async fn a_list_leads_back_to_what_is_newer() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    for n in 0..120 {
        harness.mail(&format!("p{n}@corp.example"), "one").await;
    }
    let first = harness.get(&session, "/requests?state=held").await.body;
    assert!(link(&first, "prev").is_none());
    let to_second = link(&first, "next").expect("older");
    let second = harness.get(&session, &to_second).await.body;
    let to_third = link(&second, "next").expect("older");
    let third = harness.get(&session, &to_third).await.body;
    assert!(link(&third, "next").is_none());
    let rows = |page: &str| page.matches("data-label=\"Received\"").count();
    assert_eq!([rows(&first), rows(&second), rows(&third)], [50, 50, 20]);
    let back = link(&third, "prev").expect("newer");
    let again = harness.get(&session, &back).await.body;
    // The time that the page shows can differ.
    let table = |page: &str| {
        page.split("<tbody>")
            .nth(1)
            .map(str::to_owned)
            .expect("rows")
    };
    assert_eq!(table(&again), table(&second));
    let back = link(&second, "prev").expect("newer");
    assert_eq!(back, "/requests?state=held");
}

#[tokio::test]
async fn rows_are_selected_together_and_no_button_does_nothing() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    for n in 0..60 {
        harness.mail(&format!("p{n}@corp.example"), "one").await;
    }
    let page = harness.get(&session, "/requests?state=held").await.body;
    assert!(!page.contains(" checked"), "{page}");
    assert!(page.contains("all 60 that match"), "{page}");
    assert_eq!(page.matches("value=\"release\"").count(), 2);
    assert_eq!(page.matches("value=\"retry\"").count(), 0);
    let page = harness.get(&session, "/requests?state=held&select=page");
    assert_eq!(page.await.body.matches(" checked").count(), 50);
    let page = harness
        .get(&session, "/requests?state=delivered")
        .await
        .body;
    assert!(!page.contains("name=\"action\""), "{page}");
    harness.mail("eve@elsewhere.example", "no").await;
    let page = harness.get(&session, "/dropped?select=page").await.body;
    assert_eq!(page.matches(" checked").count(), 1);
}

#[tokio::test]
async fn lists_are_saved_as_csv_with_their_filter() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    harness.mail("ann@corp.example", "=cmd|calc").await;
    harness
        .mail("eve@elsewhere.example", "two, or \"three\"")
        .await;
    index(&harness).await;
    for (path, lines, text) in [
        ("/requests.csv?state=held", 2, "\"'=cmd|calc\""),
        ("/requests.csv?state=failed", 1, "id,received"),
        ("/messages.csv", 3, "\"two, or \"\"three\"\"\""),
        ("/messages.csv?search=ann%40corp.example", 2, "held"),
        ("/dropped.csv", 2, "domain_not_allowed"),
        ("/customers.csv", 2, "ann@corp.example,internal,pending"),
        ("/audit.csv", 2, "operator.added"),
        ("/find.csv?q=two", 2, "domain_not_allowed"),
        ("/find.csv?q=two&verdict=held", 1, "ledger,received"),
        ("/mail.csv", 2, "ann@corp.example,verification,waiting"),
        ("/mail.csv?state=claimed", 1, "address,kind"),
    ] {
        let file = harness.get(&session, path).await;
        assert_eq!(file.status, StatusCode::OK, "{path}");
        assert_eq!(file.headers[CONTENT_TYPE], "text/csv; charset=utf-8");
        let disposition = file.headers[CONTENT_DISPOSITION].to_str().expect("text");
        assert!(disposition.starts_with("attachment; "), "{disposition}");
        assert!(file.body.lines().count() >= lines, "{path}: {}", file.body);
        assert!(file.body.contains(text), "{path}: {}", file.body);
    }
    for wrong in [
        "/requests.csv?state=lost",
        "/mail.csv?state=sent",
        "/find.csv?q=x&since=x",
    ] {
        let wrong = harness.get(&session, wrong).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    }
    // A file has all pages of a search.
    for n in 0..120 {
        harness
            .mail("eve@elsewhere.example", &format!("number {n}"))
            .await;
    }
    index(&harness).await;
    let file = harness.get(&session, "/find.csv?q=number").await;
    assert_eq!(file.body.lines().count(), 121);
}

#[tokio::test]
async fn the_audit_is_narrowed_by_who_what_and_when() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let today = Timestamp::now().strftime("%F").to_string();
    let entry = harness.mail("ann@corp.example", "one").await;
    let path = format!("/messages/{}", entry.ledger);
    harness
        .post(&session, &path, &[("action", "release")])
        .await;
    for (query, rows) in [
        ("operator=the-agent", 1),
        ("operator=nobody", 0),
        ("event=request.released", 1),
        ("event=operator.added", 1),
        ("event=request.released&operator=root", 0),
        ("until=2020-01-01", 0),
        (&format!("since={today}&event=request.released"), 1),
        ("since=2999-01-01", 0),
    ] {
        let page = harness.get(&session, &format!("/audit?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{query}");
        let found = page.body.matches("data-label=\"Event\"").count();
        assert_eq!(found, rows, "{query}: {}", page.body);
    }
    let wrong = harness.get(&session, "/audit?since=yesterday").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_link_into_the_pages_survives_the_login_and_leads_nowhere_else() {
    let harness = Harness::open().await;
    let name = harness.operator(Role::Viewer).await;
    let request = Request::get("/requests?state=held").body(Body::empty());
    let sent = harness.send(request.expect("a request")).await;
    let login = "/login?to=%2Frequests%3Fstate%3Dheld";
    assert_eq!(sent.headers[LOCATION], login);
    let request = Request::get(login).body(Body::empty());
    let page = harness.send(request.expect("a request")).await.body;
    assert!(
        page.contains("name=\"to\" value=\"/requests?state=held\""),
        "{page}"
    );
    let submit = async |to: &str| {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("name", name.as_str())
            .append_pair("password", PASSWORD)
            .append_pair("to", to);
        let answer = harness.send(posted("/login", None, form.finish())).await;
        answer.headers[LOCATION].to_str().expect("text").to_owned()
    };
    assert_eq!(submit("/requests?state=held").await, "/requests?state=held");
    for evil in [
        "//evil.example/",
        "/\\evil.example",
        "https://evil.example/",
        "/a\r\nSet-Cookie: x",
        "javascript:alert(1)",
        "\\\\evil.example",
    ] {
        assert_eq!(submit(evil).await, "/", "{evil}");
    }
    let long = format!("/find?q={}", "x".repeat(4096));
    assert_eq!(submit(&long).await, "/", "an attempt would store it");
}

#[tokio::test]
async fn a_customer_is_found_by_address() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    harness.mail("ann@corp.example", "one").await;
    for path in [
        "/customers/ann@corp.example",
        "/customers/Ann%40corp.example",
    ] {
        let page = harness.get(&session, path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.body.contains("<h1>ann@corp.example"), "{}", page.body);
    }
    let none = harness.get(&session, "/customers/bob@corp.example").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}
