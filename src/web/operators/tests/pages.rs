//! Properties of every page, and the content and actions of the overview, the customers and the deliveries.

use axum::http::header::LOCATION;

use super::super::routes;
use super::*;
use crate::access::Key;
use crate::domain::{AccountStatus, DomainPattern, EmailAddress};

const HOSTILE: &str = "<script>alert(1)</script> \u{202e}gnp.exe";

#[tokio::test]
async fn every_page_is_shown_and_nothing_of_a_stranger_becomes_markup() {
    let harness = Harness::open().await;
    let held = harness.mail_of_html("ann@corp.example", HOSTILE).await;
    harness.mail("eve@elsewhere.example", HOSTILE).await;
    let address = EmailAddress::parse("ann@corp.example").expect("an address");
    let ann = harness.store.customer(&address).await.expect("read");
    let ann = ann.expect("an account").id.to_string();
    for role in [Role::Viewer, Role::Admin] {
        let session = harness.session(role).await;
        for route in routes() {
            if route.method != Method::GET || route.path.starts_with("/assets") {
                continue;
            }
            let id = if route.path.starts_with("/customers") {
                ann.clone()
            } else {
                held.ledger.to_string()
            };
            if route.path.ends_with("/{place}")
                || route.path.contains("{name}")
                || route.path.starts_with("/login/sso")
            {
                continue;
            }
            if role == Role::Viewer && route.required > Some(role) {
                continue;
            }
            let mut path = route.path.replace("{id}", &id);
            if route.path == "/dropped/allow" {
                if role == Role::Viewer {
                    continue;
                }
                path.push_str("?domain=elsewhere.example");
            }
            let answer = harness.get(&session, &path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
            if ["/raw", "/html", "/export", ".csv"]
                .iter()
                .any(|end| path.ends_with(end))
            {
                continue;
            }
            assert!(answer.body.contains("<h1>"), "{path}");
            assert!(!answer.body.contains("<script"), "{path}");
            assert!(!answer.body.contains('\u{202e}'), "{path}");
            assert!(!answer.body.contains("style="), "{path}");
            // The logout is the only form that a viewer gets.
            let forms = answer.body.matches("method=\"post\"").count();
            if role == Role::Viewer
                && !["/login", "/access", "/account", "/requests", "/dropped"]
                    .contains(&path.as_str())
            {
                assert_eq!(forms, 1, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn the_menu_is_on_every_page_and_marks_the_section() {
    let harness = Harness::open().await;
    let held = harness.mail("ann@corp.example", "one").await.ledger;
    let agent = harness.session(Role::Agent).await;
    for (path, status, marked) in [
        ("/", StatusCode::OK, "/\" aria-current=\"page\""),
        ("/access", StatusCode::OK, "/access\" aria-current=\"page\""),
        (
            "/access/test",
            StatusCode::OK,
            "/access\" aria-current=\"true\"",
        ),
        (
            &format!("/messages/{held}"),
            StatusCode::OK,
            "/messages\" aria-current=\"true\"",
        ),
        (
            "/messages/x",
            StatusCode::NOT_FOUND,
            "/messages\" aria-current=\"true\"",
        ),
        (
            "/messages?verdict=lost",
            StatusCode::BAD_REQUEST,
            "/messages\" aria-current=\"page\"",
        ),
        (
            "/customers/import",
            StatusCode::FORBIDDEN,
            "/customers\" aria-current=\"true\"",
        ),
        (
            "/hooks/none",
            StatusCode::NOT_FOUND,
            "/deliveries\" aria-current=\"true\"",
        ),
    ] {
        let page = harness.get(&agent, path).await;
        assert_eq!(page.status, status, "{path}");
        let (_, menu) = page
            .body
            .split_once("<nav aria-label=\"Pages\">")
            .expect(path);
        let menu = menu.split("</nav>").next().unwrap_or_default();
        assert_eq!(menu.matches("aria-current").count(), 1, "{path}: {menu}");
        assert!(
            menu.contains(&format!("<a href=\"{marked}")),
            "{path}: {menu}"
        );
        assert!(page.body.contains("action=\"/logout\""), "{path}");
    }
    let forged = harness.send(posted("/customers", Some(&agent.cookie), String::new()));
    let forged = forged.await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert!(forged.body.contains("action=\"/logout\""));
}

#[tokio::test]
async fn a_long_filter_is_open_only_while_it_filters() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Viewer).await;
    for path in ["/messages", "/requests", "/customers", "/dropped"] {
        for (query, is_open) in [
            ("", false),
            ("?refresh=on&sort=oldest", false),
            ("?portal=&since=2026-11-01", true),
        ] {
            let page = harness.get(&session, &format!("{path}{query}")).await;
            let open = page.body.contains("<details class=\"filter-switch\" open>");
            assert_eq!(open, is_open, "{path}{query}");
            assert!(page.body.contains("<details class=\"filter-switch\""));
        }
    }
}

#[tokio::test]
async fn customers_are_added_verified_and_blocked() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let status = async |address: &str| {
        let address = EmailAddress::parse(address).expect("an address");
        let found = harness.store.customer(&address).await.expect("read");
        found.map(|account| account.status)
    };
    let add = async |address| {
        harness
            .post(&session, "/customers", &[("address", address)])
            .await
    };
    for (address, words) in [
        ("eve@elsewhere.example", "The access settings do not allow"),
        ("it-help@corp.example", "cannot be a customer"),
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
    assert_eq!(
        status("ann@corp.example").await,
        Some(AccountStatus::Pending)
    );
    harness.mail("ann@corp.example", "one").await;
    for (action, after) in [
        ("verify", AccountStatus::Active),
        ("block", AccountStatus::Blocked),
        ("unblock", AccountStatus::Active),
    ] {
        let answer = harness.post(&session, &page, &[("action", action)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{action}");
        assert_eq!(status("ann@corp.example").await, Some(after), "{action}");
    }
    assert_eq!(harness.states().await, [RequestState::Released]);
    let shown = harness.get(&session, &page).await.body;
    let verified = shown.split_once("<dt>Verified</dt>").expect("a line").1;
    let verified = verified.split("</dd>").next().unwrap_or_default();
    assert!(verified.contains("<time datetime="), "{verified}");
    let answer = harness.post(&session, &page, &[("action", "resend")]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_destination_is_paused_and_resumed() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Admin).await;
    for (action, paused) in [("pause", 1), ("resume", 0)] {
        let fields = [("destination", "helpdesk"), ("action", action)];
        let answer = harness.post(&session, "/deliveries", &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let now = harness.store.paused_destinations().await.expect("read");
        assert_eq!(now.len(), paused);
    }
    let fields = [("destination", "none"), ("action", "pause")];
    let answer = harness.post(&session, "/deliveries", &fields).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_customer_has_a_history() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    harness.mail("ann@corp.example", "one").await;
    let address = EmailAddress::parse("ann@corp.example").expect("an address");
    let ann = harness.store.customer(&address).await.expect("read");
    let path = format!("/customers/{}", ann.expect("an account").id);
    harness.post(&session, &path, &[("action", "block")]).await;
    let page = harness.get(&session, &path).await;
    for shown in [
        "account.created",
        "account.blocked",
        "operator:the-agent",
        "<td data-label=\"At\" class=\"when\">20",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    // A cell without a value is empty, so that a card omits it.
    let audit = harness.get(&session, "/audit").await.body;
    assert!(audit.contains("<td data-label=\"About\"></td>"), "{audit}");
}

/// The page of a customer says that their mail is denied, and how they can undo "This was not me".
#[tokio::test]
async fn a_customers_page_names_a_denial_and_the_ways_to_undo() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    harness.mail("ann@corp.example", "one").await;
    let (store, now) = (&harness.store, Timestamp::now());
    let ann = EmailAddress::parse("ann@corp.example").expect("an address");
    let account = store.customer(&ann).await.expect("read");
    let id = account.expect("an account").id;
    let path = format!("/customers/{id}");
    let page = harness.get(&session, &path).await.body;
    assert!(!page.contains("<dt>Denied</dt>"), "{page}");

    let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    let verification = &harness.config.verification;
    let (limits, ttl) = (verification.limits, verification.token_ttl);
    let tokens = vec![token.hash().into()];
    let claimed = store.settle_and_claim_mail([], tokens, limits, ttl, now);
    assert_eq!(
        claimed.await.expect("claimed").1.verification_mails.len(),
        1
    );
    let refused = store.refuse(token.hash(), verification.quiet_for, now);
    refused.await.expect("refused");
    let base = store.access().await.expect("read");
    let pattern = DomainPattern::parse_denied("ann@corp.example").expect("a pattern");
    let denied = base.settings.with_domains(None, Key::Denied, &[pattern]);
    let by = || Actor::operator("root", Interface::CommandLine);
    let changed = store.change_access(base.number, denied, by(), now);
    changed.await.expect("changed");
    let page = harness.get(&session, &path).await.body;
    for part in [
        "<dt>Denied</dt><dd>by ann@corp.example: mail from this address is dropped",
        "They can undo it with their link, which expires",
        ", or request one more mail with a new link.",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let blocked = store.block_customer(id, by(), now);
    blocked.await.expect("blocked");
    let page = harness.get(&session, &path).await.body;
    assert!(
        page.contains("While the account is blocked, their link does not open"),
        "{page}"
    );
}

#[tokio::test]
async fn the_overview_draws_what_there_is_and_has_the_figures_beside_it() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let empty = harness.get(&session, "/").await;
    assert_eq!(empty.body.matches("<svg").count(), 1, "{}", empty.body);
    assert!(empty.body.contains("Nothing is waiting."));
    harness.mail("ann@corp.example", "one").await;
    harness.mail("eve@elsewhere.example", "two").await;
    let page = harness.get(&session, "/").await;
    assert_eq!(page.body.matches("<svg").count(), 3);
    assert_eq!(
        page.body.matches("<svg").count(),
        page.body.matches("<summary>Figures</summary>").count()
    );
    for shown in [
        "<rect class=\"held\"",
        "<rect class=\"dropped\"",
        ">elsewhere.example</a></th>",
        "href=\"/messages?since=",
        "aria-current=\"true\">7 days<",
        "Nobody verified an address",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
}
