//! Tests of the rule about sender authentication.

use super::{Case, make_match};
use vestibule::access::{Enforcement, explain};
use vestibule::mail::{
    Authentication, AuthenticationFault, AuthenticationResult, DmarcPolicy, Sender,
};

#[test]
fn mail_that_enforced_authentication_drops() {
    use AuthenticationResult as R;

    type Row = (&'static str, fn(&mut Authentication), bool, bool);

    let lenient = |case: &mut Case| {
        if let Sender::Usable { lenient, .. } = &mut case.facts.sender {
            *lenient = true;
        }
    };
    let rows: [Row; 11] = [
        ("nothing is known", |_| {}, true, false),
        ("pass", |a| a.dmarc = Some(R::Pass), true, true),
        ("no record", |a| a.dmarc = Some(R::None), true, true),
        (
            "no record, of no domain that is named",
            |a| {
                a.dmarc = Some(R::None);
                a.dmarc_unnamed = true;
            },
            true,
            false,
        ),
        ("temperror", |a| a.dmarc = Some(R::TempError), true, true),
        (
            "fail without a policy",
            |a| a.dmarc = Some(R::Fail),
            false,
            false,
        ),
        (
            "fail under p=none",
            |a| {
                a.dmarc = Some(R::Fail);
                a.dmarc_policy = Some(DmarcPolicy::None);
            },
            true,
            true,
        ),
        (
            "a field that does not parse",
            |a| a.fault = Some(AuthenticationFault::Unreadable),
            false,
            false,
        ),
        (
            "fail, and a trusted sealer",
            |a| {
                a.dmarc = Some(R::Fail);
                a.arc_sealer = Some("list.example".to_owned());
            },
            true,
            true,
        ),
        (
            "nothing but a trusted sealer",
            |a| a.arc_sealer = Some("list.example".to_owned()),
            true,
            true,
        ),
        (
            "nothing but SPF or DKIM of the domain",
            |a| a.aligned = true,
            true,
            true,
        ),
    ];
    for (name, change, strict_passes, lenient_passes) in rows {
        for (is_lenient, passes) in [(false, strict_passes), (true, lenient_passes)] {
            let mut case = Case::new();
            if is_lenient {
                lenient(&mut case);
            }
            change(&mut case.facts.authentication);
            let expected = if passes { 17 } else { 10 };
            assert_eq!(
                case.decide().rule,
                expected,
                "{name}, lenient: {is_lenient}"
            );
            case.circumstances.enforcement = Enforcement::Report;
            assert_eq!(case.decide().rule, 17, "{name}, only reported");
            let told = explain(&case.input());
            let told = told.iter().find(|one| one.rule == 10);
            let told = told
                .and_then(|one| one.evidence.clone())
                .unwrap_or_default();
            assert_eq!(told.contains("would fail"), !passes, "{name}: {told}");
        }
    }
}

#[test]
fn our_own_check_is_the_evidence_of_the_rule() {
    let mut case = Case::new();
    make_match(10, &mut case);
    case.facts.authentication.spf = Some(AuthenticationResult::None);
    let evidence = case.decide().evidence;
    assert_eq!(evidence.as_deref(), Some("dmarc=fail spf=none"));
}
