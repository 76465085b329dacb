//! Operators who sign in at the provider.

use serde_json::{Value, json};

use super::browser::Answer;
use super::{Browser, Organisation};
use crate::support::harness::wait_for;

impl Organisation {
    /// Begins at the login page, signs in at the provider, and returns the answer to the callback.
    fn sign_in(&self, browser: &mut Browser, account: &str) -> Answer {
        let authorization = self.begin(browser);
        let back = self.provider.log_in(browser, &authorization, account);
        browser.get(&back)
    }

    /// The address of the provider to which the login leads.
    fn begin(&self, browser: &mut Browser) -> String {
        let answer = browser.get(&self.admin("/login/sso?to=/messages"));
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.location().expect("an address")
    }

    fn operators(&self) -> Vec<Value> {
        self.harness.json(&["operators", "list"])
    }

    /// True if the browser has a valid session.
    fn is_in(&self, browser: &mut Browser) -> bool {
        browser.get(&self.admin("/")).status == 200
    }

    fn failures(&self) -> String {
        let log = self.harness.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("operator.login_failed"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn an_operator_signs_in_gets_the_current_role_and_logs_out_everywhere() {
    let mut organisation = Organisation::start();
    let provider = &organisation.provider;
    // Another operator has the name already, and keeps it.
    let password = organisation
        .harness
        .write("password", "correct horse battery");
    let add = [
        "operators",
        "add",
        "ann",
        "--role",
        "admin",
        "--password-file",
    ];
    organisation.harness.run(&[&add[..], &[&password]].concat());
    provider.account(
        "subject-1",
        &json!({"preferred_username": "ann", "email": "ann@corp.example", "groups": ["agents"]}),
    );
    let mut browser = Browser::default();
    let page = browser.get(&organisation.admin("/login?to=/messages"));
    assert!(
        page.body.contains("/login/sso?to=%2Fmessages"),
        "{}",
        page.body
    );
    let answer = organisation.sign_in(&mut browser, "subject-1");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.leads_on().as_deref(), Some("/messages"));
    let cookie = answer
        .fields("set-cookie")
        .find(|set| set.starts_with("vestibule_session"));
    assert!(cookie.expect("a session").contains("SameSite=Strict"));
    assert!(organisation.is_in(&mut browser));
    let listed = |name: &str| {
        let found = organisation.operators();
        found.into_iter().find(|one| one["name"] == name)
    };
    let made = listed("ann-2").expect("an operator of the directory");
    assert_eq!(
        (&made["role"], &made["sign_in"]),
        (&json!("agent"), &json!("sso"))
    );
    let own = listed("ann").expect("the other one");
    assert_eq!(
        (&own["role"], &own["sign_in"]),
        (&json!("admin"), &json!("password"))
    );
    // No password opens the account.
    for password in ["", "x", "correct+horse+battery"] {
        let form = format!("name=ann-2&password={password}");
        let answer = Browser::default().post(&organisation.admin("/login"), &form);
        assert_eq!(answer.status, 401, "{password}");
    }
    let given = [
        "operators",
        "password",
        "ann-2",
        "--password-file",
        &password,
    ];
    assert_eq!(organisation.harness.run(&given).status, 1);

    // The name at the provider may change; the subject and so the operator stays. The highest role counts.
    provider.account(
        "subject-1",
        &json!({"preferred_username": "anna", "groups": ["agents", "admins", "others"]}),
    );
    let answer = organisation.sign_in(&mut browser, "subject-1");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(listed("ann-2").expect("the same")["role"], "admin");
    assert_eq!(organisation.operators().len(), 2);

    let token = organisation.harness.run(&["operators", "token", "ann-2"]);
    assert_eq!(token.status, 0, "{}", token.shown());

    // Without a group that has a role nobody gets in, and open sessions end.
    provider.account("subject-1", &json!({"groups": ["others", "ADMINS", ""]}));
    let answer = organisation.sign_in(&mut browser, "subject-1");
    assert_eq!(answer.status, 403);
    assert!(
        answer.body.contains("none of your groups"),
        "{}",
        answer.body
    );
    assert!(!organisation.is_in(&mut browser));
    let closed = listed("ann-2").expect("the same");
    assert_eq!(
        (&closed["sessions"], &closed["tokens"]),
        (&json!(0), &json!(0))
    );
    wait_for("the line of the log", || {
        let failures = organisation.failures();
        failures.contains("no group with a role").then_some(())
    });

    provider.account("subject-1", &json!({"groups": "readers"}));
    let answer = organisation.sign_in(&mut browser, "subject-1");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let page = browser.get(&organisation.admin("/account"));
    let (_, csrf) = page
        .body
        .split_once("name=\"csrf\" value=\"")
        .expect("a form");
    let csrf = csrf.split('"').next().expect("a token").to_owned();
    let answer = browser.post(&organisation.admin("/logout"), &format!("csrf={csrf}"));
    let to = answer.leads_on().expect("the provider's logout");
    assert!(
        to.starts_with(&format!("{}/session/end?", organisation.provider.issuer())),
        "{to}"
    );
    assert!(to.contains("client_id=vestibule"), "{to}");
    assert!(!organisation.is_in(&mut browser));
    let page = browser.get(&to);
    assert!(
        page.status == 200 && page.body.contains("Do you want to sign-out"),
        "{}",
        page.body
    );

    organisation.provider.stop();
    let answer = browser.get(&organisation.admin("/login/sso"));
    // The daemon caches the provider's metadata for an hour, so the login still leads there.
    assert_eq!(answer.status, 303);
}

#[test]
fn a_recent_sign_in_is_one_that_the_provider_says_is_recent() {
    let organisation = Organisation::start();
    let provider = &organisation.provider;
    provider.account("ann", &json!({"groups": ["admins"]}));
    let mut browser = Browser::default();
    let first = organisation.begin(&mut browser);
    assert!(!first.contains("max_age"), "{first}");
    let back = provider.log_in(&mut browser, &first, "ann");
    assert_eq!(browser.get(&back).status, 200);
    let is_recent = |browser: &mut Browser| {
        let page = browser.get(&organisation.admin("/account"));
        assert_eq!(page.status, 200, "{}", page.body);
        !page.body.contains("sign-in-again")
    };
    // The session at the provider may be old, and the ID token does not say.
    assert!(!is_recent(&mut browser));
    for (fault, why) in [
        ("no-auth-time", "does not say when the person signed in"),
        ("old-auth-time", "the person signed in too long ago"),
    ] {
        provider.fault(fault);
        let answer = organisation.sign_in(&mut browser, "ann");
        assert_eq!(answer.status, 403, "{fault}: {}", answer.body);
        let explains = answer.body.contains("your session goes on as it was");
        assert!(explains, "{fault}: {}", answer.body);
        wait_for("the line of the log", || {
            organisation.failures().contains(why).then_some(())
        });
        assert!(!is_recent(&mut browser), "{fault}");
    }
    provider.fault("");
    let again = organisation.begin(&mut browser);
    assert!(again.contains("&max_age=600&"), "{again}");
    let back = provider.log_in(&mut browser, &again, "ann");
    let answer = browser.get(&back);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(is_recent(&mut browser));
}

#[test]
fn an_id_token_with_any_fault_signs_nobody_in() {
    let organisation = Organisation::start();
    let provider = &organisation.provider;
    provider.account("ann", &json!({"groups": ["admins"]}));
    let mut first = Browser::default();
    assert_eq!(organisation.sign_in(&mut first, "ann").status, 200);
    let faults = [
        ("issuer", "from another issuer"),
        ("issuer-slash", "from another issuer"),
        ("audience", "for another audience"),
        ("no-audience", "for another audience"),
        ("shared", "issued to another client"),
        ("party", "issued to another client"),
        ("expired", "has expired"),
        ("endless", "has expired"),
        ("old", "issued too long ago"),
        ("future", "issued in the future"),
        ("not-yet", "not valid yet"),
        ("nonce", "belongs to another attempt"),
        ("no-nonce", "belongs to another attempt"),
        ("replayed", "belongs to another attempt"),
        ("nobody", "no usable subject"),
        ("crit", "unknown extension"),
        ("stranger", "not signed with a key of the provider"),
        ("own-key", "not signed with a key of the provider"),
        ("changed", "not signed with a key of the provider"),
        ("none", "algorithm is not allowed"),
        ("none-signed", "algorithm is not allowed"),
        ("hs256", "algorithm is not allowed"),
        ("hs256-secret", "algorithm is not allowed"),
        ("huge", "larger than 256 KiB"),
    ];
    for (number, (fault, why)) in faults.into_iter().enumerate() {
        provider.fault(fault);
        let mut browser = Browser::default();
        let answer = organisation.sign_in(&mut browser, "bea");
        assert!(
            matches!(answer.status, 403 | 503),
            "{fault}: {}",
            answer.status
        );
        assert!(!organisation.is_in(&mut browser), "{fault}");
        let last = wait_for("the line of the log", || {
            let failures = organisation.failures();
            let last = failures.lines().last()?.to_owned();
            (failures.lines().count() > number).then_some(last)
        });
        assert!(last.contains(why), "{fault}: {last}");
        assert!(!last.contains("eyJ"), "no token in the log: {last}");
    }
    provider.fault("");
    assert_eq!(organisation.operators().len(), 1);
    assert!(organisation.is_in(&mut first));
}

#[test]
fn an_answer_is_for_one_attempt_of_one_browser() {
    let mut organisation = Organisation::start();
    let provider = &organisation.provider;
    provider.account("ann", &json!({"groups": ["admins"]}));
    let mut browser = Browser::default();
    let authorization = organisation.begin(&mut browser);
    for (name, wanted) in [
        ("response_type", "code"),
        ("code_challenge_method", "S256"),
        ("client_id", "vestibule"),
        ("scope", "openid+profile+email+groups"),
    ] {
        assert!(
            authorization.contains(&format!("{name}={wanted}")),
            "{authorization}"
        );
    }
    let back = provider.log_in(&mut browser, &authorization, "ann");

    // The callback in another browser, which has an attempt of its own or none.
    let mut other = Browser::default();
    assert_eq!(other.get(&back).status, 400);
    organisation.begin(&mut other);
    assert_eq!(other.get(&back).status, 400);
    assert!(!organisation.is_in(&mut other));

    // Callbacks changed on the way. An answer with another state does not belong to the attempt, which stays open;
    // any other change ends the attempt.
    let issuer = "iss=http%3A%2F%2Flocalhost%3A1";
    for (change, status, then) in [
        (
            Box::new(|back: &str| back.replace("state=", "state=A")) as Box<dyn Fn(&str) -> String>,
            400,
            200,
        ),
        (
            Box::new(|back: &str| back.replace("state=", "x=")),
            400,
            200,
        ),
        (
            Box::new(move |back: &str| {
                let (before, _) = back.split_once("iss=").expect("an issuer (RFC 9207)");
                format!("{before}{issuer}")
            }),
            400,
            400,
        ),
        (Box::new(|back: &str| back.replace("iss=", "x=")), 400, 400),
        (
            Box::new(|back: &str| format!("{back}&code=other")),
            400,
            400,
        ),
        (
            Box::new(|back: &str| back.replace("code=", "code=A")),
            503,
            400,
        ),
        (
            Box::new(|back: &str| back.replace("code=", "error=access_denied&x=")),
            403,
            400,
        ),
    ] {
        let mut browser = Browser::default();
        let authorization = organisation.begin(&mut browser);
        let back = provider.log_in(&mut browser, &authorization, "ann");
        let changed = change(&back);
        assert_ne!(changed, back);
        let answer = browser.get(&changed);
        assert_eq!(answer.status, status, "{changed}: {}", answer.body);
        assert!(!organisation.is_in(&mut browser));
        assert_eq!(browser.get(&back).status, then, "{changed}");
    }

    let kept = browser.clone();
    assert_eq!(browser.get(&back).status, 200);
    assert!(organisation.is_in(&mut browser));
    // The same answer again, with the earlier cookie.
    let mut again = kept;
    assert_eq!(again.get(&back).status, 400);
    assert!(!organisation.is_in(&mut again));

    // New keys of the provider are fetched; a provider that is down signs nobody in.
    organisation.provider.start_with_key("second");
    organisation
        .provider
        .account("ann", &json!({"groups": ["admins"]}));
    let mut browser = Browser::default();
    assert_eq!(organisation.sign_in(&mut browser, "ann").status, 200);
    assert!(organisation.is_in(&mut browser));
    let mut late = Browser::default();
    let authorization = organisation.begin(&mut late);
    let back = organisation
        .provider
        .log_in(&mut late, &authorization, "ann");
    organisation.provider.stop();
    let answer = late.get(&back);
    assert_eq!(answer.status, 503, "{}", answer.body);
    wait_for("the line of the log", || {
        let failures = organisation.failures();
        failures
            .contains("cannot be used: its token endpoint")
            .then_some(())
    });
    assert!(organisation.is_in(&mut browser), "existing sessions remain");
}

#[test]
fn a_login_redirects_only_to_our_own_pages_and_is_rate_limited() {
    let organisation = Organisation::start();
    organisation
        .provider
        .account("ann", &json!({"groups": ["admins"]}));
    for to in [
        "//evil.example",
        "https://evil.example",
        "/%5Cevil.example",
        "%2F%2Fevil.example",
    ] {
        let mut browser = Browser::default();
        let answer = browser.get(&organisation.admin(&format!("/login/sso?to={to}")));
        let authorization = answer.location().expect("an address");
        let back = organisation
            .provider
            .log_in(&mut browser, &authorization, "ann");
        assert_eq!(browser.get(&back).leads_on().as_deref(), Some("/"), "{to}");
    }
    let mut browser = Browser::default();
    let mut begin = || browser.get(&organisation.admin("/login/sso")).status;
    assert_eq!(begin(), 303);
    // The tokens are refilled over time; only a client that begins faster exhausts them.
    wait_for("the rate limit to be exceeded", || {
        (begin() == 429).then_some(())
    });
}
