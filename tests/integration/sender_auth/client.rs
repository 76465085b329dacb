//! SPF: clients that may send for a domain.

use std::fmt::Write;
use std::time::Duration;

use vestibule::domain::{Envelope, ReversePath};
use vestibule::mail::{AuthenticationMethod, AuthenticationResult};

use super::harness::{CLIENT, Harness, details, envelope, forwarded, said, verification_mail};

/// Each domain is named after the effect of its record on the client.
fn zone() -> String {
    let mut zone = format!(
        "pass.example TXT v=spf1 ip4:{CLIENT} -all\n\
         pass6.example TXT v=spf1 ip6:2001:db8::/32 -all\n\
         fail.example TXT v=spf1 ip4:192.0.2.1 -all\n\
         softfail.example TXT v=spf1 ~all\n\
         neutral.example TXT v=spf1 ?all\n\
         open.example TXT v=spf1\n\
         none.example TXT not a record of SPF\n\
         two.example TXT v=spf1 +all\n\
         two.example TXT v=spf1 -all\n\
         wrong.example TXT v=spf1 include -all\n\
         include.example TXT v=spf1 include:pass.example -all\n\
         lost.example TXT v=spf1 include:nowhere.example -all\n\
         redirect.example TXT v=spf1 redirect=pass.example\n\
         a.example TXT v=spf1 a -all\n\
         a.example A {CLIENT}\n\
         mx.example TXT v=spf1 mx -all\n\
         mx.example MX host.mx.example.\n\
         host.mx.example A {CLIENT}\n\
         macro.example TXT v=spf1 exists:%{{i}}.%{{l}}.list.macro.example -all\n\
         {CLIENT}.ann.list.macro.example A 127.0.0.2\n\
         under_score.example TXT v=spf1 +all\n\
         inner.example TXT v=spf1 include:pass.example ~all\n\
         maybe.example TXT v=spf1 ?include:inner.example -all\n\
         never.example TXT v=spf1 -include:inner.example +all\n\
         nested.example TXT v=spf1 include:inner.example -all\n\
         other.example TXT v=spf1 ?include:softfail.example -all\n\
         twice.example TXT v=spf1 include:two.example -all\n\
         slash.example TXT v=spf1 ip4:198.51.100.1/ -all\n\
         ipv4.example TXT v=spf1 ipv4:{CLIENT} ip4:{CLIENT} -all\n\
         mapped.example TXT v=spf1 ip6:::/0 -all\n\
         exists6.example TXT v=spf1 exists:host.exists6.example -all\n\
         host.exists6.example AAAA 2001:db8::1\n\
         void2.example TXT v=spf1 a:a.void2.example mx:b.void2.example ?all\n\
         void3.example TXT v=spf1 a:a.void3.example mx exists:c.void3.example ?all\n\
         dead.example SERVFAIL\n\
         deep.example TXT v=spf1 include:dead.example -all\n"
    );
    let mut many = String::new();
    for i in 0..11 {
        let _ = write!(many, " include:i{i}.many.example");
        let _ = writeln!(zone, "i{i}.many.example TXT v=spf1 ip4:192.0.2.1 ?all");
    }
    let _ = writeln!(zone, "many.example TXT v=spf1{many} -all");
    let too_long_for_udp = " ip4:198.51.100.7".repeat(120);
    let _ = writeln!(
        zone,
        "long.example TXT v=spf1{too_long_for_udp} ip4:{CLIENT} -all"
    );
    let larger_than_any_in_use = " a".repeat(5000);
    let _ = writeln!(
        zone,
        "huge.example TXT v=spf1 ip4:{CLIENT}{larger_than_any_in_use}"
    );
    zone
}

