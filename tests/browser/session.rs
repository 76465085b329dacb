//! Properties that a browser does not show: the session's cookie, and the targets of redirects. CSRF checks
//! and each route's headers are tested beside the handlers.

use std::net::SocketAddr;

use crate::help_desk::{HelpDesk, PASSWORD};
use crate::raw_http::{Answer, ask};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

fn log_in(server: SocketAddr, path: &str, fields: &[&str]) -> Answer {
    let body = format!("name=olga&password={}", PASSWORD.replace(' ', "+"));
    let fields = [&[FORM], fields].concat();
    ask(server, "POST", path, &fields, &body)
}

/// Name and value of the only cookie that an answer sets.
fn cookie(answer: &Answer) -> String {
    let set = answer.all("set-cookie");
    assert_eq!(set.len(), 1, "{set:?}");
    set[0].split(';').next().expect("a pair").to_owned()
}

#[test]
fn a_session_cannot_be_chosen_for_another_person() {
    let harness = HelpDesk::harness("");
    let chosen = "vestibule_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let before = format!("Cookie: {chosen}");
    let answer = ask(harness.admin, "GET", "/login", &[&before], "");
    assert!(
        answer.all("set-cookie").is_empty(),
        "no session before the login"
    );
    let answer = log_in(harness.admin, "/login", &[&before]);
    assert_eq!(answer.status, 303);
    let first = cookie(&answer);
    assert_ne!(first, chosen);
    let second = cookie(&log_in(harness.admin, "/login", &[]));
    assert_ne!(second, first, "each login has a session of its own");
    for (cookie, status) in [(chosen, 303), (&first, 200), (&second, 200)] {
        let field = format!("Cookie: {cookie}");
        let answer = ask(harness.admin, "GET", "/", &[&field], "");
        assert_eq!(answer.status, status, "{cookie}");
    }
    // A new password ends the old sessions.
    let file = harness.path("password").display().to_string();
    let mut command = harness.command(&["operators", "password", "olga", "--password-file", &file]);
    assert!(command.output().expect("it runs").status.success());
    let answer = ask(
        harness.admin,
        "GET",
        "/",
        &[&format!("Cookie: {first}")],
        "",
    );
    assert_eq!(answer.status, 303);
}

#[test]
fn the_cookie_stays_on_tls_where_there_is_tls() {
    let harness = HelpDesk::harness("");
    let answer = log_in(harness.admin, "/login", &["X-Forwarded-Proto: https"]);
    let set = answer.all("set-cookie");
    for word in ["; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/"] {
        assert!(set[0].contains(word), "{word}: {set:?}");
    }
    assert!(!set[0].contains("Domain"), "{set:?}");
}

#[test]
fn no_answer_redirects_to_another_site() {
    let harness = HelpDesk::harness("");
    let session = cookie(&log_in(harness.admin, "/login", &[]));
    let session = format!("Cookie: {session}");
    for query in [
        "?next=//evil.example/",
        "?next=https://evil.example/",
        "?return_to=%2F%2Fevil.example",
        "?done=//evil.example",
    ] {
        let answer = log_in(harness.admin, &format!("/login{query}"), &[]);
        assert_eq!(answer.all("location"), ["/"], "{query}");
    }
    for path in [
        "//evil.example/",
        "//evil.example/..",
        "/\\evil.example",
        "/login//evil.example",
        "/messages?search=//evil.example/",
        "/messages?search=https://evil.example/",
        "/access?portal=//evil.example",
    ] {
        for server in [harness.admin, harness.http] {
            let fields = [session.as_str(), "X-Forwarded-Host: evil.example"];
            let answer = ask(server, "GET", path, &fields, "");
            let elsewhere = answer.all("location");
            let ours = |place: &&str| place.starts_with('/') && !place.starts_with("//");
            assert!(elsewhere.iter().all(ours), "{path}: {elsewhere:?}");
        }
    }
}

#[test]
fn the_link_in_a_mail_ignores_the_host_of_the_request() {
    let harness = HelpDesk::harness("");
    let fields = [FORM, "Host: evil.example", "X-Forwarded-Host: evil.example"];
    let answer = ask(
        harness.http,
        "POST",
        "/signup",
        &fields,
        "email=anna%40corp.example",
    );
    assert_eq!(answer.status, 200);
    harness.link_for("anna@corp.example");
    let verification_mails = harness.verification_mails();
    assert!(
        verification_mails[0].contains("/verify/")
            && !verification_mails[0].contains("evil.example")
    );
}
