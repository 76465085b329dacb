use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// The field in short: `id: method=result type.property=value (comment), …`; None if it does not parse.
fn summarize(value: &str) -> Option<String> {
    let field = ResultsField::new(value).ok()?;
    let mut text = format!("{}:", field.authserv_id());
    for result in field {
        let result = result.ok()?;
        let _ = write!(text, " {}={}", result.method, result.result);
        for (kind, name, value) in result.properties {
            let _ = write!(text, " {kind}.{name}={value}");
        }
        for comment in result.comments {
            let _ = write!(text, " ({comment})");
        }
        text.push(',');
    }
    Some(text)
}

#[test]
fn fields_of_real_programs_parse() {
    for (value, expected) in [
        ("mx; none", "mx:"),
        ("mx 1; none (nothing to say)", "mx:"),
        ("(a (b)) \"mx\" (c) 1 (d) ; spf=pass", "mx: spf=pass,"),
        (
            "mx; dkim=none; spf=fail (mx: domain of ceo@forged.test does not designate 192.0.2.1 as \
             permitted sender) smtp.mailfrom=ceo@forged.test; dmarc=fail reason=\"No valid SPF, No \
             valid DKIM\" header.from=forged.test (policy=reject)",
            "mx: dkim=none, spf=fail smtp.mailfrom=ceo@forged.test (mx: domain of ceo@forged.test \
             does not designate 192.0.2.1 as permitted sender), dmarc=fail header.from=forged.test \
             (policy=reject),",
        ),
        (
            "mx; dmarc=fail (p=reject dis=none) header.from=forged.test",
            "mx: dmarc=fail header.from=forged.test (p=reject dis=none),",
        ),
        (
            "mx;\tdkim=pass (2048-bit key; unprotected) header.d=a.test header.i=@a.test header.b=\"a/b+\"",
            "mx: dkim=pass header.d=a.test header.i=@a.test header.b=a/b+ (2048-bit key; unprotected),",
        ),
        (
            "mx; dkim/1 = pass header . d = a.test header.b=a/b=; iprev=pass policy.iprev=2001:db8::1",
            "mx: dkim=pass header.d=a.test header.b=a/b=, iprev=pass policy.iprev=2001:db8::1,",
        ),
        (
            "mx; spf=pass smtp.mailfrom=\"a b\"@a.test; spf=none smtp.mailfrom=<>; spf=none smtp.helo=\"\"",
            "mx: spf=pass smtp.mailfrom=\"a b\"@a.test, spf=none smtp.mailfrom=<>, spf=none smtp.helo=,",
        ),
        (
            "mx; arc=pass (i=1 spf=pass spfdomain=a.test dmarc=pass fromdomain=a.test)",
            "mx: arc=pass (i=1 spf=pass spfdomain=a.test dmarc=pass fromdomain=a.test),",
        ),
        (
            "mx; dmarc=fail (p=none sp=none pct=100) action=none header.from=a.test",
            "mx: dmarc=fail header.from=a.test (p=none sp=none pct=100),",
        ),
        // Cisco.
        (
            "mx; dkim=pass (signature verified) header.i=@a.test; spf=Pass smtp.mailfrom=ann@a.test; \
             dmarc=pass (p=reject dis=none) d=a.test",
            "mx: dkim=pass header.i=@a.test (signature verified), spf=Pass smtp.mailfrom=ann@a.test, \
             dmarc=pass header.from=a.test (p=reject dis=none),",
        ),
        // Yahoo.
        (
            "mx; spf=pass smtp.mailfrom=a.test; dmarc=pass(p=NONE,sp=QUARANTINE) header.from=a.test; ",
            "mx: spf=pass smtp.mailfrom=a.test, dmarc=pass header.from=a.test (p=NONE,sp=QUARANTINE),",
        ),
        ("mx; none;", "mx:"),
        (
            "mx; spf=pass (domain of \"a\\\"b)\\)(c\"@x) smtp.mailfrom=x",
            "",
        ),
    ] {
        let expected = Some(expected.to_owned()).filter(|text| !text.is_empty());
        assert_eq!(summarize(value), expected, "{value}");
    }
}

#[test]
fn incomplete_fields_do_not_parse() {
    for value in [
        "",
        ";",
        "mx",
        "mx;",
        "mx dmarc=pass",
        "mx 2; dmarc=pass",
        "mx; dmarc",
        "mx; dmarc=",
        "mx; =pass",
        "mx; dmarc=pass;;",
        "mx; dmarc=pass; (p=none)",
        "mx;; dmarc=pass",
        "mx; none;;",
        "mx; dmarc/2=pass",
        "mx; none; dmarc=pass",
        "mx; dmarc=pass; none",
        "mx; dmarc=pass header.from",
        "mx; dmarc=pass header.from=",
        "mx; dmarc=pass header=a.test",
        "mx; dmarc=pass actions=none",
        "mx; dmarc=pass action=",
        "mx; dmarc=pass d=",
        "mx; dmarc=pass dd=a.test",
        "mx; dkim=pass d=a.test",
        // Amazon SES.
        "mx; spf=pass (x) client-ip=192.0.2.1; helo=a.test; dmarc=pass header.from=a.test;",
        "mx; dmarc=pass header.from=a.test)",
        "mx; dmarc=pass (header.from=a.test",
        "mx; dmarc=pass ((p=none) header.from=a.test",
        "mx; dmarc=pass reason=\"x header.from=a.test",
        "mx; dmarc=pass reason=\"x\\\" header.from=a.test",
        "mx; dmarc=pass header.from=a\\.test",
        "mx; dmarc=pass\rdmarc=fail",
        "mx; dmarc=pass\0",
        "mx; spf=pass (a\rb)",
        "(mx; dmarc=pass",
        "\"mx; dmarc=pass",
        "mx; spf=pass (mx: domain of \"a(b\"@evil.test designates x) smtp.mailfrom=\"a(b\"@evil.test; \
         dmarc=fail header.from=a.test",
    ] {
        assert_eq!(summarize(value), None, "{value:?}");
    }
}

