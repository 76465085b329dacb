//! Filters and orders of the lists.

use super::*;
use crate::domain::DestinationName;
use crate::store::Settlement;

/// The words after each mark on a page, up to the next tag.
fn cells<'a>(page: &'a str, mark: &str) -> Vec<&'a str> {
    let parts = page.split(mark).skip(1);
    parts
        .map(|rest| rest.split('<').next().unwrap_or_default())
        .collect()
}

/// Subjects of the rows of a page of messages or requests.
fn subjects(page: &str) -> Vec<&str> {
    cells(page, "data-label=\"Subject\"><bdi>")
}

fn days_from_now(days: i64) -> String {
    let day = Timestamp::now() + SignedDuration::from_hours(24 * days);
    day.strftime("%F").to_string()
}

#[tokio::test]
async fn a_list_without_rows_says_if_that_is_because_of_its_filter() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    for (page, text) in [
        (
            "/audit?operator=nobody",
            "No action matches. <a href=\"/audit\">",
        ),
        ("/mail", "<p>No mail is waiting.</p>"),
        ("/mail?state=refused", "<p>No mail was given up.</p>"),
        (
            "/mail?account=ann@corp.example",
            "No mail matches. <a href=\"/mail\">",
        ),
        ("/mail?state=claimed", "No mail matches. <a href=\"/mail\">"),
    ] {
        let shown = harness.get(&session, page).await;
        assert!(shown.body.contains(text), "{page}: {}", shown.body);
    }
}

