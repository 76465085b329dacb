//! The access settings on the pages: preview, saving, and recovery of dropped mail.

use axum::http::header::LOCATION;

use super::*;
use crate::domain::Verdict;

#[tokio::test]
async fn settings_are_previewed_saved_as_they_were_shown_and_never_overwrite_others() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Admin).await;
    harness.mail("eve@elsewhere.example", "one").await;
    harness.mail("eve@elsewhere.example", "two").await;
    let form = [
        ("internal.enabled", "true"),
        ("internal.approved_domains", "corp.example\r\ngmail.com\r\n"),
        ("external.allow_portal_only_accounts", "true"),
        ("external.allowed_domains", "partner.example"),
        ("revision", "1"),
    ];
    let with = |action| [&form[..], &[("action", action)]].concat();
    let preview = harness.post(&session, "/access", &with("preview")).await;
    assert_eq!(preview.status, StatusCode::OK);
    for shown in [
        "internal.approved_domains: + gmail.com",
        "external.restrict_domains: true → false",
        "gmail.com is a mailbox provider",
        "Nothing is saved yet",
        "<strong>2 messages</strong> of 1 person would change from",
        ">elsewhere.example</td>",
        "title=\"external_account_created\">New customer, external</span>",
        "title=\"it\">IT Help</span>",
    ] {
        assert!(preview.body.contains(shown), "{shown}: {}", preview.body);
    }
    assert_eq!(harness.store.access().await.expect("read").number, 1);

    let mut confirmed = hidden(&preview.body, "action=\"/access\"");
    let edit = harness.post(&session, "/access", &with("edit")).await;
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
    let answer = harness.post(&session, "/access", &confirmed).await;
    assert_eq!(answer.headers[LOCATION], "/access?done=saved");
    let revision = harness.store.access().await.expect("read");
    assert_eq!(
        (
            revision.number,
            revision.by.as_str(),
            revision.origin.as_str()
        ),
        (2, "operator:the-admin", "page")
    );
    let changes = harness.config.access.changes_to(&revision.settings);
    let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [
            "internal.approved_domains: + gmail.com",
            "external.restrict_domains: true → false"
        ]
    );
    let page = harness.get(&session, "/access?done=saved").await;
    assert!(page.body.contains("Revision 2 is in force"));

    // Made from revision 1, which is not the newest any more.
    for step in ["preview", "save"] {
        let answer = harness.post(&session, "/access", &with(step)).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert!(answer.body.contains("Somebody else saved revision 2"));
        assert!(answer.body.contains("gmail.com"), "what was typed is kept");
    }
    assert_eq!(harness.store.access().await.expect("read").number, 2);

    // The same values again: the page says that nothing would change.
    let mut same = with("preview");
    same.retain(|(name, _)| *name != "revision");
    same.push(("revision", "2"));
    let answer = harness.post(&session, "/access", &same).await;
    assert!(answer.body.contains("Nothing would change; revision 2"));
}

#[tokio::test]
async fn an_invalid_pattern_is_refused_with_the_reason_and_the_typed_value() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Admin).await;
    let form = [
        ("internal.approved_domains", "co.uk"),
        ("revision", "1"),
        ("action", "save"),
    ];
    let answer = harness.post(&session, "/access", &form).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.body.contains("public suffix"), "{}", answer.body);
    for shown in [
        "<a href=\"#internal.approved_domains\">Approved domains</a>: ",
        "aria-invalid=\"true\" aria-describedby=\"internal.approved_domains-fault ",
        "id=\"internal.approved_domains-fault\"",
    ] {
        assert_eq!(answer.body.matches(shown).count(), 1, "{shown}");
    }
    assert_eq!(answer.body.matches("aria-invalid").count(), 1);
    assert!(
        answer.body.contains(">\nco.uk</textarea>"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_portal_overrides_what_is_not_ticked_as_inherited() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Admin).await;
    let mut form = vec![("portal", "it"), ("revision", "1"), ("action", "save")];
    form.push(("external.verify", "true"));
    for key in crate::access::Key::ALL {
        if key.as_str() != "external.verify" {
            form.push(("inherit", key.as_str()));
        }
    }
    let answer = harness.post(&session, "/access", &form).await;
    assert_eq!(answer.headers[LOCATION], "/access?done=saved&portal=it");
    let settings = harness.store.access().await.expect("read").settings;
    let changes = harness.config.access.changes_to(&settings);
    let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["it: external.verify: inherited → true"]);
    let site = harness.get(&session, "/access").await;
    assert!(site.body.contains("Portals with their own settings"));
    let own = harness.get(&session, "/access?portal=it").await;
    assert_eq!(own.body.matches("this portal has its own value").count(), 1);
    assert!(own.body.contains("Same as the site: <code>off</code>"));
}

