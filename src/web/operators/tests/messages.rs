//! One message on the pages: the explanation, the text, the HTML in its sandbox, the raw message.

use axum::http::header::{CONTENT_DISPOSITION, LOCATION};

use super::*;
use crate::access::{Circumstances, Enforcement};

#[tokio::test]
async fn a_message_is_explained_shown_as_text_and_saved_as_it_came() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    let entry = harness.mail("eve@elsewhere.example", "one").await;
    let path = format!("/messages/{}", entry.ledger);
    let page = harness.get(&session, &path).await;
    assert!(
        page.body
            .contains("title=\"domain_not_allowed\">Domain not allowed<")
    );
    assert!(page.body.contains("It &lt;b&gt;burns&lt;/b&gt;."));
    let saved = harness.get(&session, &format!("{path}/raw")).await;
    assert_eq!(saved.headers[CONTENT_TYPE], "application/octet-stream");
    let name = format!(
        "attachment; filename=\"{0}.eml\"; filename*=UTF-8''{0}.eml",
        entry.ledger
    );
    assert_eq!(saved.headers[CONTENT_DISPOSITION], name.as_str());
    assert!(saved.body.ends_with("It <b>burns</b>.\r\n"));
    for (search, found) in [
        (entry.ledger.to_string(), StatusCode::SEE_OTHER),
        ("eve@elsewhere.example".to_owned(), StatusCode::OK),
    ] {
        let answer = harness
            .get(&session, &format!("/messages?search={search}"))
            .await;
        assert_eq!(answer.status, found, "{search}");
        assert!(found != StatusCode::OK || answer.body.contains(&path));
    }
    let none = harness
        .get(&session, "/messages/01J9ZQ4D8N0VXB7T3WKE5M2R6C")
        .await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_html_of_a_message_is_filtered_and_sandboxed() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    let entry = harness
        .mail_of_html(
            "eve@elsewhere.example",
            "<p>Hi</p><img src=https://evil.example/x.png>",
        )
        .await;
    let path = format!("/messages/{}", entry.ledger);
    let page = harness.get(&session, &path).await;
    let frame = format!("sandbox=\"\" src=\"{path}/html\"");
    assert!(page.body.contains(&frame), "{}", page.body);
    let policy = |answer: &Answer| {
        answer.headers["content-security-policy"]
            .to_str()
            .map(str::to_owned)
    };
    assert!(policy(&page).expect("text").contains("frame-src 'self'"));
    let framed = harness.get(&session, &format!("{path}/html")).await;
    assert_eq!(framed.status, StatusCode::OK);
    assert!(framed.body.contains("<p>Hi</p>"), "{}", framed.body);
    assert!(!framed.body.contains("evil.example"), "{}", framed.body);
    assert_eq!(
        policy(&framed).expect("text"),
        "default-src 'none'; form-action 'none'; frame-ancestors 'self'; base-uri 'none'; sandbox"
    );
    assert_eq!(framed.headers["x-frame-options"], "SAMEORIGIN");
    assert_eq!(framed.headers["x-content-type-options"], "nosniff");
    // A message without HTML has no frame, and the policy of its page allows none.
    let plain = harness.mail("eve@elsewhere.example", "plain").await;
    let path = format!("/messages/{}", plain.ledger);
    let page = harness.get(&session, &path).await;
    assert!(!page.body.contains("<iframe"));
    assert!(!policy(&page).expect("text").contains("frame-src"));
    let none = harness.get(&session, &format!("{path}/html")).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