#[tokio::test]
async fn each_list_has_filters_for_time_sender_state_and_reason() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    harness.mail("ann.miller@corp.example", "one").await;
    harness.mail("bea@corp.example", "two").await;
    harness.mail("bea@corp.example", "three").await;
    harness.mail("eve@elsewhere.example", "four").await;
    harness.mail("mallory@else.example", "five miller").await;
    index(&harness).await;
    let (past, future) = (days_from_now(-3), days_from_now(3));
    for (list, all, queries) in [
        (
            "/requests",
            "three two one",
            [
                ("reason=internal_account_created".to_owned(), "two one"),
                ("reason=account_pending&state=held".to_owned(), "three"),
                ("reason=bounce".to_owned(), ""),
                (format!("since={past}&until={future}"), "three two one"),
                (format!("until={past}"), ""),
                (format!("since={future}&state=held"), ""),
                ("sort=oldest".to_owned(), "one two three"),
                (
                    "account=bea@corp.example&sort=oldest".to_owned(),
                    "two three",
                ),
                (
                    "account=bea@corp.example&reason=account_pending".to_owned(),
                    "three",
                ),
            ]
            .as_slice(),
        ),
        (
            "/messages",
            "five miller four three two one",
            &[
                ("search=miller".to_owned(), "one"),
                ("search=@corp.example".to_owned(), "three two one"),
                (
                    "search=corp.example&verdict=held".to_owned(),
                    "three two one",
                ),
                ("search=else&verdict=dropped".to_owned(), "five miller four"),
                ("search=else&reason=bounce".to_owned(), ""),
                (format!("search=else&until={past}"), ""),
                (
                    format!("since={past}&sort=oldest"),
                    "one two three four five miller",
                ),
                (format!("until={past}&sort=oldest"), ""),
                (
                    "search=bea@corp.example&sort=oldest".to_owned(),
                    "two three",
                ),
            ],
        ),
        (
            "/dropped",
            "five miller four",
            &[
                ("sender=elsewhere".to_owned(), "four"),
                ("sender=@else.example".to_owned(), "five miller"),
                ("sender=eve@elsewhere.example".to_owned(), "four"),
                ("sender=miller".to_owned(), ""),
                ("sort=oldest".to_owned(), "four five miller"),
                (format!("since={future}&sort=oldest"), ""),
                (
                    "reason=domain_not_allowed&sort=oldest".to_owned(),
                    "four five miller",
                ),
                ("reason=bounce".to_owned(), ""),
            ],
        ),
    ] {
        for (query, expected) in [(String::new(), all)].iter().chain(queries) {
            let page = harness.get(&session, &format!("{list}?{query}")).await;
            assert_eq!(page.status, StatusCode::OK, "{list} {query}");
            assert_eq!(subjects(&page.body).join(" "), *expected, "{list} {query}");
        }
        let wrong = harness.get(&session, &format!("{list}?sort=colour")).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn customers_are_listed_by_address_or_by_time() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    for name in ["carl", "ann", "bea"] {
        harness.mail(&format!("{name}@corp.example"), "one").await;
    }
    let (past, future) = (days_from_now(-3), days_from_now(3));
    for (query, expected) in [
        (String::new(), "ann bea carl"),
        ("sort=newest".to_owned(), "bea ann carl"),
        ("sort=oldest".to_owned(), "carl ann bea"),
        (format!("since={past}"), "bea ann carl"),
        (
            format!("since={past}&until={future}&search=a&sort=oldest"),
            "carl ann bea",
        ),
        (format!("since={past}&search=an&status=pending"), "ann"),
        (format!("since={past}&status=blocked"), ""),
        (format!("since={future}"), ""),
        (format!("until={past}"), ""),
        (
            "search=a&kind=internal&domain=corp.example".to_owned(),
            "ann bea carl",
        ),
        ("domain=corp.example&status=active".to_owned(), ""),
    ] {
        let page = harness.get(&session, &format!("/customers?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{query}");
        let rows = page.body.split("data-label=\"Address\"").skip(1);
        let names = rows.map(|row| {
            let (_, rest) = row.split_once("\">").expect("a link");
            rest.split('@').next().unwrap_or_default()
        });
        let names: Vec<_> = names
            .map(|name| name.rsplit('>').next().unwrap_or(name))
            .collect();
        assert_eq!(names.join(" "), expected, "{query}");
    }
}

#[tokio::test]
async fn a_list_goes_on_in_its_order() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    for n in 0..120 {
        harness
            .mail(&format!("p{n:03}@corp.example"), &format!("{n:03}"))
            .await;
    }
    for (list, first) in [
        ("/requests?sort=oldest", "000"),
        ("/messages?sort=oldest", "000"),
        (
            "/requests?sort=oldest&reason=internal_account_created",
            "000",
        ),
        ("/requests?state=held", "119"),
    ] {
        let mut seen: Vec<String> = Vec::new();
        let mut next = Some(list.to_owned());
        while let Some(address) = next {
            let page = harness.get(&session, &address).await.body;
            seen.extend(subjects(&page).into_iter().map(ToOwned::to_owned));
            next = page.split_once("\" rel=\"next\"").map(|(before, _)| {
                let (_, address) = before.rsplit_once("href=\"").expect("a link");
                address.replace("&amp;", "&").replace("&#x2f;", "/")
            });
        }
        let mut expected: Vec<_> = (0..120).map(|n| format!("{n:03}")).collect();
        if first == "119" {
            expected.reverse();
        }
        assert_eq!(seen, expected, "{list}");
    }
}

#[tokio::test]
async fn all_dropped_messages_that_match_are_recovered_at_once() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Admin).await;
    for n in 0..60 {
        harness.mail(&format!("p{n}@elsewhere.example"), "no").await;
    }
    harness.mail("eve@other.example", "no").await;
    index(&harness).await;
    let list = "/dropped?sender=@elsewhere.example";
    let page = harness.get(&session, list).await.body;
    assert!(page.contains("all 60 that match"), "{page}");
    let page = harness
        .get(&session, "/dropped?sender=@other.example")
        .await;
    assert!(
        !page.body.contains("that match"),
        "one page has all of them"
    );
    let every = [("every", "yes"), ("sender", "@elsewhere.example")];
    let refused = harness.post(&session, "/dropped", &every).await;
    assert_eq!(
        refused.body.matches("stays dropped: ").count(),
        60,
        "{}",
        refused.body
    );
    assert!(!refused.body.contains("could not be"), "{}", refused.body);
    let none = [("every", "yes"), ("reason", "bounce")];
    let answer = harness.post(&session, "/dropped", &none).await;
    let kept = "/dropped?done=recovered&count=0&failed=0&reason=bounce";
    assert_eq!(answer.headers[axum::http::header::LOCATION], kept);
}

