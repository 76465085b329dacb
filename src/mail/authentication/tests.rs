use super::*;

mod counted_fields;
mod policy;

const RECEIVED: &str = "Received: from a (b [203.0.113.9]) by mx.corp.example\r\n";

fn read_as(raw: &str, sender: &str) -> Authentication {
    let sender = Domain::parse(sender).expect("a domain");
    authentication(
        &Header::of(raw.as_bytes()),
        Some("mx.corp.example"),
        Some(&sender),
        false,
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
    let found = authentication(
        &Header::of(raw.as_bytes()),
        Some("mx.corp.example"),
        None,
        false,
    );
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

/// `OpenDMARC` 1.4 asks DNS for the octets of U-labels, and finds no record.
#[test]
fn no_record_of_u_labels_is_no_result() {
    for (result, written, is_unnamed) in [
        ("none", "b\u{fc}cher.example", true),
        ("none", "xn--bcher-kva.example", false),
        ("temperror", "b\u{fc}cher.example", true),
        ("fail", "b\u{fc}cher.example", false),
        ("pass", "b\u{fc}cher.example", false),
    ] {
        let raw = format!(
            "Authentication-Results: mx.corp.example; dmarc={result} header.from={written}\r\n"
        );
        let found = read_as(&raw, "b\u{fc}cher.example");
        assert_eq!(found.fault, None);
        assert_eq!(found.dmarc_unnamed, is_unnamed, "{result} {written}");
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

/// The record may require exactly this domain.
#[test]
fn only_its_own_domain_vouches_for_a_sender_whose_record_may_not_be_known() {
    let subdomain = "spf=pass smtp.mailfrom=eve@lab.corp.example";
    let own = "dkim=pass header.d=corp.example";
    for (vouching, dmarc, is_lenient, expected) in [
        (subdomain, "", false, true),
        (subdomain, "", true, false),
        (subdomain, "; dmarc=none", true, false),
        (subdomain, "; dmarc=none", false, true),
        (
            subdomain,
            "; dmarc=none header.from=corp.example",
            true,
            true,
        ),
        (own, "", true, true),
        (own, "; dmarc=none", true, true),
    ] {
        let raw = format!("Authentication-Results: mx.corp.example; {vouching}{dmarc}\r\n");
        let sender = Domain::parse("corp.example").expect("a domain");
        let header = Header::of(raw.as_bytes());
        let found = authentication(&header, Some("mx.corp.example"), Some(&sender), is_lenient);
        assert_eq!(found.aligned, expected, "{raw} {is_lenient}");
    }
    // OpenDMARC finds no record of U-labels.
    let raw = "Authentication-Results: mx.corp.example; dmarc=none header.from=b\u{fc}cher.example; \
               spf=pass smtp.mailfrom=eve@lab.xn--bcher-kva.example\r\n";
    let sender = Domain::parse("b\u{fc}cher.example").expect("a domain");
    let header = Header::of(raw.as_bytes());
    let found = authentication(&header, Some("mx.corp.example"), Some(&sender), true);
    assert!(found.dmarc_unnamed && !found.aligned && !found.passes());
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
