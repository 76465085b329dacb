//! `vestibule check` examines the provider as a sign-in does.

use serde_json::Value;

use super::Organisation;
use crate::support::harness::Harness;

/// The finding about the provider with this issuer in the configuration.
fn check(harness: &Harness, issuer: &str, instead: &str) -> Value {
    let text = std::fs::read_to_string(harness.path("vestibule.toml")).expect("the configuration");
    let quoted = |issuer: &str| format!("issuer = \"{issuer}\"");
    assert!(text.contains(&quoted(issuer)), "{text}");
    let changed = text.replace(&quoted(issuer), &quoted(instead));
    let file = harness.write("changed.toml", &changed);
    let mut command = harness.command(&["check", "--json"]);
    let output = command.env("VESTIBULE_CONFIG", file).output();
    let output = String::from_utf8(output.expect("it runs").stdout).expect("UTF-8");
    let findings = output
        .lines()
        .map(|line| serde_json::from_str(line).expect(line));
    let mut findings = findings.filter(|finding: &Value| finding["check"] == "sso");
    findings.next().expect("a finding")
}

#[test]
fn check_names_what_is_wrong_with_the_provider() {
    let mut organisation = Organisation::start();
    let issuer = organisation.provider.issuer();
    let found = check(&organisation.harness, &issuer, &issuer);
    assert_eq!(found["state"], "ok", "{found}");
    assert_eq!(found["detail"], format!("{issuer} answers and has 1 key"));
    let is_problem = |organisation: &Organisation, instead: &str, words: &str| {
        let found = check(&organisation.harness, &issuer, instead);
        assert_eq!(found["state"], "problem", "{found}");
        let detail = found["detail"].as_str().expect("a text");
        assert!(detail.contains(words), "{detail}");
        let remedy = found["remedy"].as_str().expect("a text");
        assert!(
            remedy.contains("/.well-known/openid-configuration"),
            "{remedy}"
        );
    };
    // The issuer in a form that the provider does not use.
    let slash = format!("{issuer}/");
    let words = format!("another issuer: \"{issuer}\"; sso.issuer must be exactly this");
    is_problem(&organisation, &slash, &words);
    is_problem(
        &organisation,
        &format!("{issuer}/realms/staff"),
        "its description: HTTP 404",
    );
    organisation.provider.fault("no-keys");
    is_problem(&organisation, &issuer, "its keys: none for");
    organisation.provider.stop();
    is_problem(&organisation, &issuer, "its description: ");
    // `--offline` contacts nobody.
    let output = organisation.harness.run(&["check", "--offline", "--json"]);
    assert!(!output.out.contains("\"sso\""), "{}", output.out);
}
