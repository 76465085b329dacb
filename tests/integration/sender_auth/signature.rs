//! DKIM: changes of the message since it was signed.

use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{Canonicalization, DkimSigner};
use vestibule::mail::{AuthenticationMethod, AuthenticationResult};

use super::harness::{Harness, details, ed25519, said, signed, signer, verification_mail};

const ZONE: &str = "corp.example TXT v=spf1 -all\n\
     gone._domainkey.corp.example TXT v=DKIM1; k=rsa; p=\n\
     odd._domainkey.corp.example TXT this is no key\n\
     dead._domainkey.corp.example SERVFAIL\n";

fn with_selector(selector: &str) -> String {
    let message = verification_mail("corp.example");
    let signature = DkimSigner::from_key(super::harness::rsa())
        .domain("corp.example")
        .selector(selector)
        .headers(["From"])
        .sign(message.as_bytes())
        .expect("a signature");
    format!("{}{message}", signature.to_header())
}

fn expired() -> String {
    let message = verification_mail("corp.example");
    let mut signature = signer("corp.example")
        .expiration(3600)
        .sign(message.as_bytes())
        .expect("a signature");
    signature.t -= 7200;
    signature.x -= 7200;
    format!("{}{message}", signature.to_header())
}

fn of_a_part() -> String {
    let message = verification_mail("corp.example");
    let signature = signer("corp.example")
        .body_length(true)
        .sign(message.as_bytes())
        .expect("a signature");
    format!("{}{message}and more\r\n", signature.to_header())
}

fn without_from() -> String {
    let message = verification_mail("corp.example");
    let signature = DkimSigner::from_key(super::harness::rsa())
        .domain("corp.example")
        .selector("rsa")
        .headers(["To", "Subject"])
        .sign(message.as_bytes())
        .expect("a signature");
    format!("{}{message}", signature.to_header())
}

#[tokio::test]
async fn a_signature_is_valid_until_the_signed_content_changes() {
    let harness = Harness::new(ZONE).await;
    let good = signed("corp.example", &verification_mail("corp.example"));
    for (what, raw, expected) in [
        ("as it was signed", good.clone(), "pass: no reason"),
        (
            "a field on top that is not signed",
            format!("X-Spam: no\r\n{good}"),
            "pass: no reason",
        ),
        (
            "an mbox line on top",
            format!("From ann@corp.example Mon Nov 23 10:00:00 2026\r\n>From x\r\n{good}"),
            "pass: no reason",
        ),
        (
            "another body",
            good.replace("yesterday", "today"),
            "fail: the body was changed",
        ),
        (
            "another subject",
            good.replace("dark", "bright"),
            "fail: the signature does not match the message",
        ),
        (
            "another author",
            good.replace("Ann <ann@", "Bob <bob@"),
            "fail: the signature does not match the message",
        ),
        ("too old", expired(), "fail: the signature has expired"),
        (
            "a part of the body",
            of_a_part(),
            "policy: only part of the body is signed (l=)",
        ),
        (
            "all but From",
            without_from(),
            "permerror: From is not signed",
        ),
        (
            "no key",
            with_selector("none"),
            "permerror: there is no key in DNS",
        ),
        (
            "a revoked key",
            with_selector("gone"),
            "permerror: the key was revoked",
        ),
        (
            "no key but text",
            with_selector("odd"),
            "permerror: the record in DNS cannot be read",
        ),
        (
            "DNS is broken",
            with_selector("dead"),
            "temperror: DNS did not answer",
        ),
        (
            "unsigned",
            verification_mail("corp.example"),
            "none: no reason",
        ),
        (
            "a signature that cannot be read",
            format!(
                "DKIM-Signature: v=7; a=x\r\n{}",
                verification_mail("corp.example")
            ),
            "neutral: Unsupported version in DKIM Signature",
        ),
    ] {
        let found = harness.check(&raw, "", "corp.example").await;
        assert_eq!(said(&found, AuthenticationMethod::Dkim), expected, "{what}");
        let word = expected.split(':').next().expect("a word");
        assert_eq!(
            found.dkim.map(AuthenticationResult::as_str),
            Some(word),
            "{what}"
        );
    }
}

