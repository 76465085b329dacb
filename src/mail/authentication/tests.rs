use super::*;

mod policy;

const RECEIVED: &str = "Received: from a (b [203.0.113.9]) by mx.corp.example\r\n";

fn read_as(raw: &str, sender: &str) -> Authentication {
    let sender = Domain::parse(sender).expect("a domain");
    authentication(
        &Header::of(raw.as_bytes()),
        Some("mx.corp.example"),
        Some(&sender),
    )
}

fn read(raw: &str) -> Authentication {
    read_as(raw, "corp.example")
}

/// One field of our MTA with these results.
fn read_results(results: &str) -> Authentication {
    read(&format!(
        "Authentication-Results: mx.corp.example; {results}\r\n{RECEIVED}"
    ))
}

#[test]
fn fields_above_our_received_field_count() {
    let found = read_as(
        &format!(
            "Authentication-Results: mx.corp.example 1; spf=softfail smtp.mailfrom=x;\r\n\
             \tdkim=fail header.d=a; dkim=pass (good) header.d=b;\r\n\
             \tdmarc/1 = fail (p=REJECT sp=NONE dis=NONE) header.from=evil.example; arc=none\r\n{RECEIVED}"
        ),
        "evil.example",
    );
    assert_eq!(found.dmarc, Some(AuthenticationResult::Fail));
    assert_eq!(found.dmarc_policy, Some(DmarcPolicy::Reject));
    assert_eq!(found.spf, Some(AuthenticationResult::SoftFail));
    assert_eq!(found.dkim, Some(AuthenticationResult::Pass));
    assert_eq!(found.arc, Some(AuthenticationResult::None));
    assert!(found.fails());
}

#[test]
fn fields_from_outside_do_not_count() {
    let field = "Authentication-Results: mx.corp.example; dmarc=pass header.from=corp.example\r\n";
    let below = read(&format!("{RECEIVED}{field}"));
    assert_eq!(below.dmarc, None);
    assert!(
        below
            .evidence
            .is_some_and(|e| e.value.starts_with("ignored"))
    );
    let forged =
        "Received: from x [127.0.0.1] by y (evil.example [203.0.113.9]) by mx.corp.example\r\n";
    assert_eq!(read(&format!("{forged}{field}")).dmarc, None);
    let other = field.replace("mx.corp", "mx.evil");
    assert_eq!(
        read(&format!("{other}{RECEIVED}")),
        Authentication::default()
    );
    let quoted = "Authentication-Results: (mx.corp.example) \"x;mx.corp.example\"; dmarc=pass\r\n";
    assert_eq!(read(quoted), Authentication::default());
    let hidden = format!("Subject: x\r{field}{RECEIVED}");
    assert_eq!(read(&hidden), Authentication::default());
}

#[test]
fn the_id_is_compared_as_a_value() {
    for id in [
        "MX.Corp.Example",
        "\"mx.corp.example\"",
        "\"mx\\.corp.example\"",
        "(a (b)) mx.corp.example (c) 1 (d)",
        "\r\n\tmx.corp.example",
    ] {
        let raw = format!("authentication-results:{id}; dmarc=fail header.from=corp.example\r\n");
        assert!(read(&raw).fails(), "{id}");
    }
    // Not a valid name, but it contains ours and may be meant as ours.
    for id in ["(mx.corp.example", "\"mx.corp.example", "mx.corp.example 2"] {
        let found = read(&format!("Authentication-Results: {id}; dmarc=pass\r\n"));
        assert_eq!(found.fault, Some(AuthenticationFault::Unreadable), "{id}");
    }
}

/// Some programs see no field there, so it can neither pass nor hide that the message failed.
#[test]
fn a_field_with_white_space_before_the_colon_is_faulty() {
    for name in [
        "Authentication-Results ",
        "Authentication-Results\t",
        "Authentication-Results\r\n ",
    ] {
        let field = |id: &str, result: &str| {
            format!("{name}: {id}; dmarc={result} header.from=corp.example\r\n")
        };
        for result in ["pass", "fail"] {
            let found = read(&field("mx.corp.example", result));
            assert_eq!(found.fault, Some(AuthenticationFault::Unreadable), "{name}");
        }
        let other = read(&field("mx.evil.example", "pass"));
        assert_eq!(other, Authentication::default(), "{name}");
        let below = read(&format!("{RECEIVED}{}", field("mx.corp.example", "pass")));
        assert_eq!((below.dmarc, below.fault), (None, None), "{name}");
    }
}

