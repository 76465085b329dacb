//! The second factor: from its set-up to its loss.

use axum::http::header::{AUTHORIZATION, LOCATION, SET_COOKIE};

use super::*;
use crate::domain::TotpKey;

impl Harness {
    /// Enters the password and returns the answer of the first step.
    async fn enter_password(&self, name: &str, password: &str) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("name", name), ("password", password), ("to", "/messages")])
            .finish();
        self.send(posted("/login", None, form)).await
    }

    /// Enters a code in the second step of the login that the cookie belongs to.
    async fn enter_code(&self, cookie: &str, code: &str) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", code)
            .finish();
        self.send(posted("/login/code", Some(cookie), form)).await
    }

    async fn begin(&self, session: &Session) -> TotpKey {
        let path = "/account/second-factor";
        let fields = [("action", "begin"), ("current", PASSWORD)];
        let answer = self.post(session, path, &fields).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(answer.body.contains("<svg class=\"qr\""), "{}", answer.body);
        assert!(answer.body.contains("otpauth://totp/"));
        key(&answer.body)
    }

    /// Sets the second factor up and returns the device and the recovery codes.
    async fn set_up(&self, session: &Session) -> (Device, Vec<String>) {
        let device = Device::new(self.begin(session).await);
        let path = "/account/second-factor";
        let fields = [
            ("action", "confirm"),
            ("current", PASSWORD),
            ("code", &device.code(0)),
        ];
        let answer = self.post(session, path, &fields).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        (device, codes(&answer.body))
    }
}

/// An authenticator app. Its codes are counted from one moment, however long the test takes.
struct Device {
    key: TotpKey,
    since: Timestamp,
}

impl Device {
    fn new(key: TotpKey) -> Self {
        let since = Timestamp::now();
        Self { key, since }
    }

    /// The code that is valid `later` periods after the moment.
    fn code(&self, later: i64) -> String {
        let moment = self.since + SignedDuration::from_secs(30 * later);
        self.key.code_at(moment)
    }

    /// A code that is valid now and comes after that of the moment.
    fn fresh_code(&self) -> String {
        let next = self.since + SignedDuration::from_secs(30);
        self.key.code_at(next.max(Timestamp::now()))
    }
}

/// The key that the page shows.
fn key(page: &str) -> TotpKey {
    let (_, rest) = page.split_once("id=\"totp-key\">").expect("a key");
    let text = rest.split('<').next().expect("its end").replace(' ', "");
    let value = |c: &u8| u64::from(if *c < b'A' { c - b'2' + 26 } else { c - b'A' });
    let octets: Vec<u8> = text
        .as_bytes()
        .chunks(8)
        .map(|chunk| chunk.iter().fold(0, |bits, c| bits << 5 | value(c)))
        .flat_map(|bits: u64| bits.to_be_bytes()[3..].to_vec())
        .collect();
    TotpKey::from_stored(octets.try_into().expect("160 bits"))
}

fn codes(page: &str) -> Vec<String> {
    let (_, list) = page.split_once("id=\"recovery-codes\">").expect("codes");
    let list = list.split("</ul>").next().expect("an end");
    let codes = list.split("<code>").skip(1);
    codes
        .map(|code| code.split('<').next().expect("text").to_owned())
        .collect()
}

fn cookie(answer: &Answer) -> String {
    let set = answer.headers[SET_COOKIE].to_str().expect("text");
    set.split(';').next().expect("a pair").to_owned()
}