#[tokio::test]
async fn both_algorithms_and_both_canonical_forms_are_known() {
    let harness = Harness::new("").await;
    let message = verification_mail("corp.example");
    for form in [Canonicalization::Simple, Canonicalization::Relaxed] {
        let by_rsa = signer("corp.example")
            .header_canonicalization(form)
            .body_canonicalization(form)
            .sign(message.as_bytes())
            .expect("a signature")
            .to_header();
        let by_ed25519 = DkimSigner::from_key(ed25519())
            .domain("corp.example")
            .selector("ed")
            .headers(["From"])
            .header_canonicalization(form)
            .body_canonicalization(form)
            .sign(message.as_bytes())
            .expect("a signature")
            .to_header();
        for signature in [by_rsa, by_ed25519] {
            let raw = format!("{signature}{message}");
            let found = harness.check(&raw, "", "corp.example").await;
            assert_eq!(found.dkim, Some(AuthenticationResult::Pass), "{signature}");
        }
    }
}

/// Anyone who has a signed message can add what a reader takes for a part of it (RFC 6376 8.15).
#[tokio::test]
async fn a_message_with_an_addition_is_not_the_signed_one() {
    let harness = Harness::new("_dmarc.corp.example TXT v=DMARC1; p=reject\n").await;
    let good = signed("corp.example", &verification_mail("corp.example"));
    let found = harness.check(&good, "", "corp.example").await;
    assert_eq!(found.dmarc, Some(AuthenticationResult::Pass));
    let copy = "policy: a further field of a signed name is not signed";
    let line = "permerror: no empty line ends the header, or a line of it is no field";
    for (raw, expected) in [
        (format!("Subject: Reset the password\r\n{good}"), copy),
        (format!("subject : Reset the password\r\n{good}"), copy),
        (
            good.replacen("\r\n\r\n", "\r\nReset the password\r\n", 1),
            line,
        ),
        (
            good.replacen("\r\n\r\n", "\r\nPlease reset: the password\r\n\r\n", 1),
            line,
        ),
    ] {
        let found = harness.check(&raw, "", "corp.example").await;
        assert_eq!(said(&found, AuthenticationMethod::Dkim), expected, "{raw}");
        assert!(found.fails(), "{raw}");
    }
    let twice = format!("Subject: one\r\n{}", verification_mail("corp.example"));
    let of_both = signed("corp.example", &twice);
    let found = harness.check(&of_both, "", "corp.example").await;
    assert_eq!(found.dkim, Some(AuthenticationResult::Pass));
}

/// A message may be a header alone (RFC 5322 3.5).
#[tokio::test]
async fn a_header_without_an_empty_line_after_it_can_be_signed() {
    let harness = Harness::new("").await;
    let raw = signed(
        "corp.example",
        "From: Ann <ann@corp.example>\r\nSubject: x\r\n\r\n",
    );
    let header = raw.strip_suffix("\r\n").expect("an empty line");
    for raw in [raw.as_str(), header] {
        let found = harness.check(raw, "", "corp.example").await;
        assert_eq!(found.dkim, Some(AuthenticationResult::Pass), "{raw}");
    }
}

/// A signature may ask for a report about its failure (RFC 6651), which would take the time of other queries.
#[tokio::test]
async fn nothing_is_queried_for_reports() {
    let harness = Harness::new("").await;
    let good = signed("corp.example", &verification_mail("corp.example"));
    let raw = good.replacen("v=1;", "v=1; r=y;", 1);
    let found = harness.check(&raw, "", "corp.example").await;
    assert_eq!(found.dkim, Some(AuthenticationResult::Fail));
    let asked = harness.dns.asked();
    assert!(asked.iter().any(|name| name.starts_with("rsa._domainkey")));
    assert!(
        !asked.iter().any(|name| name.starts_with("_report")),
        "{asked:?}"
    );
}

/// A large body is hashed on a blocking thread, with the same result.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_is_verified_like_a_small_one() {
    let harness = Harness::new("").await;
    let message = verification_mail("corp.example") + &"All work and no play.\r\n".repeat(100_000);
    let raw = signed("corp.example", &message);
    let found = harness.check(&raw, "", "corp.example").await;
    assert_eq!(found.dkim, Some(AuthenticationResult::Pass));
    let changed = raw.replacen("no play", "now play", 1);
    let found = harness.check(&changed, "", "corp.example").await;
    assert_eq!(found.dkim, Some(AuthenticationResult::Fail));
}

#[tokio::test]
async fn one_good_signature_is_enough_and_all_are_reported() {
    let harness = Harness::new("").await;
    let signed_once = signed("other.example", &verification_mail("corp.example"));
    let raw = signed("corp.example", &signed_once).replace("d=other", "d=wrong");
    let found = harness.check(&raw, "", "corp.example").await;
    assert_eq!(found.dkim, Some(AuthenticationResult::Pass));
    let told: Vec<_> = details(&found, AuthenticationMethod::Dkim)
        .into_iter()
        .map(|detail| (detail.result, detail.properties[0].1.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (AuthenticationResult::Pass, "corp.example"),
            (AuthenticationResult::PermError, "wrong.example"),
        ]
    );
}