/// Parsing a tag takes quadratic time in the number of its attributes, and a tree can be much larger than its HTML, so
/// such HTML is never cleaned for a page.
#[tokio::test]
async fn html_that_is_too_complex_is_shown_as_text_only() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    let attributes: Vec<_> = (0..1_000).map(|number| format!("a{number}")).collect();
    let fonts: Vec<_> = (0..400).map(|size| format!("<font size={size}>")).collect();
    let fonts = fonts.concat();
    for (number, html) in [
        format!("<p {}>It burns.</p>", attributes.join(" ")),
        format!("<p>It burns.</p>{}", "<div>".repeat(50_000)),
        format!("<p>It burns.{fonts}</p>{}", "<p>x".repeat(10_000)),
    ]
    .iter()
    .enumerate()
    {
        let raw =
            format!("From: eve@elsewhere.example\r\nContent-Type: text/html\r\n\r\n{html}\r\n");
        let subject = format!("complex {number}");
        let entry = harness
            .receive("eve@elsewhere.example", &subject, raw)
            .await;
        let path = format!("/messages/{}", entry.ledger);
        let page = harness.get(&session, &path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("It burns."), "{}", page.body);
        assert!(
            page.body.contains("too complex to be shown"),
            "{}",
            page.body
        );
        assert!(!page.body.contains("<iframe"), "{}", page.body);
        let framed = harness.get(&session, &format!("{path}/html")).await;
        assert_eq!(framed.status, StatusCode::NOT_FOUND);
        assert!(
            framed.body.contains("too complex to be shown"),
            "{}",
            framed.body
        );
    }
}

/// The pages are in English, whatever language is requested, and show times in the zone of the site.
#[tokio::test]
async fn times_are_in_the_zone_of_the_site_and_texts_in_english() {
    let mut config = sample::config("");
    config.site.time_zone = jiff::tz::TimeZone::get("Asia/Kolkata").expect("a zone");
    config.site.language = crate::domain::LanguageTag::parse("ar").expect("a tag");
    let harness = Harness::with(config).await;
    let session = harness.session(Role::Viewer).await;
    let zone = jiff::tz::TimeZone::get("Asia/Kolkata").expect("a zone");
    let day = || {
        let now = Timestamp::now().to_zoned(zone.clone());
        now.strftime("%Y-%m-%d ").to_string()
    };
    let before = day();
    let entry = harness.mail("eve@elsewhere.example", "one").await;
    let days = [before, day()];
    for path in [
        format!("/messages/{}?lang=fr", entry.ledger),
        "/audit?lang=ar".to_owned(),
        "/nothing?lang=ar".to_owned(),
    ] {
        let page = harness.get(&session, &path).await;
        assert!(
            page.body.contains("<html lang=\"en\""),
            "{path}: {}",
            page.body
        );
        assert!(
            !page.body.contains("name=\"lang\""),
            "{path}: {}",
            page.body
        );
        if path.starts_with("/messages") {
            let is_right = days.iter().any(|day| page.body.contains(day));
            assert!(is_right, "{days:?}: {}", page.body);
            assert!(page.body.contains(" IST"), "{}", page.body);
        }
    }
}

#[tokio::test]
async fn a_message_answers_who_wrote_it_why_it_is_dropped_and_what_is_attached() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    let from = "eve@elsewhere.example";
    let raw = "From: \"boss@corp.example\" <eve@elsewhere.example>\r\nTo: it-help@corp.example\r\n\
        Cc: =?utf-8?q?J=C3=BCrgen?= <j@x.example>\r\nReply-To: pay@evil.example\r\n\
        Date: Sat, 28 Nov 2026 20:00:00 +0000\r\nX-Mark: <script>\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n\
        Content-Type: text/html; name=\"../inv<oice>.html\"\r\n\
        Content-Disposition: attachment\r\n\r\n<script>alert(1)</script>\r\n--b--\r\n";
    let entry = harness.receive(from, "Invoice", raw.to_owned()).await;
    let path = format!("/messages/{}", entry.ledger);
    let page = harness.get(&session, &path).await.body;
    for text in [
        "Dropped, because elsewhere.example is not on the allow list",
        "<bdi>boss@corp.example</bdi> <code>eve@elsewhere.example</code>",
        "the name shows another address",
        "J\u{fc}rgen &lt;j@x.example&gt;",
        "<bdi>pay@evil.example</bdi>",
        "Sat, 28 Nov 2026 20:00:00 +0000",
        "<code>X-Mark</code>",
        "&lt;script&gt;",
        "inv&lt;oice&gt;.html</bdi>",
        "Rule 16 decided",
        "Attachments may be harmful",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains("class=\"action\""), "a viewer acts: {page}");
    let saved = harness
        .get(&session, &format!("{path}/attachments/0"))
        .await;
    assert_eq!(saved.status, StatusCode::OK);
    assert_eq!(saved.headers[CONTENT_TYPE], "application/octet-stream");
    assert_eq!(saved.headers["x-content-type-options"], "nosniff");
    assert_eq!(
        saved.headers[CONTENT_DISPOSITION],
        "attachment; filename=\"_inv_oice_.html\"; filename*=UTF-8''_inv_oice_.html"
    );
    assert!(saved.body.contains("alert(1)"), "{}", saved.body);
    for place in ["1", "x", "-1", "99999999999999999999"] {
        let path = format!("{path}/attachments/{place}");
        let none = harness.get(&session, &path).await;
        assert_eq!(none.status, StatusCode::NOT_FOUND, "{place}");
    }
}

