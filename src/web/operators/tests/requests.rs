//! Requests on the pages: search, confirmation, release and discard, one or many.

use axum::http::header::LOCATION;

use super::*;
use crate::domain::EmailAddress;
use crate::store::{Forgetting, Page};

#[tokio::test]
async fn requests_are_released_and_discarded_in_bulk() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let one = harness
        .mail("ann@corp.example", "one")
        .await
        .ledger
        .to_string();
    let two = harness
        .mail("bea@corp.example", "two")
        .await
        .ledger
        .to_string();
    let three = harness
        .mail("cat@corp.example", "three")
        .await
        .ledger
        .to_string();
    assert_eq!(harness.states().await, [RequestState::Held; 3]);
    let fields = [("action", "release"), ("request", &one), ("request", &two)];
    let answer = harness.post(&session, "/requests", &fields).await;
    assert_eq!(answer.headers[LOCATION], "/requests?done=released&count=2");
    let fields = [
        ("action", "discard"),
        ("request", &one),
        ("request", &three),
    ];
    let answer = harness.post(&session, "/requests", &fields).await;
    assert_eq!(answer.headers[LOCATION], "/requests?done=discarded&count=2");
    let refused = harness.post(&session, "/requests", &fields).await;
    assert!(
        refused.body.contains("0 of 2 discarded."),
        "{}",
        refused.body
    );
    for id in [&one, &three] {
        let reason = format!("request {id} is discarded and cannot be discarded");
        assert!(refused.body.contains(&reason), "{}", refused.body);
    }
    assert_eq!(
        harness.states().await,
        [
            RequestState::Discarded,
            RequestState::Released,
            RequestState::Discarded
        ]
    );
    let audit = harness.get(&session, "/audit").await;
    assert_eq!(audit.body.matches("title=\"request.released\"").count(), 2);
    assert!(audit.body.contains("the-agent"));
}

#[tokio::test]
async fn bulk_actions_ask_for_confirmation() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let mut ids = Vec::new();
    for n in 0..60 {
        let entry = harness.mail(&format!("p{n}@corp.example"), "held").await;
        ids.push(entry.ledger.to_string());
    }
    // Two ticked requests, one of which is released already.
    let release = [("action", "release"), ("request", ids[0].as_str())];
    harness.post(&session, "/requests", &release).await;
    let ask = [
        ("action", "release"),
        ("ask", "yes"),
        ("state", "held"),
        ("request", &ids[0]),
        ("request", &ids[1]),
    ];
    let asked = harness.post(&session, "/requests", &ask).await;
    assert_eq!(asked.status, StatusCode::OK);
    assert!(asked.body.contains("Release 1 request<"), "{}", asked.body);
    assert!(
        asked
            .body
            .contains("1 selected request does not allow this action")
    );
    let held = async || {
        let filter = RequestFilter {
            state: Some(RequestState::Held),
            ..RequestFilter::default()
        };
        let listed = harness.store.requests(filter).await.expect("read");
        listed.rows.len()
    };
    assert_eq!(held().await, 59, "nothing is done by asking");
    // All that match the filter, though a page shows fifty.
    let ask = [
        ("action", "discard"),
        ("ask", "yes"),
        ("state", "held"),
        ("every", "yes"),
    ];
    let asked = harness.post(&session, "/requests", &ask).await;
    assert!(asked.body.contains("Discard 59 requests"), "{}", asked.body);
    let mut form = hidden(&asked.body, "action=\"/requests\"");
    form.push(("action".to_owned(), "discard".to_owned()));
    let form: Vec<_> = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let answer = harness.post(&session, "/requests", &form).await;
    assert_eq!(
        answer.headers[LOCATION],
        "/requests?done=discarded&count=59&state=held"
    );
    assert_eq!(held().await, 0);
    let ask = [("action", "retry"), ("ask", "yes")];
    let asked = harness.post(&session, "/requests", &ask).await;
    assert!(asked.body.contains("No request is selected"));
}