#[test]
fn a_filter_on_the_same_machine_is_passed_over() {
    let back = "Received: from localhost (localhost [127.0.0.1]) by mx.corp.example\r\n";
    let field =
        "Authentication-Results: mx.corp.example; dmarc=fail (p=none) header.from=corp.example\r\n";
    let found = read(&format!("{back}{field}{RECEIVED}"));
    assert_eq!(found.dmarc, Some(AuthenticationResult::Fail));
    assert!(!found.fails());
}

/// The field of Amazon SES is below its own `Received` field, where a sender can write, too, and is not in the grammar.
#[test]
fn results_of_amazon_ses_do_not_count() {
    let received = "Received: from mail.corp.example (mail.corp.example [203.0.113.9])\r\n \
        by inbound-smtp.us-east-1.amazonaws.com with SMTP id abc\r\n \
        for it-help@desk.example;\r\n Mon, 30 Nov 2026 12:00:00 +0000 (UTC)\r\n";
    let spf = "pass (spfCheck: domain of corp.example designates 203.0.113.9 as permitted sender) \
        client-ip=203.0.113.9; envelope-from=ann@corp.example; helo=mail.corp.example;";
    let results = format!(
        "X-SES-Spam-Verdict: PASS\r\nX-SES-Virus-Verdict: PASS\r\nReceived-SPF: {spf}\r\n\
         Authentication-Results: amazonses.com;\r\n spf={spf}\r\n dkim=pass header.i=@corp.example;\r\n \
         dmarc=pass header.from=corp.example;\r\n"
    );
    let sender = Domain::parse("corp.example").expect("a domain");
    for (above, fault) in [
        (received, None),
        ("", Some(AuthenticationFault::Unreadable)),
    ] {
        let raw = format!("{above}{results}From: ann@corp.example\r\n\r\n");
        let header = Header::of(raw.as_bytes());
        let found = authentication(&header, Some("amazonses.com"), Some(&sender));
        assert_eq!((found.dmarc, found.spf, found.dkim), (None, None, None));
        assert_eq!(found.fault, fault);
        assert!(found.evidence.is_some(), "explain shows the field");
    }
}

#[test]
fn only_one_result_about_the_senders_domain_counts() {
    use AuthenticationFault::{OtherDomain, SeveralResults, Unreadable};
    for (text, fault) in [
        ("dmarc=pass header.from=corp.example", None),
        ("dmarc=pass header.from=CORP.Example.", None),
        ("dmarc=pass header.from=\"corp.example\"", None),
        (
            "dmarc=pass (header.from=evil.example) header.from=corp.example",
            None,
        ),
        (
            "dmarc=pass reason=\"header.from=evil.example\" header.from=corp.example",
            None,
        ),
        (
            "dkim=pass header.d=a.test; dkim=fail header.d=b.test; spf=pass smtp.mailfrom=a.test; \
          spf=none smtp.helo=b.test; dmarc=pass header.from=corp.example",
            None,
        ),
        ("dmarc=none", None),
        ("dmarc=temperror", None),
        ("none", None),
        ("dmarc=pass", Some(OtherDomain)),
        ("dmarc=pass (header.from=corp.example)", Some(OtherDomain)),
        ("dmarc=pass header.from=evil.example", Some(OtherDomain)),
        ("dmarc=none header.from=evil.example", Some(OtherDomain)),
        ("dmarc=pass header.from=a.corp.example", Some(OtherDomain)),
        ("dmarc=pass header.from=ann@corp.example", Some(OtherDomain)),
        (
            "dmarc=pass header.from=corp.example header.from=corp.example",
            Some(OtherDomain),
        ),
        (
            "dmarc=pass header.from=evil.example header.from=corp.example",
            Some(OtherDomain),
        ),
        (
            "dmarc=pass header.from=corp.example; dmarc=fail header.from=corp.example",
            Some(SeveralResults),
        ),
        (
            "dmarc=pass header.from=corp.example; DMARC/1=pass header.from=corp.example",
            Some(SeveralResults),
        ),
        (
            "dmarc=none; dmarc=pass header.from=corp.example",
            Some(SeveralResults),
        ),
        ("dmarc=excellent header.from=corp.example", Some(Unreadable)),
        ("dmarc=pass header.from=corp.example;", None),
        ("dmarc=pass d=corp.example", None),
        ("dmarc=pass d=evil.example", Some(OtherDomain)),
        (
            "dmarc=pass d=evil.example header.from=corp.example",
            Some(OtherDomain),
        ),
        ("dkim=pass d=corp.example; dmarc=none", Some(Unreadable)),
        ("dmarc=skipped header.from=corp.example", None),
        ("dmarc=skipped", Some(OtherDomain)),
        ("dmarc=skipped header.from=evil.example", Some(OtherDomain)),
        (
            "dmarc=skipped header.from=corp.example; dmarc=pass header.from=corp.example",
            Some(SeveralResults),
        ),
        (
            "spf=pass (mx: domain of \"a(b\"@evil.example designates x) smtp.mailfrom=a; dmarc=fail \
          header.from=corp.example",
            Some(Unreadable),
        ),
    ] {
        let found = read_results(text);
        assert_eq!(found.fault, fault, "{text}");
        assert_eq!(found.fails(), fault.is_some(), "{text}");
        if fault.is_some() {
            assert!(
                found.dmarc.is_none() && found.spf.is_none() && !found.passes(),
                "{text}"
            );
            assert!(found.evidence.is_some());
        }
    }
}

