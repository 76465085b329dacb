//! ARC: the chain is reported, and a trusted sealer's results count.

use mail_auth::arc::ArcSealer;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::{ArcOutput, AuthenticatedMessage, AuthenticationResults, DmarcOutput, DmarcResult};
use vestibule::domain::{Domain, Envelope, ReversePath};
use vestibule::mail::{self, AuthenticationMethod, AuthenticationResult, Facts, Identity};
use vestibule::sender_auth::VouchedAuthor;

use super::harness::{Harness, envelope, rsa, said, verification_mail};

/// The message as a mailing list forwards it, sealed.
fn sealed(message: &str) -> String {
    let parsed = AuthenticatedMessage::parse(message.as_bytes()).expect("a message");
    let results = AuthenticationResults::new("list.example");
    let nothing = ArcOutput::default();
    let set = ArcSealer::from_key(rsa())
        .domain("list.example")
        .selector("rsa")
        .headers(["From", "To", "Subject"])
        .seal(&parsed, &results, &nothing)
        .expect("a seal");
    format!("{}{message}", set.to_header())
}

#[tokio::test]
async fn a_chain_is_whole_or_broken() {
    let harness = Harness::new(
        "_dmarc.corp.example TXT v=DMARC1; p=reject\n\
         rsa._domainkey.dead.example SERVFAIL\n",
    )
    .await;
    let whole = sealed(&verification_mail("corp.example"));
    let without = |name: &str| {
        let start = whole.find(name).expect(name);
        let end = start
            + 1
            + whole[start + 1..]
                .find("ARC-")
                .or(whole[start + 1..].find("Received:"))
                .expect("an end");
        format!("{}{}", &whole[..start], &whole[end..])
    };
    for (what, raw, expected) in [
        ("whole", whole.clone(), "pass: sealed by list.example"),
        (
            "no chain",
            verification_mail("corp.example"),
            "none: no reason",
        ),
        (
            "another body",
            whole.replace("yesterday", "today"),
            "fail: Calculated body hash does not match signature hash; sealed by list.example",
        ),
        (
            "another subject",
            whole.replace("dark", "bright"),
            "fail: the signature does not match the message; sealed by list.example",
        ),
        (
            "no seal",
            without("ARC-Seal:"),
            "fail: Broken or missing ARC chain",
        ),
        (
            "only results",
            format!(
                "ARC-Authentication-Results: i=1; x; spf=pass\r\n{}",
                verification_mail("corp.example")
            ),
            "fail: parts of the chain are missing",
        ),
        (
            "DNS is broken",
            whole.replace("d=list.example", "d=dead.example"),
            "temperror: DNS did not answer; sealed by dead.example",
        ),
    ] {
        let found = harness.check(&raw, "x@other.example", "corp.example").await;
        assert_eq!(said(&found, AuthenticationMethod::Arc), expected, "{what}");
        // This list is not trusted.
        assert_eq!(found.dmarc, Some(AuthenticationResult::Fail), "{what}");
    }
}

/// The message sealed by a domain that says that DMARC passed for another one.
fn sealed_by(sealer: &str, passed: &str, fields: &[&str], message: &str) -> String {
    let unsealed = AuthenticatedMessage::parse(message.as_bytes()).expect("a message");
    let dmarc = DmarcOutput::new(passed.to_owned()).with_spf_result(DmarcResult::Pass);
    let results = AuthenticationResults::new(sealer).with_dmarc_result(&dmarc);
    let nothing = ArcOutput::default();
    let set = ArcSealer::from_key(rsa())
        .domain(sealer)
        .selector("rsa")
        .headers(fields.iter().copied())
        .seal(&unsealed, &results, &nothing)
        .expect("a seal");
    format!("{}{message}", set.to_header())
}

fn read(raw: &str) -> Facts {
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: None,
        spam: [].into(),
    };
    let envelope = Envelope::of_file(ReversePath::Unknown);
    mail::read(raw.as_bytes(), &envelope, &own)
}

