//! ARC: the chain is reported and changes nothing.

use mail_auth::arc::ArcSealer;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::{ArcOutput, AuthenticatedMessage, AuthenticationResults};
use vestibule::mail::{AuthenticationMethod, AuthenticationResult};

use super::house::{House, letter, rsa, said};

/// The message as a mailing list passes it on, sealed.
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
    let house = House::new(
        "_dmarc.corp.example TXT v=DMARC1; p=reject\n\
         rsa._domainkey.dead.example SERVFAIL\n",
    )
    .await;
    let whole = sealed(&letter("corp.example"));
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
        ("no chain", letter("corp.example"), "none: no reason"),
        (
            "another body",
            whole.replace("yesterday", "today"),
            "fail: Calculated body hash does not match signature hash; sealed by list.example",
        ),
        (
            "another subject",
            whole.replace("dark", "bright"),
            "fail: the signature does not fit the message; sealed by list.example",
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
                letter("corp.example")
            ),
            "fail: parts of the chain are missing",
        ),
        (
            "DNS is broken",
            whole.replace("d=list.example", "d=dead.example"),
            "temperror: DNS did not answer; sealed by dead.example",
        ),
    ] {
        let found = house.check(&raw, "x@other.example", "corp.example").await;
        assert_eq!(said(&found, AuthenticationMethod::Arc), expected, "{what}");
        // Nobody has said that this list is to be believed.
        assert_eq!(found.dmarc, Some(AuthenticationResult::Fail), "{what}");
    }
}