#[test]
fn a_result_cannot_be_hidden_between_two_texts_of_a_sender() {
    for value in [
        "mx; spf=pass (domain of (x) smtp.mailfrom=(x; dmarc=fail header.from=a.test; arc=none (x)))",
        "mx; spf=pass smtp.mailfrom=\"x; DMARC/1 = fail header.from=a.test; dkim=pass header.i=\"",
        "mx; spf=pass (x;\tdmarc =fail header.from=a.test;)",
    ] {
        assert_eq!(summarize(value), None, "{value}");
    }
}

#[test]
fn an_arc_field_begins_with_its_instance() {
    let read = |value: &'static str| {
        let (instance, field) = ResultsField::of_arc(value).ok()?;
        Some((instance, field.authserv_id().to_owned()))
    };
    assert_eq!(read(" i=2; mx; none"), Some((2, "mx".to_owned())));
    assert_eq!(read("(c) I = 10 ;mx 1; none"), Some((10, "mx".to_owned())));
    for value in [
        "mx; none",
        "i=; mx; none",
        "i=1 mx; none",
        "i=-1; mx; none",
        "d=1; mx; none",
    ] {
        assert_eq!(read(value), None, "{value}");
    }
}

#[test]
fn long_fields_parse_in_linear_time() {
    for value in [
        format!("mx{}", "; dmarc=pass header.from=a.test".repeat(50_000)),
        format!("mx; dmarc=pass {}", "header.from=a.test ".repeat(50_000)),
        format!("mx; dmarc=pass {}", "(".repeat(1_000_000)),
        format!("mx; dmarc=pass {}", "();".repeat(500_000)),
        format!("mx; dmarc=pass ({})", "; dmarc".repeat(200_000)),
        format!("mx; dmarc=pass reason={}", "\"\\\"".repeat(500_000)),
    ] {
        let begin = std::time::Instant::now();
        if let Ok(field) = ResultsField::new(&value) {
            let kept = field.map_while(Result::ok).all(|result| {
                result.properties.len() <= MAX_KEPT && result.comments.len() <= MAX_KEPT
            });
            assert!(kept);
        }
        // Quadratic work would take minutes.
        assert!(
            begin.elapsed() < std::time::Duration::from_mins(1),
            "{}",
            &value[..40]
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(value in "[ \\t;=./()\"\\\\a-dmrc1\\r\u{e9}]{0,80}") {
        if let Ok(field) = ResultsField::new(&value) {
            let _ = field.is_well_formed();
        }
        let _ = ResultsField::of_arc(&value).map(|(_, field)| field.is_well_formed());
    }

    /// Any text of a sender, quoted as RFC 5322 requires, stays one value of one result.
    #[test]
    fn quoted_text_adds_no_result(text in "[ -~]{0,60}") {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let value = format!("mx; spf=fail smtp.mailfrom=\"{quoted}\"; dmarc=fail header.from=a.test");
        let field = ResultsField::new(&value).expect("an id");
        if field.is_well_formed() {
            let results: Vec<_> = field.map(|result| result.expect("well-formed")).collect();
            prop_assert_eq!(results.len(), 2);
            prop_assert_eq!(&results[0].properties[0].2, &text);
            prop_assert_eq!((results[1].method, results[1].result), ("dmarc", "fail"));
        } else {
            prop_assert!(text.to_ascii_lowercase().contains("dmarc"));
        }
    }

    /// Any text of a sender, not escaped at all: the field does not parse, or the MTA's own result is among
    /// those found.
    #[test]
    fn unquoted_text_hides_no_result(
        first in "([;()\"\\\\ a.=]|dmarc=pass|header\\.from=a\\.test){0,12}",
        last in "([;()\"\\\\ a.=]|dmarc=pass|header\\.from=a\\.test){0,12}",
    ) {
        let value = format!(
            "mx; spf=pass (domain of {first} designates x) smtp.mailfrom={first}; \
             dmarc=fail header.from=a.test (policy=reject); dkim=pass header.i={last} (x {last})"
        );
        let field = ResultsField::new(&value).expect("an id");
        if field.is_well_formed() {
            let fails = field.map(|result| result.expect("well-formed"));
            let fails = fails.filter(|result| result.method == "dmarc" && result.result == "fail");
            prop_assert_eq!(fails.count(), 1, "{}", value);
        }
    }
}