#[tokio::test]
async fn an_operator_does_not_override_a_decision_that_their_page_did_not_show() {
    let harness = Harness::open().await;
    let (agent, admin) = (
        harness.session(Role::Agent).await,
        harness.session(Role::Admin).await,
    );
    let entry = harness.mail("ann@corp.example", "one").await;
    let id = entry.ledger.to_string();
    let page = format!("/messages/{id}");
    let shown = harness.get(&agent, &page).await;
    let ask = [("action", "release"), ("ask", "yes"), ("request", &id)];
    let asked = harness.post(&agent, "/requests", &ask).await;
    harness.post(&admin, &page, &[("action", "discard")]).await;
    let release = async |path: &str, body: &str| {
        let mut form = hidden(body, &format!("action=\"{path}\""));
        form.push(("action".to_owned(), "release".to_owned()));
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        harness.post(&agent, path, &form).await
    };
    for (path, body) in [
        (page.as_str(), shown.body.as_str()),
        ("/requests", asked.body.as_str()),
    ] {
        let refused = release(path, body).await;
        let why = "is discarded now, and was held on the page";
        assert!(refused.body.contains(why), "{path}: {}", refused.body);
        assert_eq!(harness.states().await, [RequestState::Discarded]);
    }
    let shown = harness.get(&agent, &page).await;
    let released = release(&page, &shown.body).await;
    assert_eq!(released.headers[LOCATION], format!("{page}?done=released"));
    assert_eq!(harness.states().await, [RequestState::Released]);
}

#[tokio::test]
async fn a_request_of_a_blocked_account_can_be_released_but_not_retried() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let entry = harness.mail("ann@corp.example", "one").await;
    let id = entry.ledger.to_string();
    let act = async |action| {
        let fields = [("action", action), ("request", id.as_str())];
        harness.post(&session, "/requests", &fields).await
    };
    act("release").await;
    let address = EmailAddress::parse("ann@corp.example").expect("an address");
    let ann = harness.store.customer(&address).await.expect("read");
    let ann = ann.expect("an account").id;
    let block = [("action", "block")];
    harness
        .post(&session, &format!("/customers/{ann}"), &block)
        .await;
    let page = harness.get(&session, &format!("/messages/{id}")).await;
    assert!(page.body.contains("stopped: the account is blocked"));
    let has = |body: &str, action| body.contains(&format!("value=\"{action}\""));
    assert!(has(&page.body, "release") && !has(&page.body, "retry"));
    let list = harness.get(&session, "/requests").await;
    assert!(list.body.contains("stopped: the account is blocked"));
    assert!(has(&list.body, "release") && !has(&list.body, "retry"));
    let deliveries = harness.get(&session, "/deliveries").await;
    let queue = "data-label=\"Waiting\" class=\"number\">0<br><span class=\"hint\">1 stopped: ";
    assert!(deliveries.body.contains(queue), "{}", deliveries.body);
    let refused = act("retry").await;
    assert!(refused.body.contains("0 of 1 retried."), "{}", refused.body);
    let reason = format!("request {id} is stopped: the account is blocked");
    assert!(refused.body.contains(&reason), "{}", refused.body);
    let released = act("release").await;
    assert_eq!(
        released.headers[LOCATION],
        "/requests?done=released&count=1"
    );
    let page = harness.get(&session, &format!("/messages/{id}")).await;
    assert!(!page.body.contains("stopped: "));
    let deliveries = harness.get(&session, "/deliveries").await;
    assert!(
        !deliveries.body.contains(" stopped: "),
        "{}",
        deliveries.body
    );
}

#[tokio::test]
async fn a_request_without_content_can_no_longer_be_released() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let entry = harness.mail("ann@corp.example", "one").await;
    let id = entry.ledger.to_string();
    let path = format!("/messages/{id}");
    let discard = [("action", "discard")];
    harness.post(&session, &path, &discard).await;
    let offers_release = async |path: &str| {
        let page = harness.get(&session, path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        page.body.contains("value=\"release\"")
    };
    for page in ["/requests", path.as_str()] {
        assert!(offers_release(page).await, "{page}");
    }
    let later = Timestamp::now() + SignedDuration::from_secs(1);
    let step = harness
        .store
        .delete_expired_content(later, std::time::Duration::ZERO, 10);
    assert_eq!(step.await.expect("a step").done, 1);
    for page in ["/requests", path.as_str()] {
        assert!(!offers_release(page).await, "{page}");
    }
    let release = [("action", "release")];
    let refused = harness.post(&session, &path, &release).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let why = format!("the content of request {id} has expired");
    assert!(refused.body.contains(&why), "{}", refused.body);
}