/// The sender of a message chooses its number of signatures.
#[tokio::test]
async fn many_signatures_do_not_cause_many_queries() {
    let harness = Harness::new("_dmarc.corp.example TXT v=DMARC1; p=reject\n").await;
    let good = signed("corp.example", &verification_mail("corp.example"));
    let junk = good
        .split("Received")
        .next()
        .expect("a signature")
        .replace("d=corp.example", "d=junk.example");
    let raw = format!("{}{good}", junk.repeat(500));
    let found = harness.check(&raw, "", "corp.example").await;
    assert_eq!(found.dmarc, Some(AuthenticationResult::Pass));
    assert!(found.details.len() < 30, "{}", found.details.len());
    assert!(harness.dns.asked().len() < 20, "{:?}", harness.dns.asked());
}

/// With `relaxed`, blanks at the end of a line are not signed, and empty lines at the end of the body are not (RFC 6376
/// 3.4.4).
#[tokio::test]
async fn lines_of_blanks_at_the_end_of_a_body_are_not_signed() {
    let harness = Harness::new("").await;
    let message = verification_mail("corp.example");
    let signature = signer("corp.example")
        .body_canonicalization(Canonicalization::Relaxed)
        .sign(message.as_bytes())
        .expect("a signature");
    let good = format!("{}{message}", signature.to_header());
    for (raw, expected) in [
        (
            format!("{good}\r\n \r\n\t \r\n"),
            AuthenticationResult::Pass,
        ),
        (format!("{good} \r\nx\r\n"), AuthenticationResult::Fail),
        (
            good.replace("bright", "bri\rght"),
            AuthenticationResult::Fail,
        ),
    ] {
        let found = harness.check(&raw, "", "corp.example").await;
        assert_eq!(found.dkim, Some(expected), "{raw:?}");
    }
}

/// A key may be limited to reports about TLS, for example (RFC 8460 3).
#[tokio::test]
async fn a_key_that_is_not_for_mail_does_not_count() {
    let key = include_str!("../../../testdata/authentication/rsa2048.pub").trim();
    let zone = format!(
        "_dmarc.corp.example TXT v=DMARC1; p=reject\n\
         mail._domainkey.corp.example TXT v=DKIM1; s=email; h=sha256; p={key}\n\
         tls._domainkey.corp.example TXT v=DKIM1; s=tlsrpt; p={key}\n\
         old._domainkey.corp.example TXT v=DKIM1; h=sha1; p={key}\n"
    );
    let harness = Harness::new(&zone).await;
    for (selector, expected, dmarc) in [
        ("mail", "pass: no reason", AuthenticationResult::Pass),
        (
            "tls",
            "permerror: the key is not for this use",
            AuthenticationResult::Fail,
        ),
        (
            "t\\154s",
            "permerror: the key is not for this use",
            AuthenticationResult::Fail,
        ),
        (
            "old",
            "permerror: the key is not for this use",
            AuthenticationResult::Fail,
        ),
    ] {
        let raw = with_selector(selector);
        let found = harness.check(&raw, "", "corp.example").await;
        assert_eq!(
            said(&found, AuthenticationMethod::Dkim),
            expected,
            "{selector}"
        );
        assert_eq!(found.dmarc, Some(dmarc), "{selector}");
    }
}

#[tokio::test]
async fn a_key_of_fewer_than_1024_bits_does_not_count() {
    let short = include_str!("../../../testdata/authentication/rsa768.pub").trim();
    let long = include_str!("../../../testdata/authentication/rsa1024.pub").trim();
    let zone = format!(
        "rsa768._domainkey.corp.example TXT v=DKIM1; k=rsa; p={short}\n\
         rsa1024._domainkey.corp.example TXT v=DKIM1; k=rsa; p={long}\n"
    );
    let harness = Harness::new(&zone).await;
    for (raw, result) in [
        (
            include_str!("../../../testdata/authentication/rsa768.eml"),
            AuthenticationResult::Fail,
        ),
        (
            include_str!("../../../testdata/authentication/rsa1024.eml"),
            AuthenticationResult::Pass,
        ),
    ] {
        let found = harness.check(raw, "", "corp.example").await;
        assert_eq!(found.dkim, Some(result), "{raw}");
    }
}