#[tokio::test]
async fn a_sender_is_let_in_and_kept_out_from_a_message_with_a_note_in_the_audit() {
    let harness = Harness::open().await;
    let (agent, admin) = (
        harness.session(Role::Agent).await,
        harness.session(Role::Admin).await,
    );
    let entry = harness.mail("eve@elsewhere.example", "one").await;
    let path = format!("/messages/{}", entry.ledger);
    let act = async |session: &Session, action: &str| {
        let fields = [("action", action), ("note", "asked \u{202e}by phone")];
        harness.post(session, &path, &fields).await
    };
    // The settings are for admins.
    for action in ["person", "block"] {
        let refused = act(&agent, action).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{action}");
    }
    let page = harness.get(&agent, &path).await.body;
    assert!(
        page.contains("id=\"release\"") && !page.contains("id=\"block\""),
        "{page}"
    );
    let place = |done| format!("{path}?done={done}");
    let done = act(&admin, "person").await;
    assert_eq!(done.headers[LOCATION], place("let_in"), "{}", done.body);
    let state = harness.states().await;
    assert_eq!(state, [RequestState::Released]);
    let page = harness.get(&admin, &place("let_in")).await.body;
    assert!(page.contains("The sender has access now."), "{page}");
    assert!(!page.contains("id=\"person\""), "{page}");
    // Now there is an account.
    let done = act(&agent, "block").await;
    assert_eq!(done.headers[LOCATION], place("blocked"));
    let page = harness.get(&agent, &place("blocked")).await.body;
    assert!(page.contains("id=\"undo\""), "{page}");
    let done = act(&agent, "unblock").await;
    assert_eq!(done.headers[LOCATION], place("unblocked"));
    let audit = harness.get(&agent, "/audit").await.body;
    for event in [
        "title=\"access.changed\"",
        "account.blocked",
        "account.unblocked",
    ] {
        assert!(audit.contains(event), "{event}: {audit}");
    }
    assert!(
        audit.matches("note: asked by phone").count() >= 4,
        "{audit}"
    );
    // A sender without an account goes on the deny list.
    let other = harness.mail("mallory@elsewhere.example", "two").await;
    let other = format!("/messages/{}", other.ledger);
    let done = harness.post(&admin, &other, &[("action", "block")]).await;
    assert_eq!(done.headers[LOCATION], format!("{other}?done=denied"));
    let settings = harness.store.access().await.expect("read").settings;
    assert_eq!(settings.site.denied.len(), 1);
    for action in ["", "nothing", "discard"] {
        let refused = harness.post(&admin, &other, &[("action", action)]).await;
        assert!(refused.status.is_client_error(), "{action}");
    }
}

