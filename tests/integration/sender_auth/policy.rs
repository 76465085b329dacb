//! DMARC: the policy of the domain in From, and the conditions of a failure.

use std::fmt::Write;

use vestibule::domain::Domain;
use vestibule::mail::{AuthenticationMethod, AuthenticationResult, DmarcPolicy};
use vestibule::sender_auth::field;

use super::harness::{CLIENT, Harness, envelope, said, signed, verification_mail};

/// `MAIL FROM` of a domain that permits the client, in each of the two alignment modes.
fn zone() -> String {
    let mut zone = String::new();
    for (domain, record) in [
        ("none.example", "p=none"),
        ("quarantine.example", "p=quarantine"),
        ("reject.example", "p=reject"),
        ("sub.example", "p=none; sp=reject"),
        ("parent.example", "p=reject; sp=none"),
        ("absent.example", "p=none; np=reject"),
        ("testing.example", "p=reject; t=y"),
        ("wrong.example", "p=whatever"),
        ("typo.example", "p=reject; adkim=relaxed; fo=1,d"),
        ("double.example", "p=reject"),
        ("double.example", "p=quarantine"),
    ] {
        let _ = writeln!(zone, "_dmarc.{domain} TXT v=DMARC1; {record}");
        let _ = writeln!(zone, "{domain} TXT v=spf1 ip4:{CLIENT} -all");
        let _ = writeln!(zone, "a.b.{domain} TXT v=spf1 -all");
    }
    zone + &format!("other.example TXT v=spf1 ip4:{CLIENT} -all\n")
}

#[tokio::test]
async fn a_policy_counts_where_nothing_vouches_for_the_domain() {
    use AuthenticationResult::{Fail, None as No, Pass, PermError};
    let harness = Harness::new(&zone()).await;
    for (from, mail_from, result, policy, fails) in [
        (
            "none.example",
            "none.example",
            Pass,
            Some(DmarcPolicy::None),
            false,
        ),
        (
            "none.example",
            "other.example",
            Fail,
            Some(DmarcPolicy::None),
            false,
        ),
        (
            "quarantine.example",
            "quarantine.example",
            Pass,
            Some(DmarcPolicy::Quarantine),
            false,
        ),
        (
            "quarantine.example",
            "other.example",
            Fail,
            Some(DmarcPolicy::Quarantine),
            true,
        ),
        (
            "reject.example",
            "reject.example",
            Pass,
            Some(DmarcPolicy::Reject),
            false,
        ),
        (
            "reject.example",
            "other.example",
            Fail,
            Some(DmarcPolicy::Reject),
            true,
        ),
        // The record of the organisational domain applies, with its subdomain policy.
        (
            "a.b.sub.example",
            "other.example",
            Fail,
            Some(DmarcPolicy::Reject),
            true,
        ),
        (
            "sub.example",
            "other.example",
            Fail,
            Some(DmarcPolicy::None),
            false,
        ),
        (
            "a.b.parent.example",
            "other.example",
            Fail,
            Some(DmarcPolicy::None),
            false,
        ),
        (
            "a.b.reject.example",
            "other.example",
            Fail,
            Some(DmarcPolicy::Reject),
            true,
        ),
        (
            "a.b.reject.example",
            "reject.example",
            Pass,
            Some(DmarcPolicy::Reject),
            false,
        ),
        // Its policy depends on whether the name exists.
        (
            "a.b.absent.example",
            "other.example",
            Fail,
            Some(DmarcPolicy::None),
            false,
        ),
        (
            "x.absent.example",
            "other.example",
            Fail,
            Some(DmarcPolicy::Reject),
            true,
        ),
        (
            "testing.example",
            "other.example",
            Fail,
            Some(DmarcPolicy::Quarantine),
            true,
        ),
        ("nothing.example", "other.example", No, None, false),
        ("wrong.example", "other.example", PermError, None, false),
        // A tag that cannot be read is ignored (RFC 9989 4.7).
        (
            "typo.example",
            "other.example",
            Fail,
            Some(DmarcPolicy::Reject),
            true,
        ),
        (
            "a.b.typo.example",
            "typo.example",
            Pass,
            Some(DmarcPolicy::Reject),
            false,
        ),
        // Of several records none counts (RFC 9989 4.10).
        ("double.example", "other.example", No, None, false),
        ("a.b.double.example", "other.example", No, None, false),
    ] {
        let mail_from = format!("ann@{mail_from}");
        let found = harness
            .check(&verification_mail(from), &mail_from, from)
            .await;
        assert_eq!(found.dmarc, Some(result), "{from} by {mail_from}");
        assert_eq!(found.dmarc_policy, policy, "{from} by {mail_from}");
        assert_eq!(found.fails(), fails, "{from} by {mail_from}");
    }
}

