//! One message on the pages: the explanation, the text, the HTML in its sandbox, the raw message.

use axum::http::header::CONTENT_DISPOSITION;

use super::*;

#[tokio::test]
async fn a_message_is_explained_shown_as_text_and_saved_as_it_came() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    let entry = harness.mail("eve@elsewhere.example", "one").await;
    let path = format!("/messages/{}", entry.ledger);
    let page = harness.get(&session, &path).await;
    assert!(page.body.contains("domain_not_allowed"));
    assert!(page.body.contains("It &lt;b&gt;burns&lt;/b&gt;."));
    let saved = harness.get(&session, &format!("{path}/raw")).await;
    assert_eq!(saved.headers[CONTENT_TYPE], "application/octet-stream");
    let name = format!("attachment; filename=\"{}.eml\"", entry.ledger);
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

/// The pages are in English, whatever language is requested, and show times in the zone of the site.
#[tokio::test]
async fn times_are_in_the_zone_of_the_site_and_texts_in_english() {
    let mut config = sample::config("");
    config.site.time_zone = jiff::tz::TimeZone::get("Asia/Kolkata").expect("a zone");
    config.site.language = crate::domain::LanguageTag::parse("ar").expect("a tag");
    let harness = Harness::with(config).await;
    let session = harness.session(Role::Viewer).await;
    let entry = harness.mail("eve@elsewhere.example", "one").await;
    let zone = jiff::tz::TimeZone::get("Asia/Kolkata").expect("a zone");
    let day = Timestamp::now()
        .to_zoned(zone)
        .strftime("%Y-%m-%d ")
        .to_string();
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
            assert!(page.body.contains(&day), "{}", page.body);
            assert!(page.body.contains(" IST"), "{}", page.body);
        }
    }
}