#[tokio::test]
async fn a_forged_colleague_has_a_red_badge() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    for (from, dmarc, class) in [
        ("ann@corp.example", "fail", "Probably forged"),
        ("eve@elsewhere.example", "fail", "Not authenticated"),
        ("eve@elsewhere.example", "pass", "badge pass"),
        ("eve@elsewhere.example", "none", "badge unknown"),
    ] {
        let mut facts = sample::facts(from, "one");
        let result = serde_json::from_value(serde_json::json!({ "dmarc": dmarc }));
        facts.authentication = result.expect("a result");
        let arrival = Arrival {
            facts,
            parts: vec![ArrivalPart::Portal {
                recipient: "it-help@corp.example".to_owned(),
                circumstances: Circumstances {
                    enforcement: Enforcement::Report,
                    ..sample::circumstances()
                },
            }],
            ..sample::arrival(&harness.config)
        };
        let entries = harness.store.accept(arrival).await.expect("accepted");
        let path = format!("/messages/{}", entries[0].ledger);
        let page = harness.get(&session, &path).await.body;
        assert!(page.contains(class), "{from}, {dmarc}: {page}");
    }
}

#[tokio::test]
async fn the_search_of_every_page_finds_messages_and_customers_as_text() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    harness
        .mail("eve@elsewhere.example", "Printer <script>1</script>")
        .await;
    harness.mail("ann@corp.example", "Screen").await;
    index(&harness).await;
    let home = harness.get(&session, "/").await;
    assert!(home.body.contains("action=\"/find\""), "{}", home.body);
    for (path, shown) in [
        ("/find?q=printer", "Printer &lt;script&gt;1&lt;/script&gt;"),
        ("/find?q=elsewh", "eve@elsewhere.example"),
        (
            "/find?q=script",
            "title=\"domain_not_allowed\">Domain not allowed<",
        ),
        ("/find?q=nn%40corp", ">ann@corp.example</a>"),
        ("/find?q=%3Cscript%3E", "value=\"&lt;script&gt;\""),
        (
            "/find?q=screen&verdict=dropped",
            "No customer and no message matches.",
        ),
        (
            "/find?q=screen&until=2020-01-01",
            "No customer and no message matches.",
        ),
        ("/find", "Every word must match."),
    ] {
        let page = harness.get(&session, path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.body.contains(shown), "{path} {shown}: {}", page.body);
        assert!(!page.body.contains("<script"), "{path}");
    }
    let wrong = harness.get(&session, "/find?q=x&since=soon").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn lists_are_narrowed_by_time() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    harness.mail("eve@elsewhere.example", "Toner").await;
    for (query, found) in [
        ("since=2020-01-01", true),
        ("until=2020-01-01", false),
        ("since=2020-01-01&until=2020-01-31", false),
        ("since=2999-01-01", false),
        ("since=2020-01-01T00:00:00Z&until=2999-12-31", true),
    ] {
        for list in ["/messages", "/dropped"] {
            let page = harness.get(&session, &format!("{list}?{query}")).await;
            assert_eq!(page.body.contains("Toner"), found, "{list} {query}");
        }
    }
}

#[tokio::test]
async fn a_page_loads_again_every_minute_only_where_it_is_switched_on() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    let off = harness
        .get(&session, "/messages?verdict=dropped&done=x")
        .await;
    assert!(!off.body.contains("http-equiv=\"refresh\""));
    let switch = "href=\"/messages?verdict=dropped&amp;refresh=on\"";
    assert!(off.body.contains(switch), "{}", off.body);
    let on = harness
        .get(&session, "/messages?verdict=dropped&refresh=on")
        .await;
    assert!(
        on.body
            .contains("<meta http-equiv=\"refresh\" content=\"60\">")
    );
    assert!(
        on.body
            .contains("href=\"/messages?verdict=dropped\">Stop</a>")
    );
    let elsewhere = harness.get(&session, "//evil.example/?refresh=on").await;
    assert!(!elsewhere.body.contains("href=\"//"), "{}", elsewhere.body);
}