#[tokio::test]
async fn a_login_takes_the_code_after_the_password_and_each_code_once() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let other = harness.session(Role::Agent).await;
    // Not turned on without the password, nor before a code was entered.
    let path = "/account/second-factor";
    let without = [("action", "begin"), ("current", "wrong horse battery")];
    let answer = harness.post(&session, path, &without).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    harness.begin(&session).await;
    let answer = harness.enter_password("the-agent", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "not asked yet");
    let wrong = [
        ("action", "confirm"),
        ("current", PASSWORD),
        ("code", "000000x"),
    ];
    let answer = harness.post(&session, path, &wrong).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);

    let (device, recovery) = harness.set_up(&session).await;
    assert_eq!(recovery.len(), 10);
    // Sessions without the second factor have ended; this one stays.
    assert_eq!(harness.get(&other, "/").await.status, StatusCode::SEE_OTHER);
    let page = harness.get(&session, "/account").await;
    assert!(
        page.body.contains("Recovery codes left: 10"),
        "{}",
        page.body
    );
    for code in &recovery {
        assert!(!page.body.contains(code.as_str()), "shown once");
    }

    // A wrong password gets the same answer as before.
    let wrong = harness
        .enter_password("the-agent", "correct horse batterz")
        .await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let none = harness.enter_password("nobody", PASSWORD).await;
    let plain = |answer: &Answer| answer.body.replace("the-agent", "").replace("nobody", "");
    let without_time = |text: String| text.split("<footer>").next().unwrap_or_default().to_owned();
    assert_eq!(without_time(plain(&wrong)), without_time(plain(&none)));
    assert!(!wrong.headers.contains_key(SET_COOKIE));

    let step = harness.enter_password("the-agent", PASSWORD).await;
    assert_eq!(step.status, StatusCode::OK);
    assert!(step.body.contains("name=\"code\""), "{}", step.body);
    let pending = cookie(&step);
    assert!(pending.starts_with("vestibule_code="), "{pending}");
    let asked = Request::get("/").header(COOKIE, &pending);
    let asked = harness
        .send(asked.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "no session yet");
    // Refused: the code that the set-up used, an unknown cookie, and no cookie.
    let stale = harness.enter_code(&pending, &device.code(0)).await;
    assert_eq!(stale.status, StatusCode::UNAUTHORIZED, "used already");
    let unknown = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    let forged = format!("vestibule_code={}", unknown.reveal());
    for (cookie, value) in [(forged.as_str(), device.code(1)), ("", device.code(1))] {
        let answer = harness.enter_code(cookie, &value).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.headers[LOCATION], "/login");
    }
    let fresh = device.fresh_code();
    let answer = harness.enter_code(&pending, &fresh).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert_eq!(answer.headers[LOCATION], "/messages");
    let session_cookie = answer.headers.get_all(SET_COOKIE).iter();
    let set: Vec<_> = session_cookie
        .map(|set| set.to_str().expect("text"))
        .collect();
    assert!(
        set.iter().any(|set| set.starts_with("vestibule_session=")),
        "{set:?}"
    );
    // The second step is over.
    let again = harness.enter_code(&pending, &device.code(2)).await;
    assert_eq!(again.headers[LOCATION], "/login");
}

#[tokio::test]
async fn a_code_and_a_recovery_code_open_once() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let (device, recovery) = harness.set_up(&session).await;
    let fresh = device.fresh_code();
    for typed in [fresh, recovery[0].to_uppercase()] {
        for status in [StatusCode::SEE_OTHER, StatusCode::UNAUTHORIZED] {
            let step = harness.enter_password("the-agent", PASSWORD).await;
            let answer = harness.enter_code(&cookie(&step), &typed).await;
            assert_eq!(answer.status, status, "{typed}");
        }
    }
}

#[tokio::test]
async fn guessing_codes_is_bounded_for_an_operator() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let (_, recovery) = harness.set_up(&session).await;
    let mut statuses = Vec::new();
    let step = harness.enter_password("the-agent", PASSWORD).await;
    let pending = cookie(&step);
    for _ in 0..6 {
        statuses.push(harness.enter_code(&pending, "123").await.status);
    }
    assert_eq!(
        statuses.last(),
        Some(&StatusCode::TOO_MANY_REQUESTS),
        "{statuses:?}"
    );
    let right = harness.enter_code(&pending, &recovery[0]).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "not looked at");
}

