//! Alignment of domains: relaxed, strict, and across registrants.

use vestibule::mail::AuthenticationResult;

use super::harness::{CLIENT, Harness, signed, verification_mail};

fn zone(record: &str) -> String {
    format!(
        "_dmarc.corp.example TXT v=DMARC1; p=reject; {record}\n\
         mail.corp.example TXT v=spf1 ip4:{CLIENT} -all\n\
         corp.example TXT v=spf1 ip4:{CLIENT} -all\n\
         other.example TXT v=spf1 ip4:{CLIENT} -all\n"
    )
}

const UNKNOWN: &str = "ann@other.example";

#[tokio::test]
async fn signatures_align_as_the_record_says() {
    for (record, from, signer, passes) in [
        ("", "corp.example", "corp.example", true),
        ("", "corp.example", "mail.corp.example", true),
        ("", "a.corp.example", "corp.example", true),
        ("", "a.corp.example", "mail.corp.example", true),
        ("", "corp.example", "other.example", false),
        ("adkim=s", "corp.example", "corp.example", true),
        ("adkim=s", "corp.example", "mail.corp.example", false),
        ("aspf=s", "corp.example", "mail.corp.example", true),
    ] {
        let harness = Harness::new(&zone(record)).await;
        let found = harness
            .check(&signed(signer, &verification_mail(from)), UNKNOWN, from)
            .await;
        assert_eq!(found.dkim, Some(AuthenticationResult::Pass), "{signer}");
        assert_eq!(
            found.dmarc == Some(AuthenticationResult::Pass),
            passes,
            "{record}: {signer} for {from}"
        );
        assert_eq!(found.fails(), !passes);
    }
}

#[tokio::test]
async fn the_envelope_aligns_as_the_record_says() {
    for (record, from, mail_from, passes) in [
        ("", "corp.example", "corp.example", true),
        ("", "corp.example", "mail.corp.example", true),
        ("", "a.corp.example", "mail.corp.example", true),
        ("", "corp.example", "other.example", false),
        ("aspf=s", "corp.example", "corp.example", true),
        ("aspf=s", "corp.example", "mail.corp.example", false),
        ("adkim=s", "corp.example", "mail.corp.example", true),
    ] {
        let harness = Harness::new(&zone(record)).await;
        let mail_from = format!("ann@{mail_from}");
        let found = harness
            .check(&verification_mail(from), &mail_from, from)
            .await;
        assert_eq!(found.spf, Some(AuthenticationResult::Pass), "{mail_from}");
        assert_eq!(
            found.dmarc == Some(AuthenticationResult::Pass),
            passes,
            "{record}: {mail_from} for {from}"
        );
    }
}

/// `_dmarc.github.io` without `psd=y` would make all owners of its pages one organisation.
#[tokio::test]
async fn neighbours_below_a_public_suffix_do_not_vouch_for_each_other() {
    let zone = format!(
        "_dmarc.github.io TXT v=DMARC1; p=reject\n\
         ann.github.io TXT v=spf1 ip4:{CLIENT} -all\n\
         evil.github.io TXT v=spf1 ip4:{CLIENT} -all\n\
         a.ann.github.io TXT v=spf1 ip4:{CLIENT} -all\n"
    );
    let harness = Harness::new(&zone).await;
    for (mail_from, passes) in [
        ("ann@ann.github.io", true),
        ("ann@a.ann.github.io", true),
        ("ann@evil.github.io", false),
    ] {
        let found = harness
            .check(
                &verification_mail("ann.github.io"),
                mail_from,
                "ann.github.io",
            )
            .await;
        assert_eq!(found.spf, Some(AuthenticationResult::Pass), "{mail_from}");
        assert_eq!(found.fails(), !passes, "{mail_from}");
    }
}

#[tokio::test]
async fn a_domain_in_unicode_is_the_same_domain() {
    let zone = format!(
        "_dmarc.xn--bcher-kva.example TXT v=DMARC1; p=reject\n\
         xn--bcher-kva.example TXT v=spf1 ip4:{CLIENT} -all\n"
    );
    let harness = Harness::new(&zone).await;
    let found = harness
        .check(
            &verification_mail("bücher.example"),
            "ann@bücher.example",
            "bücher.example",
        )
        .await;
    assert_eq!(found.spf, Some(AuthenticationResult::Pass));
    assert_eq!(found.dmarc, Some(AuthenticationResult::Pass));
}