#[tokio::test]
async fn the_record_says_which_client_may_send() {
    let harness = Harness::new(&zone()).await;
    for (domain, expected) in [
        ("pass.example", AuthenticationResult::Pass),
        ("PASS.Example", AuthenticationResult::Pass),
        ("include.example", AuthenticationResult::Pass),
        ("redirect.example", AuthenticationResult::Pass),
        ("a.example", AuthenticationResult::Pass),
        ("mx.example", AuthenticationResult::Pass),
        ("macro.example", AuthenticationResult::Pass),
        ("under_score.example", AuthenticationResult::Pass),
        ("long.example", AuthenticationResult::Pass),
        ("nested.example", AuthenticationResult::Pass),
        ("never.example", AuthenticationResult::Fail),
        ("other.example", AuthenticationResult::Fail),
        ("mapped.example", AuthenticationResult::Fail),
        ("exists6.example", AuthenticationResult::Fail),
        ("pass6.example", AuthenticationResult::Fail),
        ("fail.example", AuthenticationResult::Fail),
        ("softfail.example", AuthenticationResult::SoftFail),
        ("neutral.example", AuthenticationResult::Neutral),
        ("maybe.example", AuthenticationResult::Neutral),
        ("open.example", AuthenticationResult::Neutral),
        ("void2.example", AuthenticationResult::Neutral),
        ("none.example", AuthenticationResult::None),
        ("nowhere.example", AuthenticationResult::None),
        ("two.example", AuthenticationResult::PermError),
        ("twice.example", AuthenticationResult::PermError),
        ("void3.example", AuthenticationResult::PermError),
        ("huge.example", AuthenticationResult::PermError),
        ("slash.example", AuthenticationResult::PermError),
        ("ipv4.example", AuthenticationResult::PermError),
        ("wrong.example", AuthenticationResult::PermError),
        ("lost.example", AuthenticationResult::PermError),
        ("many.example", AuthenticationResult::PermError),
        ("dead.example", AuthenticationResult::TempError),
        ("deep.example", AuthenticationResult::TempError),
    ] {
        let from = format!("ann@{domain}");
        let found = harness
            .check(&verification_mail("corp.example"), &from, "corp.example")
            .await;
        assert_eq!(found.spf, Some(expected), "{domain}");
    }
}

/// The sender chooses the local part. A name that is invalid with it is one without records, not a failure of DNS, which
/// would keep DMARC from failing.
#[tokio::test]
async fn a_sender_cannot_make_a_query_fail() {
    let zone = format!("{}_dmarc.macro.example TXT v=DMARC1; p=reject\n", zone());
    let harness = Harness::new(&zone).await;
    for (local, expected) in [
        ("ann".to_owned(), AuthenticationResult::Pass),
        ("bob".to_owned(), AuthenticationResult::Fail),
        ("a".repeat(64), AuthenticationResult::Fail),
        ("a..b".to_owned(), AuthenticationResult::Fail),
        (".".to_owned(), AuthenticationResult::Fail),
    ] {
        let mail_from = format!("{local}@macro.example");
        let found = harness
            .check(
                &verification_mail("macro.example"),
                &mail_from,
                "macro.example",
            )
            .await;
        assert_eq!(found.spf, Some(expected), "{local}");
        assert_eq!(found.dmarc, Some(expected), "{local}");
    }
}

#[tokio::test]
async fn an_empty_local_part_stands_for_postmaster() {
    let zone = "corp.example TXT v=spf1 exists:%{l}.is.corp.example -all\n\
                postmaster.is.corp.example A 127.0.0.2\n";
    let harness = Harness::new(zone).await;
    let raw = verification_mail("corp.example");
    for envelope in [
        envelope("@corp.example"),
        forwarded("", CLIENT, "corp.example"),
    ] {
        let found = harness.check_in(&raw, &envelope, "corp.example").await;
        assert_eq!(found.spf, Some(AuthenticationResult::Pass), "{envelope:?}");
    }
}

/// The owner of the client's address chooses its names, and how long it takes to look them up.
#[tokio::test]
async fn names_of_a_client_cannot_make_a_query_fail() {
    let zone = "ptr.example TXT v=spf1 ptr -all\n\
                _dmarc.ptr.example TXT v=DMARC1; p=reject\n\
                host.ptr.example A 203.0.113.9\n\
                9.113.0.203.in-addr.arpa PTR host.ptr.example.\n\
                10.113.0.203.in-addr.arpa PTR a.slow.example.\n\
                10.113.0.203.in-addr.arpa PTR b.slow.example.\n\
                10.113.0.203.in-addr.arpa PTR c.slow.example.\n\
                slow.example SILENT\n";
    let harness = Harness::with_timeout(zone, Duration::from_secs(6)).await;
    for (address, expected) in [
        ("203.0.113.9", AuthenticationResult::Pass),
        ("203.0.113.10", AuthenticationResult::Fail),
        ("203.0.113.11", AuthenticationResult::Fail),
    ] {
        let envelope = forwarded("ann@ptr.example", address, "x");
        let raw = verification_mail("ptr.example");
        let found = harness.check_in(&raw, &envelope, "ptr.example").await;
        assert_eq!(found.spf, Some(expected), "{address}");
        assert_eq!(found.dmarc, Some(expected), "{address}");
    }
}