#[tokio::test]
async fn lists_can_be_filtered_by_a_removed_portal() {
    let mut config = sample::config("");
    config.portals.retain(|portal| portal.name.as_str() != "it");
    let harness = Harness::with(config).await;
    let session = harness.session(Role::Agent).await;
    let entry = harness.mail("ann@corp.example", "one").await;
    let id = entry.ledger.to_string();
    let fields = [("action", "release"), ("request", id.as_str())];
    harness.post(&session, "/requests", &fields).await;
    let cause = "waiting: portal it is not in the configuration";
    for path in ["/requests", "/messages", "/find", "/dropped"] {
        let query = if path == "/find" { "q=ann&" } else { "" };
        let page = harness
            .get(&session, &format!("{path}?{query}portal=it"))
            .await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(
            page.body.contains("<option value=\"it\" selected>"),
            "{path}: {}",
            page.body
        );
        assert_eq!(page.body.contains(cause), path == "/requests", "{path}");
    }
    let page = harness.get(&session, "/requests?portal=it").await;
    assert!(!page.body.contains("Last error: "), "{}", page.body);
    let file = harness.get(&session, "/requests.csv?portal=it").await;
    assert!(file.body.contains(cause), "{}", file.body);
    let retry = [("action", "retry")];
    let path = format!("/messages/{id}");
    let refused = harness.post(&session, &path, &retry).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(
        refused.body.contains("it is not in the configuration"),
        "{}",
        refused.body
    );
}

#[tokio::test]
async fn requests_are_found_by_person_portal_and_age() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    let entry = harness.mail("ann@corp.example", "one").await;
    harness.mail("bea@corp.example", "two").await;
    for (query, rows) in [
        ("search=ann%40corp.example", 1),
        ("account=Ann%40corp.example", 1),
        ("search=nobody%40corp.example", 0),
        ("portal=it&state=held", 2),
        ("state=failed", 0),
        ("age=last-hour", 2),
        ("age=over-day", 0),
        ("age=last-week&state=expired", 0),
    ] {
        let page = harness.get(&session, &format!("/requests?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{query}");
        assert_eq!(page.body.matches("/messages/").count(), rows, "{query}");
    }
    let id = entry.ledger.to_string();
    let found = harness
        .get(&session, &format!("/requests?search={id}"))
        .await;
    assert_eq!(found.headers[LOCATION], format!("/messages?search={id}"));
    let wrong = harness.get(&session, "/requests?age=yesterday").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_long_list_continues_with_a_link_that_keeps_the_filter() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    for n in 0..60 {
        harness.mail(&format!("p{n}@corp.example"), "one").await;
    }
    let page = harness.get(&session, "/requests?state=held").await;
    assert_eq!(page.body.matches("/messages/").count(), 50);
    let (_, rest) = page
        .body
        .split_once("<a href=\"/requests?state=held&amp;after=")
        .expect("a link");
    let cursor = rest.split('"').next().unwrap_or_default();
    let page = harness
        .get(&session, &format!("/requests?state=held&after={cursor}"))
        .await;
    assert_eq!(page.body.matches("/messages/").count(), 10);
    assert!(!page.body.contains("rel=\"next\""));
    let rest = harness.store.audit(Page::default()).await.expect("read");
    assert!(rest.next.is_none());
}

#[tokio::test]
async fn the_account_of_a_forgotten_person_has_no_page_and_no_link() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let entry = harness.mail("ann@corp.example", "one").await;
    let forgetting = Forgetting {
        address: EmailAddress::parse("ann@corp.example").expect("an address"),
        domain_too: false,
        by: Actor::operator("root", Interface::CommandLine),
        now: Timestamp::now(),
    };
    let forgotten = harness.store.forget_customer(forgetting, |_, _| {}).await;
    let pseudonym = forgotten.expect("forgotten").pseudonym.to_string();
    let id = entry.request.expect("a request");
    let request = harness.store.request(id).await.expect("read");
    let account = request.expect("there").account_id;
    for path in ["/requests", "/audit"] {
        let page = harness.get(&session, path).await.body;
        assert!(page.contains(&pseudonym), "{path}: {page}");
        assert!(!page.contains("<a href=\"/customers/"), "{path}: {page}");
    }
    for customer in [account.to_string(), pseudonym] {
        let page = format!("/customers/{customer}");
        let shown = harness.get(&session, &page).await;
        let action = [("action", "unblock")];
        let unblocked = harness.post(&session, &page, &action).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{page}");
        assert_eq!(unblocked.status, StatusCode::NOT_FOUND, "{page}");
    }
}