/// Makes the calls of the hook `directory` that are due, and has them fail for good.
async fn fail_calls(harness: &Harness) {
    let hook = DestinationName::parse("directory").expect("a name");
    let workers = harness.store.clone().for_workers();
    let (now, lease) = (
        Timestamp::now(),
        Timestamp::now() + SignedDuration::from_mins(5),
    );
    loop {
        let round = workers.settle_and_claim_hook_calls(&hook, [], 10, lease, now);
        let calls: Vec<_> = round.await.expect("claimed").runs.concat();
        if calls.is_empty() {
            return;
        }
        let failed = || Settlement::Failed {
            cause: "410 Gone".to_owned(),
        };
        let outcomes = calls.iter().map(|call| (call, failed(), now));
        let round = workers.settle_and_claim_hook_calls(&hook, outcomes, 0, lease, now);
        round.await.expect("settled");
    }
}

#[tokio::test]
async fn waiting_mail_and_failed_calls_are_narrowed_by_person_time_state_and_event() {
    let config = sample::config(
        "[[hook]]\nname = \"directory\"\nurl = \"https://directory.example/\"\n\
         events = [\"account.created\", \"request.held\"]\n",
    );
    let harness = Harness::with(config).await;
    let hooks = harness.config.hooks.iter();
    let hooks = hooks
        .map(|hook| (hook.name.clone(), hook.events.clone()))
        .collect();
    let subscribed = harness.store.subscribe_hooks(hooks, "", Timestamp::now());
    subscribed.await.expect("subscribed");
    let session = harness.session(Role::Viewer).await;
    for name in ["ann", "bea"] {
        harness.mail(&format!("{name}@corp.example"), "one").await;
    }
    fail_calls(&harness).await;
    let (past, future) = (days_from_now(-3), days_from_now(3));
    let (address, error) = (
        "data-label=\"Address\" class=\"address\"><a href=",
        "data-label=\"Error\"><bdi>",
    );
    for (list, mark, queries) in [
        (
            "/mail",
            address,
            [
                (String::new(), 2),
                ("account=ann%40corp.example".to_owned(), 1),
                ("account=carl%40corp.example".to_owned(), 0),
                ("state=waiting".to_owned(), 2),
                ("state=claimed".to_owned(), 0),
                (format!("since={past}&until={future}"), 2),
                (format!("until={past}"), 0),
                (format!("since={future}&state=waiting"), 0),
            ],
        ),
        (
            "/hooks/directory",
            error,
            [
                (String::new(), 4),
                ("account=ann%40corp.example".to_owned(), 2),
                ("account=carl%40corp.example".to_owned(), 0),
                ("event=account.created".to_owned(), 2),
                (
                    "event=request.held&account=bea%40corp.example".to_owned(),
                    1,
                ),
                (format!("since={past}&until={future}"), 4),
                (format!("until={past}"), 0),
                (format!("since={future}&event=request.held"), 0),
            ],
        ),
    ] {
        for (query, expected) in queries {
            let page = harness.get(&session, &format!("{list}?{query}")).await;
            assert_eq!(page.status, StatusCode::OK, "{list} {query}");
            assert_eq!(page.body.matches(mark).count(), expected, "{list} {query}");
        }
        for wrong in ["account=ann", "since=yesterday", "state=lost&event=lost"] {
            let wrong = harness.get(&session, &format!("{list}?{wrong}")).await;
            assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
        }
    }
    let file = harness.get(
        &session,
        "/hooks/directory/failed.csv?event=account.created",
    );
    let file = file.await.body;
    assert_eq!(file.lines().count(), 3, "{file}");
    assert!(
        file.contains("account.created,bea@corp.example,1,410 Gone"),
        "{file}"
    );
    let none = harness.get(&session, "/hooks/nothing/failed.csv").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}