#[tokio::test]
async fn a_dropped_domain_is_allowed_and_its_mail_recovered_in_one_step() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Admin).await;
    let entry = harness.mail("eve@elsewhere.example", "one").await;
    harness.mail("bob@elsewhere.example", "two").await;
    harness.mail("bob@other.example", "three").await;
    let page = harness.get(&session, "/dropped").await;
    let link = "/dropped/allow?domain=elsewhere.example";
    assert!(page.body.contains(link), "{}", page.body);
    let asked = harness.get(&session, link).await;
    for shown in [
        "external.allowed_domains: + elsewhere.example",
        "<strong>2 messages</strong> of 2 people would change from",
        "<strong>2</strong> dropped messages from this domain",
    ] {
        assert!(asked.body.contains(shown), "{shown}: {}", asked.body);
    }
    assert_eq!(harness.store.access().await.expect("read").number, 1);
    let allow = async |domain, revision| {
        let fields = [("domain", domain), ("revision", revision)];
        harness.post(&session, "/dropped/allow", &fields).await
    };
    let answer = allow("elsewhere.example", "1").await;
    assert_eq!(
        answer.headers[LOCATION],
        "/dropped?done=allowed&domain=elsewhere.example&count=2&failed=0"
    );
    let now = harness
        .store
        .ledger_entry(entry.ledger)
        .await
        .expect("read");
    assert_eq!(now.expect("there").verdict, Verdict::Accepted);
    // The preview was made from revision 1, so it is shown again.
    let answer = allow("other.example", "1").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.body.contains("Somebody else saved revision 2"));
    for (domain, status) in [
        ("co.uk", StatusCode::CONFLICT),
        ("*.other.example", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(allow(domain, "2").await.status, status, "{domain}");
    }
    assert_eq!(harness.store.access().await.expect("read").number, 2);
    let agent = harness.session(Role::Agent).await;
    let refused = harness.get(&agent, link).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn dropped_messages_are_recovered_when_their_domain_is_allowed() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Admin).await;
    let entry = harness.mail("eve@elsewhere.example", "one").await;
    let page = harness.get(&session, "/dropped").await;
    assert!(page.body.contains("elsewhere.example"));
    let recover = async || {
        let fields = [("domain", "elsewhere.example")];
        let answer = harness.post(&session, "/dropped", &fields).await;
        answer.headers[LOCATION].to_str().expect("text").to_owned()
    };
    assert_eq!(recover().await, "/dropped?done=recovered&count=0&failed=1");
    let form = [
        ("external.allow_portal_only_accounts", "true"),
        ("revision", "1"),
        ("action", "save"),
    ];
    harness.post(&session, "/access", &form).await;
    assert_eq!(recover().await, "/dropped?done=recovered&count=1&failed=0");
    let entry = harness
        .store
        .ledger_entry(entry.ledger)
        .await
        .expect("read");
    assert_eq!(entry.expect("there").verdict, Verdict::Accepted);
}

#[tokio::test]
async fn a_message_that_stays_dropped_names_the_reason_and_can_be_forced() {
    let harness = Harness::open().await;
    let agent = harness.session(Role::Agent).await;
    let entry = harness.mail("eve@elsewhere.example", "one").await;
    let ledger = entry.ledger.to_string();
    let fields = [("ledger", ledger.as_str()), ("action", "recover")];
    let told = harness.post(&agent, "/dropped", &fields).await;
    assert_eq!(told.status, StatusCode::OK);
    let why =
        "stays dropped: Domain not allowed (elsewhere.example is not in external.allowed_domains)";
    assert!(told.body.contains(why), "{}", told.body);
    let page = harness.get(&agent, &format!("/messages/{ledger}")).await;
    assert!(page.body.contains("id=\"release\""), "{}", page.body);
    let force = [("ledger", ledger.as_str()), ("action", "force")];
    let viewer = harness.session(Role::Viewer).await;
    let refused = harness.post(&viewer, "/dropped", &force).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let named = [&force[..], &[("as", "bob@elsewhere.example")]].concat();
    let refused = harness.post(&agent, "/dropped", &named).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    let done = harness.post(&agent, "/dropped", &force).await;
    let place = format!("/messages/{ledger}?done=released");
    assert_eq!(done.headers[LOCATION], place.as_str());
    let again = harness.post(&agent, "/dropped", &force).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(
        again.body.contains("was already released"),
        "{}",
        again.body
    );
    let page = harness.get(&agent, &place).await;
    assert!(page.body.contains("Released. It is delivered as soon as"));
    assert!(!page.body.contains("id=\"release\""), "{}", page.body);
    let list = harness.get(&agent, "/dropped").await;
    assert!(
        !list.body.contains(&format!("value=\"{ledger}\"")),
        "{}",
        list.body
    );
}