#[tokio::test]
async fn the_client_is_found_by_xforward_or_in_the_trace() {
    let harness = Harness::new(&zone()).await;
    let direct = verification_mail("pass.example");
    let through_filter = format!(
        "Received: from localhost (localhost [127.0.0.1]) by mx.corp.example\r\n\
         Received: from inner (inner [10.1.2.3]) by mx.corp.example\r\n{direct}"
    );
    let forged = format!("Received: from x (x [192.0.2.66]) by mx.corp.example\r\n{direct}");
    let local = direct.replace(
        "from mail.sender.example (mail.sender.example [203.0.113.9])\r\n\t",
        "",
    );
    let odd = direct.replace(" (mail.sender.example [203.0.113.9])", "");
    let by_exim = direct
        .replace(
            "mail.sender.example (mail.sender.example [203.0.113.9])",
            "[203.0.113.9]",
        )
        .replace("(Postfix) with ESMTPS", "with smtp (Exim 4.96)");
    let plain = envelope("ann@pass.example");
    for (what, raw, envelope, expected) in [
        (
            "direct",
            &direct,
            plain.clone(),
            "pass: client 203.0.113.9 by Received",
        ),
        (
            "through a filter",
            &through_filter,
            plain.clone(),
            "pass: client 203.0.113.9 by Received",
        ),
        (
            "by Exim, from a client without a name",
            &by_exim,
            plain.clone(),
            "pass: client 203.0.113.9 by Received",
        ),
        (
            "from elsewhere",
            &forged,
            plain.clone(),
            "fail: client 192.0.2.66 by Received",
        ),
        (
            "XFORWARD",
            &forged,
            forwarded("ann@pass.example", CLIENT, "x"),
            "pass: client 203.0.113.9 by XFORWARD",
        ),
        (
            "IPv6",
            &direct,
            forwarded("ann@pass6.example", "2001:db8::1", "x"),
            "pass: client 2001:db8::1 by XFORWARD",
        ),
        (
            "mapped",
            &direct,
            forwarded("ann@pass.example", "::ffff:203.0.113.9", "x"),
            "pass: client 203.0.113.9 by XFORWARD",
        ),
        (
            "of the house",
            &local,
            plain.clone(),
            "none: no client outside our own machines",
        ),
        (
            "unreadable",
            &odd,
            plain.clone(),
            "none: the MTA's Received field does not name the client",
        ),
        (
            "no envelope",
            &direct,
            Envelope {
                reverse_path: ReversePath::Unknown,
                ..plain.clone()
            },
            "none: the envelope sender is unknown",
        ),
        (
            "no domain",
            &direct,
            envelope("root"),
            "none: the reverse-path has no domain",
        ),
        (
            "a literal",
            &direct,
            envelope("ann@[192.0.2.1]"),
            "none: the reverse-path has no domain",
        ),
    ] {
        let found = harness.check_in(raw, &envelope, "pass.example").await;
        assert_eq!(said(&found, AuthenticationMethod::Spf), expected, "{what}");
    }
}

/// RFC 7208 2.4: for a null reverse-path the identity is postmaster at the HELO name.
#[tokio::test]
async fn without_a_reverse_path_the_name_of_the_client_is_asked_about() {
    let harness = Harness::new(&zone()).await;
    let raw = verification_mail("pass.example");
    for (helo, expected) in [
        ("pass.example", AuthenticationResult::Pass),
        ("fail.example", AuthenticationResult::Fail),
        ("nowhere.example", AuthenticationResult::None),
        ("localhost", AuthenticationResult::None),
        ("[203.0.113.9]", AuthenticationResult::None),
    ] {
        let found = harness
            .check_in(&raw, &forwarded("", CLIENT, helo), "corp.example")
            .await;
        assert_eq!(found.spf, Some(expected), "{helo}");
    }
    let found = harness
        .check_in(&raw, &forwarded("", CLIENT, "pass.example"), "pass.example")
        .await;
    let spf = details(&found, AuthenticationMethod::Spf);
    assert_eq!(
        spf[0].properties,
        [("smtp.helo".to_owned(), "pass.example".to_owned())]
    );
}
