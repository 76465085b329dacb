//! Tests of which fields count: those of our MTA above its own `Received` field.

use super::*;

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
        let found = authentication(&header, Some("amazonses.com"), Some(&sender), false);
        assert_eq!((found.dmarc, found.spf, found.dkim), (None, None, None));
        assert_eq!(found.fault, fault);
        assert!(found.evidence.is_some(), "explain shows the field");
    }
}

#[test]
fn without_a_pinned_id_nothing_counts() {
    let raw = b"Authentication-Results: mx.corp.example; dmarc=pass\r\n";
    assert_eq!(
        authentication(&Header::of(raw), None, None, false),
        Authentication::default()
    );
}
