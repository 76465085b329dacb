use super::{read_as, read_results};
use crate::mail::DmarcPolicy::{None as Nothing, Quarantine, Reject};

#[test]
fn policies_are_found_where_programs_put_them() {
    for (text, expected) in [
        (
            "dmarc=fail header.from=corp.example policy.dmarc=quarantine",
            Some(Quarantine),
        ),
        (
            "dmarc=fail header.from=corp.example (policy=reject)",
            Some(Reject),
        ),
        (
            "dmarc=fail (p=reject dis=none) header.from=corp.example",
            Some(Reject),
        ),
        (
            "dmarc=fail (p=NONE sp=reject dis=none) header.from=corp.example",
            Some(Nothing),
        ),
        (
            "dmarc=fail reason=\"p=none; x\" header.from=corp.example",
            None,
        ),
        (
            "spf=fail (p=none) smtp.mailfrom=x; dmarc=fail header.from=corp.example",
            None,
        ),
        ("dmarc=fail (xp=none) header.from=corp.example", None),
    ] {
        let found = read_results(text);
        assert_eq!(found.dmarc_policy, expected, "{text}");
        assert_eq!(found.fails(), expected != Some(Nothing), "{text}");
    }
    let below = read_as(
        "Authentication-Results: mx.corp.example; dmarc=fail (p=none sp=reject) header.from=a.corp.example\r\n",
        "a.corp.example",
    );
    assert!(below.fails());
}

#[test]
fn policies_of_known_programs_decide() {
    for (text, expected) in [
        // Fastmail's authentication milter, without and with its comment.
        (
            "dmarc=fail policy.published-domain-policy=none policy.applied-disposition=none \
             policy.evaluated-disposition=none policy.policy-from=p header.from=corp.example",
            Nothing,
        ),
        (
            "dmarc=fail policy.published-domain-policy=reject policy.published-subdomain-policy=none \
             policy.applied-disposition=none policy.evaluated-disposition=reject \
             policy.override-reason=mailing_list policy.arc-aware-result=fail \
             (p=reject,sp=none,has-list-id=yes,d=none,d.eval=reject,override=mailing_list,\
             arc_aware_result=fail) policy.policy-from=p header.from=corp.example",
            Reject,
        ),
        // authheaders.
        (
            "dmarc=fail (Used From Domain Record) header.from=corp.example policy.dmarc=none",
            Nothing,
        ),
        // rspamd, OpenDMARC, Google, Yahoo, Microsoft.
        (
            "dmarc=fail reason=\"No valid SPF, No valid DKIM\" header.from=corp.example (policy=none)",
            Nothing,
        ),
        (
            "dmarc=fail (p=none dis=none) header.from=corp.example",
            Nothing,
        ),
        (
            "dmarc=fail (p=NONE sp=NONE dis=NONE) header.from=corp.example",
            Nothing,
        ),
        ("dmarc=fail(p=NONE,sp=) header.from=corp.example", Nothing),
        (
            "dmarc=fail (p=quarantine sp=none pct=100) action=none header.from=corp.example",
            Quarantine,
        ),
    ] {
        let found = read_results(text);
        assert_eq!(found.dmarc_policy, Some(expected), "{text}");
        assert_eq!(found.fails(), expected != Nothing, "{text}");
    }
}

#[test]
fn a_lenient_policy_counts_only_if_nothing_contradicts_it() {
    let from = "header.from=corp.example";
    let parts = "() ".repeat(16);
    for (text, fails) in [
        (format!("policy.dmarc=none {from}"), false),
        (
            format!("policy.dmarc=none policy.dmarc=reject {from}"),
            true,
        ),
        (
            format!("policy.dmarc=none policy.dmarc=reject (p=none) {from}"),
            true,
        ),
        (format!("policy.dmarc=none (p=reject) {from}"), true),
        (
            format!("policy.published-domain-policy=quarantine (p=none) {from}"),
            true,
        ),
        (format!("(p=none) (policy=reject) {from}"), true),
        (format!("(p=none p=reject) {from}"), true),
        (format!("policy.dmarc=lenient (p=none) {from}"), true),
        (format!("(p=none,policy=) {from}"), true),
        // What the MTA did with the message.
        (format!("policy.applied-disposition=none {from}"), true),
        (
            format!("policy.override-reason=none (dis=none d=none) {from}"),
            true,
        ),
        (format!("action=none {from}"), true),
        (
            format!("(p=none dis=none) policy.applied-disposition=quarantine {from}"),
            false,
        ),
        // Text that a sender may have chosen.
        (format!("(sender a p=none @corp.example) {from}"), true),
        (format!("(user=\"a p=none b=c\"@corp.example) {from}"), true),
        (format!("(user=a p=none b=c@corp.example) {from}"), true),
        (format!("(a=b (p=none) c=d) {from}"), true),
        (format!("(a=b\\ p=none) {from}"), true),
        (format!("(sender a p=reject) (p=none) {from}"), true),
        (format!("reason=\"p=none\" {from}"), true),
        (
            format!("policy.iprev=none header.p=none smtp.dmarc=none {from}"),
            true,
        ),
        // Parts beyond the maximum are not kept, so they may contain another policy.
        (format!("(p=none) {parts}(p=reject) {from}"), true),
    ] {
        let found = read_results(&format!("dmarc=fail {text}"));
        assert_eq!(found.fault, None, "{text}");
        assert_eq!(found.fails(), fails, "{text}");
    }
}

#[test]
fn the_policy_for_subdomains_counts_where_it_may_apply() {
    for (text, fails) in [
        ("(p=none sp=reject)", true),
        ("(p=none sp=none np=quarantine)", true),
        ("(p=reject sp=none)", true),
        ("(p=none sp=none)", false),
        // Of an unknown policy it is not known that it is `none`.
        ("(p=none sp=unspecified)", true),
        ("(p=none sp=rejekt)", true),
        ("(p=none sp=none np=)", true),
        (
            "policy.published-domain-policy=none policy.published-subdomain-policy=rejekt",
            true,
        ),
        ("(p=none sp=rejekt) policy.policy-from=p", false),
        ("(sp=none)", true),
        ("(p=none sp=reject) policy.policy-from=p", false),
        ("(p=reject sp=none) policy.policy-from=sp", false),
        ("(p=none sp=reject) policy.policy-from=sp", true),
        ("(p=none) policy.policy-from=sp", false),
        ("(p=none sp=) policy.policy-from=sp", true),
        (
            "(p=none) policy.published-subdomain-policy=rejekt policy.policy-from=sp",
            true,
        ),
        (
            "(p=none sp=reject) policy.policy-from=p policy.policy-from=sp",
            true,
        ),
        (
            "policy.published-domain-policy=none policy.published-subdomain-policy=reject",
            true,
        ),
    ] {
        let raw = format!(
            "Authentication-Results: mx.corp.example; dmarc=fail {text} header.from=a.corp.example\r\n"
        );
        let found = read_as(&raw, "a.corp.example");
        assert_eq!(found.fault, None, "{text}");
        assert_eq!(found.fails(), fails, "{text}");
    }
    let own = read_results("dmarc=fail (p=none sp=rejekt) header.from=corp.example");
    assert!(!own.fails());
    // A failure may name no domain.
    let unnamed = "Authentication-Results: mx.corp.example; dmarc=fail (p=none sp=reject)\r\n";
    assert!(read_as(unnamed, "a.corp.example").fails());
    assert!(!read_as(unnamed, "corp.example").fails());
}
