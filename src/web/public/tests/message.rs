//! Links to raw messages.

use super::*;
use crate::domain::LinkKey;

#[tokio::test]
async fn a_signed_link_gives_the_message_as_it_came_until_it_expires() {
    const HOUR: i64 = 3600;
    let harness = Harness::open().await;
    let entry = harness.mail("ann@corp.example", "one").await;
    let later = |seconds: i64| {
        let second = Timestamp::now().as_second() + seconds;
        Timestamp::from_second(second).expect("a time")
    };
    let path =
        |key: &LinkKey, seconds| format!("/message/{}", key.sign(entry.ledger, later(seconds)));
    let early = LinkKey::generate().expect("random bytes");
    let answer = harness.get(&path(&early, HOUR)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "no link was made yet");

    let key = harness.store.link_key().await.expect("a key");
    let good = path(&key, HOUR);
    let answer = harness.get(&good).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.body,
        "From: ann@corp.example\r\nSubject: one\r\n\r\nbody\r\n"
    );
    for (name, value) in [
        ("content-type", "message/rfc822"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("content-length", "46"),
    ] {
        assert_eq!(answer.headers[name], value, "{name}");
    }
    let name = format!("attachment; filename=\"{}.eml\"", entry.ledger);
    assert_eq!(answer.headers["content-disposition"], name);
    let head = harness.ask(Method::HEAD, &good).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.body, "");
    assert_eq!(head.headers["content-length"], "46");

    for bad in [
        path(&key, 0),
        path(&key, -60),
        path(&early, HOUR),
        format!("{good}A"),
        good.replace('.', ""),
        "/message/x".to_owned(),
        format!("/message/{}", "A".repeat(5000)),
    ] {
        let answer = harness.get(&bad).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{bad}");
        assert!(answer.body.contains("<h1>"), "a proper page: {bad}");
    }
    let nowhere = crate::domain::LedgerId::new();
    let gone = format!("/message/{}", key.sign(nowhere, later(HOUR)));
    let answer = harness.get(&gone).await;
    assert_eq!(answer.status, StatusCode::GONE);
    assert!(answer.body.contains("no longer stored"), "{}", answer.body);
}
