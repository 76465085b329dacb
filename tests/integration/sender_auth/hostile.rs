//! Any bytes yield a result, within a bounded time.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::harness::{Harness, envelope, signed, verification_mail};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
static HOUSE: LazyLock<Harness> = LazyLock::new(|| {
    RUNTIME.block_on(Harness::new("_dmarc.corp.example TXT v=DMARC1; p=reject\n"))
});

/// Fragments that a forger would combine.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "DKIM-Signature: ",
        "ARC-Seal: ",
        "ARC-Message-Signature: ",
        "ARC-Authentication-Results: ",
        "Received: from ",
        "From: a@corp.example",
        "v=1; ",
        "a=rsa-sha256; ",
        "a=ed25519-sha256; ",
        "c=simple/relaxed; ",
        "d=corp.example; s=rsa; ",
        "d=..; s=\u{fc}; ",
        "h=from:from::x; ",
        "i=1; cv=none; ",
        "i=99999999999; cv=pass; ",
        "l=18446744073709551615; ",
        "t=1; x=2; ",
        "bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; ",
        "b=AAAA",
        "b=",
        ";",
        "=",
        "(a [203.0.113.9",
        "])",
        " by mx",
        "\r\n",
        "\r\n ",
        "\r\n\r\n",
        "\r",
        "\n",
        "\0",
        "\u{fc}",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

fn has_an_answer(raw: &[u8], mail_from: &str) -> bool {
    let from = vestibule::domain::Domain::parse("corp.example").expect("a domain");
    let envelope = envelope(mail_from);
    let check = HOUSE.checker.check(raw, &envelope, Some(&from), None);
    RUNTIME.block_on(check).dmarc.is_some()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(200)
    })]

    #[test]
    fn no_message_breaks_the_check(raw in pieces()) {
        prop_assert!(has_an_answer(&raw, "a@corp.example"));
    }

    #[test]
    fn no_bytes_break_the_check(raw in prop::collection::vec(any::<u8>(), 0..500), mail_from in ".{0,80}") {
        prop_assert!(has_an_answer(&raw, &mail_from));
    }
}

/// The work is proportional to the message's size, whatever its content.
#[test]
fn a_message_made_to_be_slow_is_not() {
    const SIZE: usize = 4 << 20;
    let good = signed("corp.example", &verification_mail("corp.example"));
    let signature = good.split("Received").next().expect("a signature");
    let names = signature.replacen("h=", &format!("h={}", "a:".repeat(SIZE / 2)), 1);
    for (what, raw) in [
        (
            "fields",
            good.replacen("From:", &format!("{}From:", "a:\r\n".repeat(SIZE / 4)), 1),
        ),
        (
            "signatures",
            format!("{}{good}", signature.repeat(SIZE / signature.len())),
        ),
        ("names", format!("{names}{good}")),
        (
            "seals",
            format!(
                "{}{good}",
                "ARC-Seal: i=1; cv=none; a=rsa-sha256; b=A\r\n".repeat(SIZE / 43)
            ),
        ),
        (
            "hops",
            format!("{}{good}", "Received: by mx\r\n".repeat(SIZE / 17)),
        ),
        (
            "comments",
            format!("Received: from a {}\r\n{good}", "(".repeat(SIZE)),
        ),
        ("lines", good.clone() + &"\r\n".repeat(SIZE / 2)),
    ] {
        let start = Instant::now();
        assert!(has_an_answer(raw.as_bytes(), "a@corp.example"), "{what}");
        let took = start.elapsed();
        // Without optimisation, on a machine under load; quadratic work would take an hour.
        assert!(took < Duration::from_mins(10), "{what}: {took:?}");
        println!("{what}: {took:?}");
    }
}