/// A forger may choose a subdomain so long that no name below it exists.
#[tokio::test]
async fn the_policy_for_subdomains_applies_to_the_longest_names() {
    let harness = Harness::new(&zone()).await;
    let label = "a".repeat(63);
    for octets in [1, 41, 42, 43, 46] {
        let first = "b".repeat(octets);
        let from = format!("{first}.{label}.{label}.{label}.sub.example");
        let found = harness
            .check(&verification_mail(&from), "eve@other.example", &from)
            .await;
        assert_eq!(found.dmarc, Some(AuthenticationResult::Fail), "{octets}");
        assert_eq!(found.dmarc_policy, Some(DmarcPolicy::Reject), "{octets}");
        assert!(found.fails(), "{octets}");
    }
}

/// SPF is not evaluated for internal mail, and that does not count against its domain.
#[tokio::test]
async fn without_an_spf_check_dmarc_does_not_fail() {
    let harness = Harness::new(&zone()).await;
    let local = "From: ann@reject.example\r\n\r\n";
    let found = harness
        .check(local, "ann@reject.example", "reject.example")
        .await;
    assert_eq!(
        said(&found, AuthenticationMethod::Dmarc),
        "none: not evaluated, because SPF could not be queried"
    );
    assert_eq!(found.dmarc_policy, Some(DmarcPolicy::Reject));
    assert!(!found.fails());
}

#[tokio::test]
async fn without_a_usable_sender_there_is_no_policy() {
    let harness = Harness::new(&zone()).await;
    let raw = verification_mail("reject.example");
    let found = harness
        .checker
        .check(raw.as_bytes(), &envelope("ann@reject.example"), None, None)
        .await;
    assert_eq!(found.dmarc, Some(AuthenticationResult::None));
    assert_eq!(found.spf, Some(AuthenticationResult::Pass));
    assert!(
        !harness
            .dns
            .asked()
            .iter()
            .any(|question| question.starts_with("_dmarc"))
    );
}

/// DKIM would not notice a second From field, and a reader might display either.
#[tokio::test]
async fn a_signature_vouches_only_for_the_from_it_saw() {
    let harness = Harness::new("_dmarc.corp.example TXT v=DMARC1; p=reject\n").await;
    let good = signed("corp.example", &verification_mail("corp.example"));
    let found = harness.check(&good, "", "corp.example").await;
    assert_eq!(found.dmarc, Some(AuthenticationResult::Pass));
    for hidden in ["From: eve@corp.example\r\n", "From : eve@corp.example\r\n"] {
        let found = harness
            .check(&format!("{hidden}{good}"), "", "corp.example")
            .await;
        assert!(found.fails(), "{hidden}");
    }
}

#[tokio::test]
async fn all_results_are_in_one_field() {
    let zone = format!(
        "_dmarc.corp.example TXT v=DMARC1; p=reject\ncorp.example TXT v=spf1 ip4:{CLIENT} -all\n"
    );
    let harness = Harness::new(&zone).await;
    let raw = signed("corp.example", &verification_mail("corp.example"));
    let found = harness
        .check(&raw, "ann@corp.example", "corp.example")
        .await;
    let hostname = Domain::parse("gate.corp.example").expect("a domain");
    assert_eq!(
        field(&found, &hostname).expect("a field"),
        "Authentication-Results: gate.corp.example;\r\n\
         \tdmarc=pass\r\n\
         \t header.from=corp.example\r\n\
         \t policy.dmarc=reject;\r\n\
         \tspf=pass\r\n\
         \t reason=\"client 203.0.113.9 by Received\"\r\n\
         \t smtp.mailfrom=ann@corp.example;\r\n\
         \tdkim=pass\r\n\
         \t header.d=corp.example\r\n\
         \t header.s=rsa;\r\n\
         \tarc=none\r\n"
    );
    let stored = serde_json::to_string(&found).expect("JSON");
    assert_eq!(
        serde_json::from_str::<vestibule::mail::Authentication>(&stored).expect("the same"),
        found
    );
}