/// True if the trusted sealer vouches for the message, by our full check and by the check after our MTA's.
async fn vouched(harness: &Harness, raw: &str) -> bool {
    let facts = read(raw);
    let author = VouchedAuthor::of(&facts).expect("an author");
    let from = facts.sender.domain();
    let envelope = envelope("x@other.example");
    let check = harness
        .checker
        .check(raw.as_bytes(), &envelope, from.as_ref(), Some(&author));
    let found = check.await;
    let alone = harness
        .checker
        .find_arc_sealer(raw.as_bytes(), &author)
        .await;
    assert_eq!(found.arc_sealer, alone);
    assert_eq!(found.dmarc, Some(AuthenticationResult::Fail));
    assert_eq!(found.fails(), alone.is_none());
    assert_eq!(found.passes(), alone.is_some());
    alone.is_some()
}

#[tokio::test]
async fn a_trusted_sealer_vouches_for_the_author() {
    let harness = Harness::new(
        "_dmarc.corp.example TXT v=DMARC1; p=reject\n\
         _dmarc.list.example TXT v=DMARC1; p=reject\n",
    )
    .await;
    let all = ["From", "To", "Subject", "X-Original-From"];
    let plain = verification_mail("corp.example");
    let sealed = sealed_by("trusted.example", "corp.example", &all, &plain);
    let rewritten = plain.replace(
        "From: Ann <ann@corp.example>\r\n",
        "From: it@list.example\r\nX-Original-From: ann@corp.example\r\n\
         List-Id: <it.list.example>\r\n",
    );
    let listed = sealed_by("trusted.example", "corp.example", &all, &rewritten);
    for (what, raw, vouches) in [
        ("a forwarded message", sealed.clone(), true),
        (
            "another sealer",
            sealed_by("list.example", "corp.example", &all, &plain),
            false,
        ),
        (
            "a pass of another domain",
            sealed_by("trusted.example", "other.example", &all, &plain),
            false,
        ),
        (
            "another author",
            sealed.replace("ann@corp", "ceo@corp"),
            false,
        ),
        (
            "another subject above the chain",
            format!("Subject: Reset the password\r\n{sealed}"),
            false,
        ),
        (
            "a line above the body",
            sealed.replacen("\r\n\r\n", "\r\nReset the password\r\n", 1),
            false,
        ),
        (
            "From is not signed",
            sealed_by("trusted.example", "corp.example", &["To"], &plain),
            false,
        ),
        (
            "other results",
            sealed_by("trusted.example", "other.example", &all, &plain)
                .replace("header.from=other.example", "header.from=corp.example"),
            false,
        ),
        (
            "results of the sender's own above the chain",
            format!(
                "ARC-Authentication-Results: i=2; trusted.example; dmarc=pass \
                 header.from=corp.example\r\n{}",
                sealed_by("trusted.example", "other.example", &all, &plain)
            ),
            false,
        ),
        ("behind a list", listed.clone(), true),
        (
            "another author behind a list",
            listed.replace("ann@corp", "ceo@corp"),
            false,
        ),
        (
            "the author behind a list is not signed",
            sealed_by(
                "trusted.example",
                "corp.example",
                &["From", "To"],
                &rewritten,
            ),
            false,
        ),
        (
            "the list's own domain is not the author's",
            sealed_by("trusted.example", "list.example", &all, &rewritten),
            false,
        ),
    ] {
        assert_eq!(vouched(&harness, &raw).await, vouches, "{what}");
    }
    // White space before the colon hides the field from a signature. Such a field names no author.
    let hidden = listed.replace("X-Original-From:", "X-Original-From :");
    assert!(VouchedAuthor::of(&read(&hidden)).is_none());
    // Without a trusted seal there are no queries if our MTA has checked the rest.
    let asked = harness.dns.asked().len();
    let other = sealed_by("list.example", "corp.example", &all, &plain);
    let author = VouchedAuthor::of(&read(&other)).expect("an author");
    let found = harness.checker.find_arc_sealer(other.as_bytes(), &author);
    assert_eq!(found.await, None);
    assert_eq!(harness.dns.asked().len(), asked);
}