#[tokio::test]
async fn a_new_password_ends_the_step_and_an_admin_resets_a_lost_factor() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let (device, recovery) = harness.set_up(&session).await;
    // Turning it off takes the password and a code.
    let path = "/account/second-factor";
    for fields in [
        vec![("action", "off"), ("current", PASSWORD)],
        vec![
            ("action", "off"),
            ("current", PASSWORD),
            ("code", "123456789"),
        ],
    ] {
        let answer = harness.post(&session, path, &fields).await;
        assert!(answer.body.contains("This code is wrong"), "{fields:?}");
    }
    let renewed = [("action", "renew"), ("code", recovery[1].as_str())];
    let renewed = codes(&harness.post(&session, path, &renewed).await.body);
    assert!(renewed.len() == 10 && !renewed.contains(&recovery[2]));

    let step = harness.enter_password("the-agent", PASSWORD).await;
    let pending = cookie(&step);
    let admin = harness.session(Role::Admin).await;
    let fields = [
        ("action", "password"),
        ("name", "the-agent"),
        ("password", "another long password"),
    ];
    let changed = harness.post(&admin, "/operators", &fields).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER);
    let late = harness.enter_code(&pending, &device.code(1)).await;
    assert_eq!(late.headers[LOCATION], "/login");

    let page = harness.get(&admin, "/operators").await;
    assert!(page.body.contains("password and code"), "{}", page.body);
    let fields = [("action", "reset-totp"), ("name", "the-agent")];
    let reset = harness.post(&admin, "/operators", &fields).await;
    assert_eq!(reset.status, StatusCode::SEE_OTHER);
    let answer = harness
        .enter_password("the-agent", "another long password")
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "no code is asked for");
    let again = harness.post(&admin, "/operators", &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_session_reads_no_pending_key_and_confirms_none_without_the_password() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let path = "/account/second-factor";
    let pending = harness.begin(&session).await;
    let page = harness.get(&session, "/account").await;
    for text in ["totp-key", "otpauth", "class=\"qr\"", &pending.reveal()] {
        assert!(!page.body.contains(text), "{text}: {}", page.body);
    }
    let code = pending.code_at(Timestamp::now());
    let alone = [("action", "confirm"), ("code", code.as_str())];
    let refused = harness.post(&session, path, &alone).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.body.contains("password is wrong"),
        "{}",
        refused.body
    );
    let answer = harness.enter_password("the-agent", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "not turned on");
    let code = pending.code_at(Timestamp::now());
    let confirm = [
        ("action", "confirm"),
        ("current", PASSWORD),
        ("code", code.as_str()),
    ];
    let answer = harness.post(&session, path, &confirm).await;
    let recovery = codes(&answer.body);
    // While the second factor is on, no new key is made, and it stays on without the password.
    let again = [("action", "begin"), ("current", PASSWORD)];
    let answer = harness.post(&session, path, &again).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
    let off = [("action", "off"), ("code", recovery[0].as_str())];
    let answer = harness.post(&session, path, &off).await;
    assert!(answer.body.contains("password is wrong"), "{}", answer.body);
    assert!(answer.body.contains("Recovery codes left: 10"));
}

#[tokio::test]
async fn a_session_cannot_guess_the_password_or_remove_the_second_factor() {
    let harness = Harness::open().await;
    let admin = harness.session(Role::Admin).await;
    let to_account = "account page";
    for fields in [
        vec![("action", "reset-totp"), ("name", "the-admin")],
        vec![
            ("action", "password"),
            ("name", "the-admin"),
            ("password", "another long password"),
        ],
    ] {
        let refused = harness.post(&admin, "/operators", &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.body.contains(to_account), "{}", refused.body);
    }
    let session = harness.session(Role::Agent).await;
    let guess = [
        ("action", "password"),
        ("current", "wrong horse battery"),
        ("password", "another long password"),
    ];
    for _ in 0..5 {
        let wrong = harness.post(&session, "/account", &guess).await;
        assert!(wrong.body.contains("is wrong"), "{}", wrong.body);
    }
    let right = [guess[0], ("current", PASSWORD), guess[2]];
    for fields in [guess, right] {
        let limited = harness.post(&session, "/account", &fields).await;
        assert!(
            limited.body.contains("Too many password attempts"),
            "{}",
            limited.body
        );
    }
}

#[tokio::test]
async fn a_token_made_before_the_second_factor_ends_with_its_start() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let fields = [("action", "token"), ("role", "viewer"), ("days", "30")];
    let made = harness.post(&session, "/account", &fields).await;
    let (_, rest) = made
        .body
        .split_once("<code id=\"token\">")
        .expect("a token");
    let token = rest.split('<').next().expect("its end").to_owned();
    let ask = async || {
        let request = Request::get("/api/v1/stats");
        let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        let answer = harness.send(request.body(Body::empty()).expect("a request"));
        answer.await.status
    };
    assert_eq!(ask().await, StatusCode::OK);
    harness.set_up(&session).await;
    assert_eq!(ask().await, StatusCode::UNAUTHORIZED);
}
