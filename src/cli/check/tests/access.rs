//! Findings about the access settings.

use super::*;

#[test]
fn the_access_settings_of_the_file_are_judged_before_the_first_start_only() {
    let trial = Trial::new();
    let config = trial.config(
        any_port(),
        "type = \"maildir\"\npath = \"desk\"\n[access]\ninternal.approved_domains = [\"gmail.com\"]",
    );
    let judges_file = || {
        let findings = access_settings::findings(&config);
        let mut details = findings.iter().map(|finding| &finding.detail);
        details.any(|detail| detail.contains("gmail.com"))
    };
    assert!(judges_file());
    let store = crate::store::Store::open(&config.database()).expect("a database");
    let seeded = crate::cli::wait(async {
        let now = crate::domain::Timestamp::now();
        assert!(store.seed_access(config.access.clone(), now).await?);
        Ok(())
    });
    seeded.expect("a revision");
    drop(store);
    assert!(!judges_file());
}

#[test]
fn a_database_that_cannot_be_read_is_a_problem_and_not_one_before_the_first_start() {
    let trial = Trial::new();
    let config = trial.config(
        any_port(),
        "type = \"maildir\"\npath = \"desk\"\n[access]\ninternal.approved_domains = [\"gmail.com\"]",
    );
    std::fs::write(config.database(), [7; 8192]).expect("a file");
    let findings = access_settings::findings(&config);
    let [finding] = &findings[..] else {
        panic!("{findings:?}");
    };
    assert_eq!(finding.state, State::Problem);
    assert!(finding.detail.contains("damaged"), "{finding:?}");
    // Created, and killed before the migration.
    std::fs::write(config.database(), "").expect("a file");
    let findings = access_settings::findings(&config);
    let mut details = findings.iter().map(|finding| &finding.detail);
    assert!(details.any(|detail| detail.contains("gmail.com")));
}

#[test]
fn an_open_gate_and_a_closed_one_are_warnings() {
    for (access, expected) in [
        ("", Some("anybody may write to it")),
        (
            "external.restrict_domains = true",
            Some("no new sender may write to it"),
        ),
        (
            "external.allow_portal_only_accounts = false",
            Some("no new sender may write to it"),
        ),
        ("external.verify = true", None),
        (
            "external.restrict_domains = true\nexternal.allowed_domains = [\"partner.example\"]",
            None,
        ),
        (
            "external.allow_portal_only_accounts = false\ninternal.approved_domains = [\"corp.example\"]",
            None,
        ),
    ] {
        let trial = Trial::new();
        let mut config = trial.config(any_port(), "type = \"maildir\"\npath = \"desk\"");
        config.access = toml::from_str(access).expect(access);
        let findings = access_settings::judge(&config, &config.access);
        assert_eq!(
            findings.first().map(|finding| finding.state),
            expected.map(|_| State::Warning)
        );
        if let Some(expected) = expected {
            assert!(findings[0].detail.contains(expected), "{findings:?}");
        }
    }
}