#[test]
fn a_skipped_check_is_no_result() {
    let vouched = "dkim=pass header.d=corp.example; spf=pass smtp.mailfrom=ann@corp.example";
    let found = read_results(&format!(
        "{vouched}; dmarc=SKIPPED header.from=Corp.example"
    ));
    assert_eq!((found.dmarc, found.fault), (None, None));
    assert!(!found.passes() && !found.fails());
    // Without a sender there is no domain that the result could be about.
    let raw = format!("Authentication-Results: mx.corp.example; dmarc=skipped\r\n{RECEIVED}");
    let found = authentication(&Header::of(raw.as_bytes()), Some("mx.corp.example"), None);
    assert_eq!((found.dmarc, found.fault), (None, None));
}

#[test]
fn all_fields_of_our_mta_count_together() {
    let field = |results: &str| format!("Authentication-Results: mx.corp.example; {results}\r\n");
    let pass = "dmarc=pass header.from=corp.example";
    let found = read(&format!(
        "{}{}{RECEIVED}",
        field("spf=fail smtp.mailfrom=x"),
        field(pass)
    ));
    assert!(found.passes() && found.spf == Some(AuthenticationResult::Fail));
    for other in [pass, "dmarc=fail header.from=corp.example", "dkim=pass (x"] {
        for raw in [field(pass) + &field(other), field(other) + &field(pass)] {
            assert!(read(&format!("{raw}{RECEIVED}")).fails(), "{raw}");
        }
        let below = format!("{}{RECEIVED}{}", field(pass), field(other));
        assert!(read(&below).passes(), "{below}");
    }
    let thousand = format!("spf=none{}", "; dkim=fail header.d=x.test".repeat(1000));
    assert!(read_results(&format!("{thousand}; {pass}")).passes());
    assert!(read_results(&format!("{pass}; {thousand}; dmarc=pass")).fails());
}

#[test]
fn domains_are_compared_in_their_ascii_form() {
    for written in [
        "b\u{fc}cher.example",
        "B\u{dc}CHER.example.",
        "xn--bcher-kva.example",
        "XN--BCHER-KVA.EXAMPLE",
    ] {
        let raw = format!(
            "Authentication-Results: mx.corp.example; dmarc=pass header.from={written}\r\n"
        );
        assert!(read_as(&raw, "b\u{fc}cher.example").passes(), "{written}");
    }
}

