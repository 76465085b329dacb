//! What each page shows and does.

use axum::http::header::{CONTENT_DISPOSITION, LOCATION};

use super::super::routes;
use super::*;
use crate::domain::{EmailAddress, RequestState, Status, Verdict};
use crate::store::{Page, RequestFilter};

const HOSTILE: &str = "<script>alert(1)</script> \u{202e}gnp.exe";

async fn states(house: &House) -> Vec<RequestState> {
    let listed = house.store.requests(RequestFilter::default());
    let rows = listed.await.expect("read").rows;
    rows.iter().map(|request| request.state).collect()
}

#[tokio::test]
async fn every_page_is_shown_and_nothing_of_a_stranger_becomes_markup() {
    let house = House::open().await;
    let held = house.mail_of_html("ann@corp.example", HOSTILE).await;
    house.mail("eve@elsewhere.example", HOSTILE).await;
    let address = EmailAddress::parse("ann@corp.example").expect("an address");
    let ann = house.store.customer(&address).await.expect("read");
    let ann = ann.expect("an account").id.to_string();
    for role in [Role::Viewer, Role::Admin] {
        let session = house.session(role).await;
        for route in routes() {
            if route.method != Method::GET || route.path.starts_with("/assets") {
                continue;
            }
            let id = if route.path.starts_with("/customers") {
                ann.clone()
            } else {
                held.ledger.to_string()
            };
            let mut path = route.path.replace("{id}", &id);
            if route.path == "/dropped/allow" {
                if role == Role::Viewer {
                    continue;
                }
                path.push_str("?domain=elsewhere.example");
            }
            let answer = house.get(&session, &path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
            if path.ends_with("/raw") || path.ends_with("/html") {
                continue;
            }
            assert!(answer.body.contains("<h1>"), "{path}");
            assert!(!answer.body.contains("<script"), "{path}");
            assert!(!answer.body.contains('\u{202e}'), "{path}");
            assert!(!answer.body.contains("style="), "{path}");
            // Looking is all that a viewer is offered, but for the way out.
            let forms = answer.body.matches("method=\"post\"").count();
            if role == Role::Viewer
                && !["/login", "/access", "/requests", "/dropped"].contains(&path.as_str())
            {
                assert_eq!(forms, 1, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn requests_are_released_and_discarded_in_bulk() {
    let house = House::open().await;
    let session = house.session(Role::Agent).await;
    let one = house
        .mail("ann@corp.example", "one")
        .await
        .ledger
        .to_string();
    let two = house
        .mail("bea@corp.example", "two")
        .await
        .ledger
        .to_string();
    let three = house
        .mail("cat@corp.example", "three")
        .await
        .ledger
        .to_string();
    assert_eq!(states(&house).await, [RequestState::Held; 3]);
    let fields = [("action", "release"), ("request", &one), ("request", &two)];
    let answer = house.post(&session, "/requests", &fields).await;
    assert_eq!(
        answer.headers[LOCATION],
        "/requests?done=released&count=2&failed=0"
    );
    let fields = [
        ("action", "discard"),
        ("request", &one),
        ("request", &three),
    ];
    let answer = house.post(&session, "/requests", &fields).await;
    assert_eq!(
        answer.headers[LOCATION],
        "/requests?done=discarded&count=1&failed=1"
    );
    assert_eq!(
        states(&house).await,
        [
            RequestState::Discarded,
            RequestState::Released,
            RequestState::Released
        ]
    );
    let audit = house.get(&session, "/audit").await;
    assert_eq!(audit.body.matches("request.released").count(), 2);
    assert!(audit.body.contains("the-agent"));
}

/// The fields of the form on a page that carry something, as its button would send them.
fn hidden(page: &str, form: &str) -> Vec<(String, String)> {
    let (_, form) = page.split_once(form).expect("the form");
    let form = form.split("</form>").next().unwrap_or_default();
    let text = |text: &str| {
        let text = text.split('"').next().unwrap_or_default();
        text.replace("&quot;", "\"").replace("&amp;", "&")
    };
    form.split("<input type=\"hidden\" name=\"")
        .skip(1)
        .map(|field| {
            let (_, value) = field.split_once("value=\"").expect("a value");
            (text(field), text(value))
        })
        .filter(|(name, _)| name != "csrf")
        .collect()
}

#[tokio::test]
async fn settings_are_previewed_saved_as_they_were_shown_and_never_overwrite_others() {
    let house = House::open().await;
    let session = house.session(Role::Admin).await;
    house.mail("eve@elsewhere.example", "one").await;
    house.mail("eve@elsewhere.example", "two").await;
    let form = [
        ("internal.enabled", "true"),
        ("internal.approved_domains", "corp.example\r\ngmail.com\r\n"),
        ("external.allow_portal_only_accounts", "true"),
        ("external.allowed_domains", "partner.example"),
        ("revision", "1"),
    ];
    let with = |action| [&form[..], &[("action", action)]].concat();
    let preview = house.post(&session, "/access", &with("preview")).await;
    assert_eq!(preview.status, StatusCode::OK);
    for shown in [
        "internal.approved_domains: + gmail.com",
        "external.restrict_domains: true → false",
        "gmail.com is a mailbox provider",
        "Nothing is saved yet",
        "<strong>2 messages</strong> of 1 person would change from",
        "<td>elsewhere.example</td>",
    ] {
        assert!(preview.body.contains(shown), "{shown}: {}", preview.body);
    }
    assert_eq!(house.store.access().await.expect("read").number, 1);

    let mut confirmed = hidden(&preview.body, "action=\"/access\"");
    let edit = house.post(&session, "/access", &with("edit")).await;
    assert_eq!(edit.status, StatusCode::OK);
    assert!(
        edit.body
            .contains(">\ncorp.example\r\ngmail.com\r\n</textarea>")
    );
    confirmed.push(("action".to_owned(), "save".to_owned()));
    let confirmed: Vec<_> = confirmed
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let answer = house.post(&session, "/access", &confirmed).await;
    assert_eq!(answer.headers[LOCATION], "/access?done=saved");
    let revision = house.store.access().await.expect("read");
    assert_eq!(
        (
            revision.number,
            revision.by.as_str(),
            revision.origin.as_str()
        ),
        (2, "operator:the-admin", "page")
    );
    let changes = house.config.access.changes_to(&revision.settings);
    let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [
            "internal.approved_domains: + gmail.com",
            "external.restrict_domains: true → false"
        ]
    );
    let page = house.get(&session, "/access?done=saved").await;
    assert!(page.body.contains("Revision 2 is in force"));

    // Made from revision 1, which is not the newest any more.
    for step in ["preview", "save"] {
        let answer = house.post(&session, "/access", &with(step)).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert!(answer.body.contains("Somebody else made revision 2"));
        assert!(answer.body.contains("gmail.com"), "what was typed is kept");
    }
    assert_eq!(house.store.access().await.expect("read").number, 2);

    // The same again changes nothing, which is said.
    let mut same = with("preview");
    same.retain(|(name, _)| *name != "revision");
    same.push(("revision", "2"));
    let answer = house.post(&session, "/access", &same).await;
    assert!(answer.body.contains("Nothing would change; revision 2"));
}

#[tokio::test]
async fn a_pattern_that_is_none_is_refused_with_the_reason_and_what_was_typed() {
    let house = House::open().await;
    let session = house.session(Role::Admin).await;
    let form = [
        ("internal.approved_domains", "co.uk"),
        ("revision", "1"),
        ("action", "save"),
    ];
    let answer = house.post(&session, "/access", &form).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.body.contains("public suffix"), "{}", answer.body);
    assert!(
        answer.body.contains(">\nco.uk</textarea>"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_portal_overrides_what_is_not_ticked_as_inherited() {
    let house = House::open().await;
    let session = house.session(Role::Admin).await;
    let mut form = vec![("portal", "it"), ("revision", "1"), ("action", "save")];
    form.push(("external.verify", "true"));
    for key in crate::access::Key::ALL {
        if key.as_str() != "external.verify" {
            form.push(("inherit", key.as_str()));
        }
    }
    let answer = house.post(&session, "/access", &form).await;
    assert_eq!(answer.headers[LOCATION], "/access?done=saved&portal=it");
    let settings = house.store.access().await.expect("read").settings;
    let changes = house.config.access.changes_to(&settings);
    let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["it: external.verify: inherited → true"]);
    let site = house.get(&session, "/access").await;
    assert!(site.body.contains("Portals with settings of their own"));
    let own = house.get(&session, "/access?portal=it").await;
    assert_eq!(own.body.matches("this portal has its own").count(), 1);
    assert!(own.body.contains("As the site has it: <code>off</code>"));
}

#[tokio::test]
async fn a_dropped_domain_is_let_in_and_its_mail_taken_up_in_one_step() {
    let house = House::open().await;
    let session = house.session(Role::Admin).await;
    let entry = house.mail("eve@elsewhere.example", "one").await;
    house.mail("bob@elsewhere.example", "two").await;
    house.mail("bob@other.example", "three").await;
    let page = house.get(&session, "/dropped").await;
    let link = "/dropped/allow?domain=elsewhere.example";
    assert!(page.body.contains(link), "{}", page.body);
    let asked = house.get(&session, link).await;
    for shown in [
        "external.allowed_domains: + elsewhere.example",
        "<strong>2 messages</strong> of 2 people would change from",
        "<strong>2</strong> dropped messages of this domain",
    ] {
        assert!(asked.body.contains(shown), "{shown}: {}", asked.body);
    }
    assert_eq!(house.store.access().await.expect("read").number, 1);
    let allow = async |domain, revision| {
        let fields = [("domain", domain), ("revision", revision)];
        house.post(&session, "/dropped/allow", &fields).await
    };
    let answer = allow("elsewhere.example", "1").await;
    assert_eq!(
        answer.headers[LOCATION],
        "/dropped?done=allowed&domain=elsewhere.example&count=2&failed=0"
    );
    let now = house.store.ledger_entry(entry.ledger).await.expect("read");
    assert_eq!(now.expect("there").verdict, Verdict::Accepted);
    // What was shown was made from revision 1; now it is shown anew.
    let answer = allow("other.example", "1").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.body.contains("Somebody else made revision 2"));
    for (domain, status) in [
        ("co.uk", StatusCode::CONFLICT),
        ("*.other.example", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(allow(domain, "2").await.status, status, "{domain}");
    }
    assert_eq!(house.store.access().await.expect("read").number, 2);
    let agent = house.session(Role::Agent).await;
    let refused = house.get(&agent, link).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn customers_are_added_verified_and_blocked() {
    let house = House::open().await;
    let session = house.session(Role::Agent).await;
    let status = async |address: &str| {
        let address = EmailAddress::parse(address).expect("an address");
        let found = house.store.customer(&address).await.expect("read");
        found.map(|account| account.status)
    };
    let add = async |address| {
        house
            .post(&session, "/customers", &[("address", address)])
            .await
    };
    for (address, words) in [
        ("eve@elsewhere.example", "The access settings do not allow"),
        ("it-help@corp.example", "is an address of this house"),
        ("nobody", "nobody"),
    ] {
        let answer = add(address).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{address}");
        assert!(answer.body.contains(words), "{}", answer.body);
    }
    assert_eq!(status("eve@elsewhere.example").await, None);
    let answer = add("ann@corp.example").await;
    let place = answer.headers[LOCATION].to_str().expect("text").to_owned();
    let page = place.split('?').next().unwrap_or_default().to_owned();
    assert!(place.ends_with("?done=added"), "{place}");
    assert_eq!(status("ann@corp.example").await, Some(Status::Pending));
    house.mail("ann@corp.example", "one").await;
    for (action, after) in [
        ("verify", Status::Active),
        ("block", Status::Blocked),
        ("unblock", Status::Active),
    ] {
        let answer = house.post(&session, &page, &[("action", action)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{action}");
        assert_eq!(status("ann@corp.example").await, Some(after), "{action}");
    }
    assert_eq!(states(&house).await, [RequestState::Released]);
    let answer = house.post(&session, &page, &[("action", "resend")]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn what_was_dropped_comes_back_once_its_domain_may() {
    let house = House::open().await;
    let session = house.session(Role::Admin).await;
    let entry = house.mail("eve@elsewhere.example", "one").await;
    let page = house.get(&session, "/dropped").await;
    assert!(page.body.contains("elsewhere.example"));
    let recover = async || {
        let fields = [("domain", "elsewhere.example")];
        let answer = house.post(&session, "/dropped", &fields).await;
        answer.headers[LOCATION].to_str().expect("text").to_owned()
    };
    assert_eq!(recover().await, "/dropped?done=recovered&count=0&failed=1");
    let form = [
        ("external.allow_portal_only_accounts", "true"),
        ("revision", "1"),
        ("action", "save"),
    ];
    house.post(&session, "/access", &form).await;
    assert_eq!(recover().await, "/dropped?done=recovered&count=1&failed=0");
    let entry = house.store.ledger_entry(entry.ledger).await.expect("read");
    assert_eq!(entry.expect("there").verdict, Verdict::Accepted);
}

#[tokio::test]
async fn a_message_is_explained_shown_as_text_and_saved_as_it_came() {
    let house = House::open().await;
    let session = house.session(Role::Viewer).await;
    let entry = house.mail("eve@elsewhere.example", "one").await;
    let path = format!("/messages/{}", entry.ledger);
    let page = house.get(&session, &path).await;
    assert!(page.body.contains("domain_not_allowed"));
    assert!(page.body.contains("It &lt;b&gt;burns&lt;/b&gt;."));
    let saved = house.get(&session, &format!("{path}/raw")).await;
    assert_eq!(saved.headers[CONTENT_TYPE], "application/octet-stream");
    let name = format!("attachment; filename=\"{}.eml\"", entry.ledger);
    assert_eq!(saved.headers[CONTENT_DISPOSITION], name.as_str());
    assert!(saved.body.ends_with("It <b>burns</b>.\r\n"));
    for (search, found) in [
        (entry.ledger.to_string(), StatusCode::SEE_OTHER),
        ("eve@elsewhere.example".to_owned(), StatusCode::OK),
    ] {
        let answer = house
            .get(&session, &format!("/messages?search={search}"))
            .await;
        assert_eq!(answer.status, found, "{search}");
        assert!(found != StatusCode::OK || answer.body.contains(&path));
    }
    let none = house
        .get(&session, "/messages/01J9ZQ4D8N0VXB7T3WKE5M2R6C")
        .await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_destination_is_paused_and_resumed() {
    let house = House::open().await;
    let session = house.session(Role::Admin).await;
    for (action, paused) in [("pause", 1), ("resume", 0)] {
        let fields = [("destination", "helpdesk"), ("action", action)];
        let answer = house.post(&session, "/deliveries", &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let now = house.store.paused_destinations().await.expect("read");
        assert_eq!(now.len(), paused);
    }
    let fields = [("destination", "none"), ("action", "pause")];
    let answer = house.post(&session, "/deliveries", &fields).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_long_list_goes_on_behind_a_link_that_keeps_the_question() {
    let house = House::open().await;
    let session = house.session(Role::Viewer).await;
    for n in 0..60 {
        house.mail(&format!("p{n}@corp.example"), "one").await;
    }
    let page = house.get(&session, "/requests?state=held").await;
    assert_eq!(page.body.matches("/messages/").count(), 50);
    let (_, rest) = page
        .body
        .split_once("<a href=\"/requests?state=held&amp;after=")
        .expect("a link");
    let cursor = rest.split('"').next().unwrap_or_default();
    let page = house
        .get(&session, &format!("/requests?state=held&after={cursor}"))
        .await;
    assert_eq!(page.body.matches("/messages/").count(), 10);
    assert!(!page.body.contains("rel=\"next\""));
    let rest = house.store.audit(Page::default()).await.expect("read");
    assert!(rest.next.is_none());
}

#[tokio::test]
async fn what_is_done_to_many_is_asked_about_first() {
    let house = House::open().await;
    let session = house.session(Role::Agent).await;
    let mut ids = Vec::new();
    for n in 0..60 {
        let entry = house.mail(&format!("p{n}@corp.example"), "held").await;
        ids.push(entry.ledger.to_string());
    }
    // Two that were ticked, of which one cannot be released again.
    let release = [("action", "release"), ("request", ids[0].as_str())];
    house.post(&session, "/requests", &release).await;
    let ask = [
        ("action", "release"),
        ("ask", "yes"),
        ("state", "held"),
        ("request", &ids[0]),
        ("request", &ids[1]),
    ];
    let asked = house.post(&session, "/requests", &ask).await;
    assert_eq!(asked.status, StatusCode::OK);
    assert!(asked.body.contains("Release 1 request<"), "{}", asked.body);
    assert!(asked.body.contains("1 of those chosen is in a state"));
    let held = async || {
        let filter = RequestFilter {
            state: Some(RequestState::Held),
            ..RequestFilter::default()
        };
        let listed = house.store.requests(filter).await.expect("read");
        listed.rows.len()
    };
    assert_eq!(held().await, 59, "nothing is done by asking");
    // All that the list was narrowed to, though a page shows fifty.
    let ask = [
        ("action", "discard"),
        ("ask", "yes"),
        ("state", "held"),
        ("every", "yes"),
    ];
    let asked = house.post(&session, "/requests", &ask).await;
    assert!(asked.body.contains("Discard 59 requests"), "{}", asked.body);
    let mut form = hidden(&asked.body, "action=\"/requests\"");
    form.push(("action".to_owned(), "discard".to_owned()));
    let form: Vec<_> = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let answer = house.post(&session, "/requests", &form).await;
    assert_eq!(
        answer.headers[LOCATION],
        "/requests?done=discarded&count=59&failed=0&state=held"
    );
    assert_eq!(held().await, 0);
    let ask = [("action", "retry"), ("ask", "yes")];
    let asked = house.post(&session, "/requests", &ask).await;
    assert!(asked.body.contains("None was chosen"));
}

#[tokio::test]
async fn requests_are_found_by_person_portal_and_age() {
    let house = House::open().await;
    let session = house.session(Role::Viewer).await;
    let entry = house.mail("ann@corp.example", "one").await;
    house.mail("bea@corp.example", "two").await;
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
        let page = house.get(&session, &format!("/requests?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{query}");
        assert_eq!(page.body.matches("/messages/").count(), rows, "{query}");
    }
    let id = entry.ledger.to_string();
    let found = house.get(&session, &format!("/requests?search={id}")).await;
    assert_eq!(found.headers[LOCATION], format!("/messages?search={id}"));
    let wrong = house.get(&session, "/requests?age=yesterday").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_customer_has_a_history() {
    let house = House::open().await;
    let session = house.session(Role::Agent).await;
    house.mail("ann@corp.example", "one").await;
    let address = EmailAddress::parse("ann@corp.example").expect("an address");
    let ann = house.store.customer(&address).await.expect("read");
    let path = format!("/customers/{}", ann.expect("an account").id);
    house.post(&session, &path, &[("action", "block")]).await;
    let page = house.get(&session, &path).await;
    for shown in ["account.created", "account.blocked", "operator:the-agent"] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
}

#[tokio::test]
async fn the_overview_draws_what_there_is_and_has_the_figures_beside_it() {
    let house = House::open().await;
    let session = house.session(Role::Agent).await;
    let empty = house.get(&session, "/").await;
    assert_eq!(empty.body.matches("<svg").count(), 1, "{}", empty.body);
    assert!(empty.body.contains("Nothing waits."));
    house.mail("ann@corp.example", "one").await;
    house.mail("eve@elsewhere.example", "two").await;
    let page = house.get(&session, "/").await;
    assert_eq!(page.body.matches("role=\"img\"").count(), 3);
    assert_eq!(
        page.body.matches("<svg").count(),
        page.body.matches("<summary>The figures</summary>").count()
    );
    for shown in [
        "<rect class=\"held\"",
        "<rect class=\"dropped\"",
        "<th scope=\"row\">elsewhere.example</th>",
        "<desc id=\"verdicts-desc\">",
        "Nobody proved an address",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
}

#[tokio::test]
async fn the_html_of_a_message_stands_behind_two_walls() {
    let house = House::open().await;
    let session = house.session(Role::Viewer).await;
    let entry = house
        .mail_of_html(
            "eve@elsewhere.example",
            "<p>Hi</p><img src=https://evil.example/x.png>",
        )
        .await;
    let path = format!("/messages/{}", entry.ledger);
    let page = house.get(&session, &path).await;
    let frame = format!("sandbox=\"\" src=\"{path}/html\"");
    assert!(page.body.contains(&frame), "{}", page.body);
    let policy = |answer: &Answer| {
        answer.headers["content-security-policy"]
            .to_str()
            .map(str::to_owned)
    };
    assert!(policy(&page).expect("text").contains("frame-src 'self'"));
    let framed = house.get(&session, &format!("{path}/html")).await;
    assert_eq!(framed.status, StatusCode::OK);
    assert!(framed.body.contains("<p>Hi</p>"), "{}", framed.body);
    assert!(!framed.body.contains("evil.example"), "{}", framed.body);
    assert_eq!(
        policy(&framed).expect("text"),
        "default-src 'none'; form-action 'none'; frame-ancestors 'self'; base-uri 'none'; sandbox"
    );
    assert_eq!(framed.headers["x-frame-options"], "SAMEORIGIN");
    assert_eq!(framed.headers["x-content-type-options"], "nosniff");
    // A message without HTML has no frame, and its page may hold none.
    let plain = house.mail("eve@elsewhere.example", "plain").await;
    let path = format!("/messages/{}", plain.ledger);
    let page = house.get(&session, &path).await;
    assert!(!page.body.contains("<iframe"));
    assert!(!policy(&page).expect("text").contains("frame-src"));
    let none = house.get(&session, &format!("{path}/html")).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}
