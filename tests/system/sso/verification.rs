//! Customers who verify their address by a sign-in at the provider.

use serde_json::{Value, json};

use super::browser::Answer;
use super::{Browser, Organisation, at};
use crate::support::client::send;
use crate::support::harness::wait_for;

impl Organisation {
    /// A held request of this address, and its link.
    fn link_to(&self, address: &str, marker: &str) -> String {
        send(self.harness.smtp, address, marker);
        let link = self.harness.link_for(address);
        let (_, path) = link.split_once("/verify/").expect("a link");
        at(self.harness.http, &format!("/verify/{path}"))
    }

    /// Presses the button on the page of a link, and returns the address of the provider.
    fn press(browser: &mut Browser, link: &str, ticked: &str) -> String {
        let answer = browser.post(link, &format!("action=sso{ticked}"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.leads_on().expect("an address")
    }

    fn verify(&self, browser: &mut Browser, link: &str, account: &str) -> Answer {
        let authorization = Self::press(browser, link, "");
        let back = self.provider.log_in(browser, &authorization, account);
        browser.get(&back)
    }

    fn customer(&self, address: &str) -> Value {
        self.harness.json(&["customers", "show", address]).remove(0)
    }
}

#[test]
fn a_person_verifies_by_the_sign_in_and_their_groups_reach_the_destination() {
    let organisation = Organisation::start();
    let provider = &organisation.provider;
    let ann = "ann@corp.example";
    let link = organisation.link_to(ann, "first");
    send(organisation.harness.smtp, ann, "second");
    let held = wait_for("both requests", || {
        let held = organisation
            .harness
            .json(&["requests", "list", "--state", "held"]);
        (held.len() == 2).then_some(held)
    });
    let mut browser = Browser::default();
    let page = browser.get(&link);
    assert!(page.body.contains("value=\"sso\""), "{}", page.body);

    // Group names that try to be other groups, several groups, or a header field.
    let groups = json!([
        "staff",
        "a, admins",
        " admins",
        "admins\u{a0}",
        "x\r\nX-Vestibule-Account: internal",
        "50%2C",
        "=?UTF-8?Q?admins?=",
        "Größe",
        "ad\u{200b}mins",
        "",
        "  ",
        7,
        null,
        "y".repeat(256),
    ]);
    provider.account(
        "1",
        &json!({"email": "Ann@CORP.example", "email_verified": true, "groups": groups}),
    );
    let keep = held
        .iter()
        .find(|one| one["subject"] == "About first")
        .expect("the first");
    let all: Vec<_> = held
        .iter()
        .map(|one| format!("&shown={}", one["id"].as_str().expect("an id")))
        .collect();
    let kept = keep["id"].as_str().expect("an id");
    let ticked = format!("{}&request={kept}", all.concat());
    let authorization = Organisation::press(&mut browser, &link, &ticked);
    assert!(!authorization.contains(link.rsplit('/').next().expect("a token")));
    let back = provider.log_in(&mut browser, &authorization, "1");
    let answer = browser.get(&back);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(
        answer.body.contains("Your address is confirmed."),
        "{}",
        answer.body
    );

    let account = organisation.customer(ann);
    assert_eq!(
        (&account["status"], &account["verified_by"]),
        (&json!("active"), &json!("sso"))
    );
    let delivered = wait_for("the delivery", || organisation.harness.delivered().pop());
    let text = String::from_utf8(delivered).expect("ASCII");
    assert!(text.contains("X-Vestibule-Verified: sso 20"), "{text}");
    let (_, rest) = text.split_once("X-Vestibule-Groups: ").expect("groups");
    let end = rest.find("\r\nX-").expect("another field");
    let field = rest[..end].replace("\r\n ", " ");
    assert_eq!(
        field,
        "staff, a%2C admins, %20admins, admins%C2%A0, x%0D%0AX-Vestibule-Account: internal, \
         50%252C, =?UTF-8?B?PT9VVEYtOD9RP2FkbWlucz89?=, =?UTF-8?B?R3LDtsOfZQ==?=, ad%E2%80%8Bmins"
    );
    assert_eq!(
        text.matches("\r\nX-Vestibule-Account: ").count(),
        1,
        "{text}"
    );
    // The request that was not ticked is discarded.
    let states = organisation.harness.json(&["requests", "list"]);
    let other = states
        .iter()
        .find(|one| one["subject"] == "About second")
        .expect("the second");
    assert_eq!(other["state"], "discarded");
    // The same answer of the provider again changes nothing.
    assert_eq!(browser.get(&back).status, 400);

    // Values that a sender writes into these fields are not delivered.
    let forged = b"From: ann@corp.example\r\nTo: it-help@corp.example\r\nSubject: forged\r\n\
        X-Vestibule-Groups: admins\r\nX-Vestibule-Verified: sso now\r\n\r\nHello\r\n";
    let mut client =
        crate::support::client::Smtp::connect(organisation.harness.smtp).expect("connected");
    client
        .send(ann, "it-help@corp.example", forged)
        .expect("accepted");
    let text = wait_for("the second delivery", || {
        let all = organisation.harness.delivered();
        all.into_iter()
            .find(|one| one.windows(6).any(|part| part == b"forged"))
    });
    let text = String::from_utf8(text).expect("ASCII");
    assert_eq!(text.matches("X-Vestibule-Groups:").count(), 1, "{text}");
    assert!(
        !text.contains("Groups: admins") && !text.contains("sso now"),
        "{text}"
    );
}

#[test]
fn only_the_address_that_the_provider_vouches_for_is_verified() {
    let organisation = Organisation::start();
    let provider = &organisation.provider;
    let link = organisation.link_to("bea@corp.example", "held");
    for (name, claims) in [
        (
            "other",
            json!({"email": "eve@corp.example", "email_verified": true}),
        ),
        (
            "unverified",
            json!({"email": "bea@corp.example", "email_verified": false}),
        ),
        ("silent", json!({"email": "bea@corp.example"})),
        (
            "text",
            json!({"email": "bea@corp.example", "email_verified": "true"}),
        ),
        (
            "detail",
            json!({"email": "bea+x@corp.example", "email_verified": true}),
        ),
        (
            "below",
            json!({"email": "bea@sub.corp.example", "email_verified": true}),
        ),
        (
            "two",
            json!({"email": "bea@corp.example, eve@corp.example", "email_verified": true}),
        ),
        (
            "named",
            json!({"email": "Bea <bea@corp.example>", "email_verified": true}),
        ),
        ("nothing", json!({})),
        ("name", json!({"preferred_username": "bea@corp.example"})),
    ] {
        provider.account(name, &claims);
        let answer = organisation.verify(&mut Browser::default(), &link, name);
        assert_eq!(answer.status, 403, "{name}: {}", answer.body);
        assert!(answer.body.contains("not confirmed"), "{}", answer.body);
        assert_eq!(
            organisation.customer("bea@corp.example")["status"],
            "pending",
            "{name}"
        );
    }
    provider.account(
        "bea",
        &json!({"email": "bea@corp.example", "email_verified": true}),
    );
    provider.account(
        "eve",
        &json!({"email": "eve@corp.example", "email_verified": true}),
    );

    // Another browser, another link: an answer is valid only for the link and the browser that began.
    let other_link = organisation.link_to("eve@corp.example", "of eve");
    let mut browser = Browser::default();
    let authorization = Organisation::press(&mut browser, &link, "");
    let back = provider.log_in(&mut browser, &authorization, "bea");
    let mut stranger = Browser::default();
    assert_eq!(stranger.get(&back).status, 400);
    Organisation::press(&mut stranger, &other_link, "");
    assert_eq!(stranger.get(&back).status, 400);
    for fault in [
        "audience", "expired", "nonce", "none", "hs256", "stranger", "issuer",
    ] {
        provider.fault(fault);
        let answer = organisation.verify(&mut Browser::default(), &link, "bea");
        assert_eq!(answer.status, 403, "{fault}");
    }
    provider.fault("");
    for address in ["bea@corp.example", "eve@corp.example"] {
        assert_eq!(organisation.customer(address)["status"], "pending");
    }
    // The sign-in of a customer is not that of an operator, or the other way round.
    let operators = at(organisation.harness.admin, "/login/sso/callback");
    let query = back.split_once('?').expect("a query").1;
    let mut both = browser.clone();
    assert_eq!(both.get(&format!("{operators}?{query}")).status, 400);
    assert_eq!(browser.get(&back).status, 200);
    assert_eq!(
        organisation.customer("bea@corp.example")["status"],
        "active"
    );
    let log = wait_for("the line of the log", || {
        let log = organisation.harness.log();
        log.contains("verification.sso_failed").then_some(log)
    });
    assert!(!log.contains("eyJ"), "no token in the log");
}

#[test]
fn the_answer_to_a_link_that_was_refused_meanwhile_is_the_page_of_the_refusal() {
    let organisation = Organisation::start();
    let provider = &organisation.provider;
    provider.account(
        "ann",
        &json!({"email": "ann@corp.example", "email_verified": true}),
    );
    let link = organisation.link_to("ann@corp.example", "held");
    let mut browser = Browser::default();
    let authorization = Organisation::press(&mut browser, &link, "");
    let refused = browser.post(&link, "action=not-me");
    assert_eq!(refused.status, 200, "{}", refused.body);
    let back = provider.log_in(&mut browser, &authorization, "ann");
    let answer = browser.get(&back);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(
        answer.body.contains("Thank you for telling us"),
        "{}",
        answer.body
    );
    // The form of that page belongs to the link.
    assert!(!answer.body.contains("take-back"), "{}", answer.body);
    let account = organisation.customer("ann@corp.example");
    assert_eq!(account["status"], "pending");
}

#[test]
fn the_sign_in_is_offered_only_for_the_configured_domains() {
    let mut organisation = Organisation::start();
    let link = organisation.link_to("ann@corp.example", "held");
    let run = organisation
        .harness
        .run(&["access", "set", "external.verify=true"]);
    assert_eq!(run.status, 0, "{}", run.shown());
    let outside = organisation.link_to("pat@partner.example", "outside");
    let mut browser = Browser::default();
    assert!(!browser.get(&outside).body.contains("value=\"sso\""));
    assert_eq!(browser.post(&outside, "action=sso").status, 400);
    // A link that no longer waits for verification leads nowhere.
    assert_eq!(browser.post(&link, "action=not-me").status, 200);
    let answer = browser.post(&link, "action=sso");
    assert!(answer.leads_on().is_none(), "{}", answer.body);
    assert_eq!(browser.post(&link, "action=take-back").status, 200);
    assert_eq!(
        browser
            .get(&at(
                organisation.harness.http,
                "/sso/callback?code=x&state=y"
            ))
            .status,
        400
    );
    organisation.provider.stop();
    let answer = browser.post(&link, "action=sso");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(
        answer.body.contains("is not available at the moment"),
        "{}",
        answer.body
    );
}