#[test]
fn without_a_policy_an_aligned_pass_vouches_for_the_domain() {
    for (text, passes) in [
        (
            "dkim=pass header.d=corp.example; dmarc=none header.from=corp.example",
            true,
        ),
        (
            "dkim=pass header.i=@mail.corp.example; dmarc=none header.from=corp.example",
            true,
        ),
        (
            "spf=pass smtp.mailfrom=ann@corp.example; dmarc=none header.from=corp.example",
            true,
        ),
        (
            "spf=pass smtp.mailfrom=\"a b\"@corp.example; dmarc=none header.from=corp.example",
            true,
        ),
        (
            "spf=pass smtp.mailfrom=\"x@corp.example\"@evil.example; dmarc=none header.from=corp.example",
            false,
        ),
        (
            "spf=pass smtp.mailfrom=a@evil.example smtp.mailfrom=a@corp.example; dmarc=none header.from=corp.example",
            false,
        ),
        (
            "spf=fail smtp.mailfrom=ann@corp.example; dmarc=none header.from=corp.example",
            false,
        ),
        (
            "dkim=pass header.d=evil.example; dmarc=none header.from=corp.example",
            false,
        ),
        (
            "dkim=pass header.d=corp.example; dmarc=fail (p=none) header.from=corp.example",
            false,
        ),
        // Programs that write a policy for a domain without a record: mail-auth, OpenDMARC, Fastmail's milter.
        (
            "dkim=pass header.d=corp.example; dmarc=none header.from=corp.example policy.dmarc=none",
            true,
        ),
        (
            "dkim=pass header.d=corp.example; dmarc=none (p=none dis=none) header.from=corp.example",
            true,
        ),
        (
            "dmarc=none policy.published-domain-policy=none policy.applied-disposition=none \
             policy.evaluated-disposition=none (p=none,d=none,d.eval=none) policy.policy-from=p \
             header.from=corp.example; spf=pass smtp.mailfrom=ann@corp.example",
            true,
        ),
        // The record may require exactly this domain.
        (
            "dkim=pass header.d=mail.corp.example; dmarc=none header.from=corp.example policy.dmarc=none",
            false,
        ),
        (
            "dkim=fail header.d=corp.example; dmarc=none header.from=corp.example policy.dmarc=none",
            false,
        ),
        (
            "dkim=pass header.d=corp.example; dmarc=none header.from=corp.example policy.dmarc=reject",
            false,
        ),
        (
            "dkim=pass header.d=corp.example; dmarc=temperror header.from=corp.example",
            false,
        ),
        ("dkim=pass header.d=corp.example", false),
    ] {
        assert_eq!(read_results(text).passes(), passes, "{text}");
    }
}

#[test]
fn results_of_a_sealer_are_parsed_as_strictly() {
    let domain = Domain::parse("corp.example").expect("a domain");
    for (value, passes) in [
        (
            " i=2; mx.list.example;\r\n\tspf=fail; dmarc=pass (p=reject)\r\n header.from=corp.example\r\n",
            true,
        ),
        (
            "i=2; mx.microsoft.com 1; spf=pass (sender ip is 192.0.2.1) smtp.rcpttodomain=x.example \
             smtp.mailfrom=corp.example; dmarc=pass (p=none sp=none pct=100) action=none \
             header.from=corp.example; dkim=none (message not signed); arc=none (0)",
            true,
        ),
        ("i=1; mx; dmarc=pass header.from=corp.example", false),
        ("i=2; mx; dmarc=fail header.from=corp.example", false),
        ("i=2; mx; dmarc=pass header.from=evil.example", false),
        ("i=2; mx; dmarc=pass", false),
        ("i=2; mx; spf=pass", false),
        ("i=2; mx; spf=pass reason=\"; dkim=none", false),
        (
            "i=2; mx; dmarc=pass header.from=corp.example; dmarc=fail",
            false,
        ),
        (
            "i=2; mx; arc=pass (dmarc=pass) header.from=corp.example",
            false,
        ),
        ("i=2; mx; dmarc=pass header.from=corp.example\rx", false),
    ] {
        assert_eq!(
            dmarc_pass_in_arc_results(value.as_bytes(), 2, &domain),
            passes,
            "{value}"
        );
    }
}

#[test]
fn without_a_pinned_id_nothing_counts() {
    let raw = b"Authentication-Results: mx.corp.example; dmarc=pass\r\n";
    assert_eq!(
        authentication(&Header::of(raw), None, None),
        Authentication::default()
    );
}
