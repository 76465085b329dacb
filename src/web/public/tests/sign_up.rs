//! Forms that cause mail do not reveal who has an account.

use super::*;

#[tokio::test]
async fn the_existence_of_an_account_is_not_revealed() {
    let harness = Harness::open().await;
    harness.mail("ann@corp.example", "one").await;
    let link = harness.link().await;
    harness.post(&link, "action=confirm").await;

    for (path, known, unknown) in [
        ("/signup", "ann@corp.example", "new@corp.example"),
        ("/resend", "ann@corp.example", "new2@corp.example"),
    ] {
        let one = harness
            .post(path, &format!("email={known}&portal=it"))
            .await;
        let other = harness
            .post(path, &format!("email={unknown}&portal=it"))
            .await;
        assert_eq!(one.status, StatusCode::OK, "{path}: {}", one.body);
        assert_eq!(one.status, other.status);
        assert_eq!(one.body.replace(known, unknown), other.body, "{path}");
    }
}

/// The database's single writer does all the work on an account, and no answer waits for it: while the writer is
/// blocked, every form is answered and nothing has happened yet.
#[tokio::test]
async fn no_answer_waits_for_work_on_an_account() {
    let harness = Harness::open().await;
    harness.mail("ann@corp.example", "one").await;
    let database = harness.folder.path().join("vestibule.db");
    let other = rusqlite::Connection::open(database).expect("opened");
    other
        .execute_batch("BEGIN IMMEDIATE")
        .expect("nobody else writes");
    let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    for (path, form, status) in [
        (
            "/signup",
            "email=ann@corp.example&portal=it".to_owned(),
            StatusCode::OK,
        ),
        (
            "/signup",
            "email=new@corp.example&portal=it".to_owned(),
            StatusCode::OK,
        ),
        (
            "/signup",
            "email=x@other.example&portal=it".to_owned(),
            StatusCode::FORBIDDEN,
        ),
        (
            "/resend",
            "email=ann@corp.example".to_owned(),
            StatusCode::OK,
        ),
        (
            "/resend",
            "email=new2@corp.example".to_owned(),
            StatusCode::OK,
        ),
        (
            "/resend",
            format!("token={}", token.reveal()),
            StatusCode::OK,
        ),
    ] {
        let answer = harness.post(path, &form).await;
        assert_eq!(answer.status, status, "{path} {form}: {}", answer.body);
    }
    let new = EmailAddress::parse("new@corp.example").expect("an address");
    let made = harness.store.customer(&new).await.expect("read");
    assert!(made.is_none(), "the answer came first");
    other.execute_batch("ROLLBACK").expect("released");
    harness.wait_for_background_tasks().await;
}

#[tokio::test]
async fn signing_up_makes_a_pending_account_and_a_mail() {
    let harness = Harness::open().await;
    let answer = harness
        .post("/signup", "email=%20New@Corp.Example&portal=it")
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    harness.wait_for_background_tasks().await;
    let (address, token) = harness
        .verification_mail()
        .await
        .expect("a verification mail");
    assert_eq!(address.to_string(), "New@corp.example");
    let account = harness
        .store
        .customer(&address)
        .await
        .expect("the database");
    assert_eq!(account.expect("made").status.as_str(), "pending");
    let page = harness.get(&format!("/verify/{}", token.reveal())).await;
    assert!(page.body.contains("Nothing is waiting"));
}

#[tokio::test]
async fn a_refused_domain_gets_the_reason_and_the_contact() {
    let harness = Harness::open().await;
    let answer = harness
        .post("/signup", "email=x@other.example&portal=it")
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(
        answer
            .body
            .contains("Addresses at other.example cannot sign up for IT Help.")
    );
    assert!(answer.body.contains(r#"<a href="/signup">"#));
    assert!(answer.body.contains("it-office@corp.example"));
    harness.wait_for_background_tasks().await;
    assert!(harness.verification_mail().await.is_none());
}

/// The answer to a form has no language menu: in another language, its URL would show the empty form, as if nothing
/// had been sent.
#[tokio::test]
async fn the_answer_to_a_form_has_no_switch_of_language() {
    const SWITCH: &str = r#"<select id="lang""#;
    let harness = Harness::open().await;
    for (path, form) in [
        ("/signup", "email=new@corp.example&portal=it"),
        ("/signup", "email=x@other.example&portal=it"),
        ("/resend", "email=new@corp.example"),
    ] {
        let opened = harness.get(path).await.body;
        assert!(opened.contains(SWITCH), "{opened}");
        let answered = harness.post(path, form).await.body;
        assert!(!answered.contains(SWITCH), "{answered}");
        assert!(answered.contains("<a href="), "it leads on: {answered}");
    }
    harness.wait_for_background_tasks().await;
}

#[tokio::test]
async fn an_invalid_address_is_shown_escaped() {
    let harness = Harness::open().await;
    for path in ["/signup", "/resend"] {
        let answer = harness.post(path, "email=%22%3E%3Cscript%3E").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.body.contains("&quot;&gt;&lt;script&gt;"));
        assert!(!answer.body.contains("<script"));
    }
}

#[tokio::test]
async fn a_portals_own_address_gets_no_account() {
    let harness = Harness::open().await;
    let answer = harness.post("/signup", "email=it-help@corp.example").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    harness.wait_for_background_tasks().await;
    assert!(harness.verification_mail().await.is_none());
}

#[tokio::test]
async fn forms_are_counted_per_client() {
    let harness = Harness::open().await;
    let resent = (0..25).map(|number| {
        let form = format!("email=a{number}@corp.example");
        posted("/resend", form)
    });
    let signed_up = posted("/signup", "email=new@corp.example".to_owned());
    let answers = asked_at_once(&harness.router, resent.chain([signed_up])).await;
    for answer in &answers[24..] {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers["retry-after"], "60");
    }
    harness.wait_for_background_tasks().await;
    assert!(harness.verification_mail().await.is_none());
}
