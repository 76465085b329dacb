//! DNS failures: they take a bounded time, and never count as a failure of the sender.

use std::time::Duration;

use tokio::time::Instant;
use vestibule::mail::{AuthenticationResult, DmarcPolicy};

use super::harness::{CLIENT, Harness, checker, signed, verification_mail};

/// Timeout of a check.
const TIMEOUT: Duration = Duration::from_secs(6);

#[tokio::test]
async fn an_outage_is_a_temporary_error_within_the_time() {
    for fault in ["SILENT", "SERVFAIL"] {
        let harness = Harness::with_timeout(&format!("example {fault}\n"), TIMEOUT).await;
        let raw = signed("mail.corp.example", &verification_mail("corp.example"));
        if fault == "SILENT" {
            // Only timeouts are pending, so the paused clock advances by itself.
            tokio::time::pause();
        }
        let start = Instant::now();
        let found = harness
            .check(&raw, "ann@corp.example", "corp.example")
            .await;
        let took = start.elapsed();
        if fault == "SILENT" {
            tokio::time::resume();
            assert!(took <= TIMEOUT + Duration::from_millis(10), "{took:?}");
        }
        for result in [found.dmarc, found.spf, found.dkim] {
            assert_eq!(result, Some(AuthenticationResult::TempError), "{fault}");
        }
        assert!(!found.fails(), "{fault}");
    }
}

#[tokio::test]
async fn without_a_server_it_is_the_same() {
    // A port below the ephemeral range, so that no other process takes it meanwhile.
    let checker = checker(([127, 0, 0, 1], 1).into(), TIMEOUT);
    let from = vestibule::domain::Domain::parse("corp.example").expect("a domain");
    let envelope = super::harness::envelope("ann@corp.example");
    let raw = verification_mail("corp.example");
    tokio::time::pause();
    let found = checker
        .check(raw.as_bytes(), &envelope, Some(&from), None)
        .await;
    assert_eq!(found.dmarc, Some(AuthenticationResult::TempError));
    assert_eq!(found.spf, Some(AuthenticationResult::TempError));
    assert!(!found.fails());
}

/// Checks a message without a signature, so that all about its domain is in the cache, and pauses the clock. After
/// that only silent servers are queried: only timeouts are pending, and the clock advances by itself.
async fn pause_with_answers_in_the_cache(harness: &Harness, mail_from: &str) {
    let raw = verification_mail("corp.example");
    let found = harness.check(&raw, mail_from, "corp.example").await;
    assert_ne!(found.dmarc, Some(AuthenticationResult::TempError));
    tokio::time::pause();
}

/// A forger's own name servers must not turn the failure into a temporary error.
#[tokio::test]
async fn a_slow_stranger_does_not_use_up_the_time_of_the_domain_in_from() {
    let zone = "_dmarc.corp.example TXT v=DMARC1; p=reject\nslow.test SILENT\n";
    let harness = Harness::new(zone).await;
    pause_with_answers_in_the_cache(&harness, "ann@corp.example").await;
    let forged = signed("other.example", &verification_mail("corp.example"))
        .replace("d=other.example", "d=slow.test");
    let start = Instant::now();
    let found = harness
        .check(&forged, "eve@slow.test", "corp.example")
        .await;
    // A policy in the cache is found even when no time is left for it, so the time is measured.
    let took = start.elapsed();
    assert!(took < Duration::from_secs(50), "{took:?}");
    assert_eq!(found.spf, Some(AuthenticationResult::TempError));
    assert_eq!(found.dkim, Some(AuthenticationResult::TempError));
    assert_eq!(found.dmarc, Some(AuthenticationResult::Fail));
    assert_eq!(found.dmarc_policy, Some(DmarcPolicy::Reject));
    assert!(found.fails());
}

/// A forger may sign with a selector whose name servers do not answer, as some of an old provider do.
#[tokio::test]
async fn a_forged_signature_does_not_end_queries_about_the_domain() {
    let zone = "_dmarc.corp.example TXT v=DMARC1; p=reject\nold._domainkey.corp.example SERVFAIL\n";
    let harness = Harness::new(zone).await;
    let good = signed("corp.example", &verification_mail("corp.example"));
    let forged = good.replace("s=rsa;", "s=old;");
    let found = harness.check(&forged, "", "corp.example").await;
    assert_eq!(found.dmarc, Some(AuthenticationResult::TempError));
    let found = harness.check(&good, "", "corp.example").await;
    assert_eq!(found.dmarc, Some(AuthenticationResult::Pass));
}

/// An aligned domain passes, whatever the others do.
#[tokio::test]
async fn one_answer_is_enough_to_pass() {
    let zone =
        "_dmarc.corp.example TXT v=DMARC1; p=reject\ncorp.example SILENT\nslow.test SILENT\n";
    let zone = format!(
        "mail.corp.example TXT v=spf1 ip4:{CLIENT} -all\n{}",
        zone.replace("corp.example SILENT\n", "")
    );
    let harness = Harness::new(&zone).await;
    pause_with_answers_in_the_cache(&harness, "ann@mail.corp.example").await;
    let raw = signed("other.example", &verification_mail("corp.example"))
        .replace("d=other.example", "d=slow.test");
    let found = harness
        .check(&raw, "ann@mail.corp.example", "corp.example")
        .await;
    assert_eq!(found.dkim, Some(AuthenticationResult::TempError));
    assert_eq!(found.dmarc, Some(AuthenticationResult::Pass));
}

#[tokio::test]
async fn dns_answers_are_cached() {
    let zone = format!(
        "_dmarc.corp.example TXT v=DMARC1; p=reject\ncorp.example TXT v=spf1 ip4:{CLIENT} -all\n"
    );
    let harness = Harness::new(&zone).await;
    let raw = signed("corp.example", &verification_mail("corp.example"));
    let first = harness
        .check(&raw, "ann@corp.example", "corp.example")
        .await;
    let asked = harness.dns.asked();
    assert!(asked.len() >= 3, "{asked:?}");
    for _ in 0..10 {
        assert_eq!(
            harness
                .check(&raw, "ann@corp.example", "corp.example")
                .await,
            first
        );
    }
    assert_eq!(harness.dns.asked(), asked);
}
