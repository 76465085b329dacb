//! Tests of every row of the table of rules, every pair of neighbouring rows, and the exceptions of the rows.

use crate::support::arrival;
use vestibule::access::{
    AccountStanding, Circumstances, Consequence, Decision, DecisionInput, Enforcement, Original,
    RULES, Settings, Standing, decide, explain,
};
use vestibule::domain::{
    AccountKind, AccountStatus, DomainPattern, EmailAddress, LedgerId, NewAccount, PatternList,
    Reason, Verdict,
};
use vestibule::mail::{
    Authentication, AuthenticationFault, AuthenticationResult, DmarcPolicy, Evidence, Facts,
    ListAuthor, Report, ReportKind, Sender, SenderFault,
};

/// A input that a test can modify; unmodified, the last rule decides it.
#[derive(Clone)]
struct Case {
    facts: Facts,
    circumstances: Circumstances,
    standing: Standing,
    settings: Settings,
}

fn evidence(field: &str, value: &str) -> Evidence {
    Evidence {
        field: field.to_owned(),
        value: value.to_owned(),
    }
}

fn usable(address: &str) -> Sender {
    Sender::Usable {
        address: EmailAddress::parse(address).expect(address),
        written: address.to_owned(),
        lookalike: None,
        lenient: false,
    }
}

impl Case {
    fn new() -> Self {
        Self {
            facts: arrival::facts("ann@customer.example", "1@customer.example"),
            circumstances: Circumstances {
                enforcement: Enforcement::Enforce,
                ..arrival::plain_circumstances("it")
            },
            standing: Standing::default(),
            settings: Settings::default(),
        }
    }

    fn account(&mut self, status: AccountStatus) -> &mut AccountStanding {
        self.standing.account.insert(AccountStanding {
            kind: AccountKind::External,
            status,
            takes_automatic: false,
            quota_reached: false,
            can_replace: false,
            unverified: false,
        })
    }

    fn input(&self) -> DecisionInput<'_> {
        DecisionInput {
            facts: &self.facts,
            circumstances: &self.circumstances,
            standing: &self.standing,
            settings: &self.settings,
        }
    }

    fn decide(&self) -> Decision {
        decide(&self.input())
    }
}

fn sender_domain(case: &Case) -> DomainPattern {
    let domain = case.facts.sender.address().map(|a| a.domain().to_string());
    DomainPattern::parse(domain.as_deref().unwrap_or("customer.example")).expect("a pattern")
}

fn patterns(texts: &[&str]) -> PatternList {
    let parsed = texts.iter().map(|text| DomainPattern::parse_denied(text));
    parsed.collect::<Result<_, _>>().expect("patterns")
}

/// Makes a rule match, whatever else is true of the case.
fn make_match(rule: u8, case: &mut Case) {
    match rule {
        1 => {
            case.standing.original = Some(Original {
                ledger: LedgerId::new(),
                verdict: Verdict::Held,
                request: None,
            });
        }
        2 => {
            case.facts.report = Some(Report {
                kind: ReportKind::Dsn,
                evidence: evidence("Content-Type", "multipart/report"),
                recipients: Vec::new(),
                original_message_id: None,
            });
        }
        3 => case.facts.received_fields = 51,
        4 => {
            case.facts.sender = Sender::Unusable {
                fault: SenderFault::SeveralAuthors,
                written: None,
            };
        }
        5 => {
            let pattern = sender_domain(case);
            case.settings.denied = vec![pattern].into();
        }
        6 => {
            case.account(AccountStatus::Blocked);
        }
        7 => case.facts.spam = Some(evidence("X-Spam-Flag", "YES")),
        8 => case.facts.automatic = Some(evidence("Auto-Submitted", "auto-replied")),
        9 => case.facts.bulk = Some(evidence("Precedence", "bulk")),
        10 => {
            case.facts.authentication.dmarc = Some(AuthenticationResult::Fail);
            case.facts.authentication.dmarc_policy = Some(DmarcPolicy::Reject);
        }
        11 => {
            case.account(AccountStatus::Active);
        }
        12 => case.account(AccountStatus::Pending).quota_reached = true,
        13 => {
            if case.standing.account.is_none() {
                case.account(AccountStatus::Pending);
            }
        }
        14 => {
            let pattern = sender_domain(case);
            case.settings.internal.approved_domains = vec![pattern].into();
        }
        15 => case.settings.external.allow_portal_only_accounts = false,
        16 => case.settings.external.restrict_domains = true,
        17 => {}
        other => panic!("no rule {other}"),
    }
}

const EXPECTED: [(u8, Verdict, Reason); 17] = [
    (1, Verdict::Held, Reason::Duplicate),
    (2, Verdict::Dropped, Reason::Bounce),
    (3, Verdict::Dropped, Reason::Loop),
    (4, Verdict::Dropped, Reason::SenderUnusable),
    (5, Verdict::Dropped, Reason::SenderDenied),
    (6, Verdict::Dropped, Reason::AccountBlocked),
    (7, Verdict::Dropped, Reason::Spam),
    (8, Verdict::Dropped, Reason::Automatic),
    (9, Verdict::Dropped, Reason::Bulk),
    (10, Verdict::Dropped, Reason::AuthenticationFailed),
    (11, Verdict::Accepted, Reason::AccountActive),
    (12, Verdict::Dropped, Reason::HoldQuota),
    (13, Verdict::Held, Reason::AccountPending),
    (14, Verdict::Held, Reason::InternalAccountCreated),
    (15, Verdict::Dropped, Reason::ExternalAccountsDisabled),
    (16, Verdict::Dropped, Reason::DomainNotAllowed),
    (17, Verdict::Accepted, Reason::ExternalAccountCreated),
];

#[test]
fn every_row_decides_when_it_alone_matches() {
    for (rule, verdict, reason) in EXPECTED {
        let mut case = Case::new();
        make_match(rule, &mut case);
        let decision = case.decide();
        assert_eq!(
            (decision.rule, decision.verdict, decision.reason),
            (rule, verdict, reason)
        );
    }
}

/// True if two rules can never match together: an account has one status, a message one usable sender, and
/// bulk mail of an active account is accepted.
fn exclude_each_other(first: u8, second: u8) -> bool {
    let by_account = [6, 11, 12, 13];
    (by_account.contains(&first) && by_account.contains(&second))
        || [(4, 5), (9, 11)].contains(&(first, second))
}

#[test]
fn of_two_rows_the_earlier_decides() {
    for (place, (first, ..)) in EXPECTED.iter().enumerate() {
        for (second, ..) in &EXPECTED[place + 1..] {
            if exclude_each_other(*first, *second) {
                continue;
            }
            let mut case = Case::new();
            make_match(*second, &mut case);
            make_match(*first, &mut case);
            assert_eq!(case.decide().rule, *first, "rules {first} and {second}");
        }
    }
}

#[test]
fn an_account_has_one_status_and_one_rule() {
    for (status, rule) in [
        (AccountStatus::Blocked, 6),
        (AccountStatus::Active, 11),
        (AccountStatus::Pending, 13),
    ] {
        let mut case = Case::new();
        case.account(status);
        assert_eq!(case.decide().rule, rule);
    }
    let mut active_with_much_waiting = Case::new();
    active_with_much_waiting
        .account(AccountStatus::Active)
        .quota_reached = true;
    assert_eq!(active_with_much_waiting.decide().rule, 11);
}

#[test]
fn the_table_and_the_expectations_have_the_same_rows() {
    for (position, rule) in (1..).zip(&RULES) {
        assert_eq!(rule.number, position, "{}", rule.reason);
    }
    let rows: Vec<_> = RULES
        .iter()
        .map(|rule| (rule.number, rule.reason))
        .collect();
    let expected: Vec<_> = EXPECTED.iter().map(|row| (row.0, row.2)).collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_consequences_of_a_decision() {
    let consequence = |change: fn(&mut Case)| {
        let mut case = Case::new();
        change(&mut case);
        case.decide().consequence
    };
    let new = |kind, proof_needed| Some(NewAccount { kind, proof_needed });
    assert_eq!(
        consequence(|case| make_match(14, case)),
        Consequence::Hold(new(AccountKind::Internal, true))
    );
    assert_eq!(
        consequence(|_| {}),
        Consequence::Accept(new(AccountKind::External, false))
    );
    assert_eq!(
        consequence(|case| case.settings.external.verify = true),
        Consequence::Hold(new(AccountKind::External, true))
    );
    assert_eq!(
        consequence(|case| make_match(11, case)),
        Consequence::Accept(None)
    );
    assert_eq!(
        consequence(|case| make_match(13, case)),
        Consequence::Hold(None)
    );
    assert_eq!(
        consequence(|case| make_match(1, case)),
        Consequence::Nothing,
        "a repeat makes nothing new, whatever its verdict"
    );
}

fn text_report(case: &mut Case) {
    case.facts.report = Some(Report {
        kind: ReportKind::Text,
        evidence: evidence("Subject", "Undeliverable: x"),
        recipients: Vec::new(),
        original_message_id: None,
    });
}

/// Name, modification, and the rule that must then decide.
type Row = (&'static str, fn(&mut Case), u8);

#[test]
fn exceptions_and_limits_of_the_rows() {
    let rows: [Row; 42] = [
        (
            "a presumption counts for somebody new",
            |c| c.facts.presumed_automatic = Some(evidence("Subject", "Automatic reply: x")),
            8,
        ),
        (
            "and for a pending account",
            |c| {
                c.facts.presumed_automatic = Some(evidence("Subject", "Automatic reply: x"));
                c.account(AccountStatus::Pending);
            },
            8,
        ),
        (
            "but not for an active one",
            |c| {
                c.facts.presumed_automatic = Some(evidence("From", "postmaster@corp.example"));
                c.account(AccountStatus::Active);
            },
            11,
        ),
        (
            "a report-like text of an active account is not a report",
            |c| {
                text_report(c);
                c.account(AccountStatus::Active);
            },
            11,
        ),
        (
            "nor is automatic mail that the portal accepts",
            |c| {
                text_report(c);
                make_match(8, c);
                c.account(AccountStatus::Active);
                c.circumstances.takes_automatic = true;
            },
            11,
        ),
        (
            "but automatic mail that nobody accepts is one",
            |c| {
                text_report(c);
                make_match(8, c);
                c.account(AccountStatus::Active);
            },
            2,
        ),
        (
            "50 Received fields are no loop",
            |c| c.facts.received_fields = 50,
            17,
        ),
        (
            "our own mark is a loop",
            |c| {
                c.facts.own_mark = Some(evidence("X-Vestibule-Loop", "gate.corp.example"));
            },
            3,
        ),
        (
            "mail from a portal's address is a loop",
            |c| c.circumstances.sender_is_ours = true,
            3,
        ),
        (
            "automatic mail of an active account is dropped",
            |c| {
                make_match(8, c);
                c.account(AccountStatus::Active);
            },
            8,
        ),
        (
            "unless the portal accepts it",
            |c| {
                make_match(8, c);
                c.account(AccountStatus::Active);
                c.circumstances.takes_automatic = true;
            },
            11,
        ),
        (
            "or the account's is accepted",
            |c| {
                make_match(8, c);
                c.account(AccountStatus::Active).takes_automatic = true;
            },
            11,
        ),
        (
            "a portal that accepts it accepts it from active accounts only",
            |c| {
                make_match(8, c);
                c.account(AccountStatus::Pending);
                c.circumstances.takes_automatic = true;
            },
            8,
        ),
        (
            "nor does it make an account",
            |c| {
                make_match(8, c);
                c.circumstances.takes_automatic = true;
            },
            8,
        ),
        (
            "bulk mail of an active account is accepted",
            |c| {
                make_match(9, c);
                c.account(AccountStatus::Active);
            },
            11,
        ),
        (
            "bulk mail of a pending account is dropped",
            |c| {
                make_match(9, c);
                c.account(AccountStatus::Pending);
            },
            9,
        ),
        (
            "mail through the portal's own list is ordinary",
            |c| {
                make_match(9, c);
                c.circumstances.own_list = Some("it.corp.example".to_owned());
            },
            17,
        ),
        (
            "an own list does not excuse automatic mail",
            |c| {
                make_match(8, c);
                make_match(9, c);
                c.circumstances.own_list = Some("it.corp.example".to_owned());
            },
            8,
        ),
        (
            "a DMARC fail is only reported",
            |c| {
                make_match(10, c);
                c.circumstances.enforcement = Enforcement::Report;
            },
            17,
        ),
        (
            "or not checked",
            |c| {
                make_match(10, c);
                c.circumstances.enforcement = Enforcement::Off;
            },
            17,
        ),
        (
            "a fail under policy none does not count",
            |c| {
                make_match(10, c);
                c.facts.authentication.dmarc_policy = Some(DmarcPolicy::None);
            },
            17,
        ),
        (
            "quarantine is",
            |c| {
                make_match(10, c);
                c.facts.authentication.dmarc_policy = Some(DmarcPolicy::Quarantine);
            },
            10,
        ),
        (
            "a DNS outage is never a fail",
            |c| {
                make_match(10, c);
                c.facts.authentication.dmarc = Some(AuthenticationResult::TempError);
            },
            17,
        ),
        (
            "internal.enabled = false makes approved domains external",
            |c| {
                make_match(14, c);
                c.settings.internal.enabled = false;
            },
            17,
        ),
        (
            "an approved domain takes precedence over the allow list",
            |c| {
                make_match(14, c);
                let pattern = sender_domain(c);
                c.settings.external.restrict_domains = true;
                c.settings.external.allowed_domains = vec![pattern].into();
            },
            14,
        ),
        (
            "and needs no portal-only accounts",
            |c| {
                make_match(14, c);
                make_match(15, c);
            },
            14,
        ),
        (
            "a domain on the list may",
            |c| {
                let pattern = sender_domain(c);
                c.settings.external.restrict_domains = true;
                c.settings.external.allowed_domains = vec![pattern].into();
            },
            17,
        ),
        (
            "an address on the approved list is exactly that address",
            |c| c.settings.internal.approved_domains = patterns(&["ann@customer.example"]),
            14,
        ),
        (
            "and not one with a detail",
            |c| {
                c.facts.sender = usable("ann+1@customer.example");
                c.settings.internal.approved_domains = patterns(&["ann@customer.example"]);
            },
            17,
        ),
        (
            "an address may be on the allow list",
            |c| {
                c.settings.external.restrict_domains = true;
                c.settings.external.allowed_domains = patterns(&["Ann@Customer.example"]);
            },
            17,
        ),
        (
            "its neighbour is not allowed by that",
            |c| {
                c.settings.external.restrict_domains = true;
                c.settings.external.allowed_domains = patterns(&["bob@customer.example"]);
            },
            16,
        ),
        (
            "an address on the deny list denies its mailbox",
            |c| {
                c.facts.sender = usable("Ann+1@customer.example");
                c.settings.denied = patterns(&["ann@customer.example"]);
            },
            5,
        ),
        (
            "others of the domain are not denied by it",
            |c| c.settings.denied = patterns(&["bob@customer.example", "*.customer.example"]),
            17,
        ),
        (
            "an active account is denied as well",
            |c| {
                c.account(AccountStatus::Active);
                c.settings.denied = patterns(&["ann@customer.example"]);
            },
            5,
        ),
        (
            "and one that an approved domain would admit",
            |c| {
                make_match(14, c);
                c.settings.denied = patterns(&["*.example"]);
            },
            5,
        ),
        (
            "an unverified account is accepted where newcomers are",
            |c| c.account(AccountStatus::Active).unverified = true,
            11,
        ),
        (
            "and held where they are verified first",
            |c| {
                c.account(AccountStatus::Active).unverified = true;
                c.settings.external.verify = true;
            },
            13,
        ),
        (
            "or become internal",
            |c| {
                c.account(AccountStatus::Active).unverified = true;
                make_match(14, c);
            },
            13,
        ),
        (
            "or are not admitted at all",
            |c| {
                c.account(AccountStatus::Active).unverified = true;
                c.settings.external.restrict_domains = true;
            },
            13,
        ),
        (
            "up to the quota",
            |c| {
                let account = c.account(AccountStatus::Active);
                account.unverified = true;
                account.quota_reached = true;
                c.settings.external.verify = true;
            },
            12,
        ),
        (
            "bulk mail of an account that is not verified here is dropped",
            |c| {
                make_match(9, c);
                c.account(AccountStatus::Active).unverified = true;
                c.settings.external.verify = true;
            },
            9,
        ),
        (
            "the list has no effect while domains are not restricted",
            |c| {
                c.settings.external.allowed_domains = patterns(&["other.example"]);
            },
            17,
        ),
    ];
    for (name, change, rule) in rows {
        let mut case = Case::new();
        change(&mut case);
        assert_eq!(case.decide().rule, rule, "{name}");
    }
}

#[test]
fn after_a_list_of_the_portal_the_author_is_the_sender() {
    let mut case = Case::new();
    case.facts.sender = usable("it@groups.example");
    case.facts.author_behind_list = Some(ListAuthor {
        list: "it.groups.example".to_owned(),
        author: usable("ann@corp.example"),
        field: "X-Original-From".to_owned(),
    });
    case.settings.internal.approved_domains = patterns(&["corp.example"]);
    assert_eq!(
        case.decide().rule,
        17,
        "a foreign list is who it says it is"
    );
    case.circumstances.own_list = Some("hr.groups.example".to_owned());
    assert_eq!(case.decide().rule, 17, "From is another list's");
    case.circumstances.own_list = Some("it.groups.example".to_owned());
    assert_eq!(case.decide().rule, 10, "nobody vouches for the author");
    case.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    assert_eq!(case.decide().rule, 14);
}

#[test]
fn mail_that_enforced_authentication_drops() {
    use AuthenticationResult as R;

    type Row = (&'static str, fn(&mut Authentication), bool, bool);

    let lenient = |case: &mut Case| {
        if let Sender::Usable { lenient, .. } = &mut case.facts.sender {
            *lenient = true;
        }
    };
    let rows: [Row; 10] = [
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

/// "They decide about new customers only": no setting affects a sender who has an account.
#[test]
fn no_setting_touches_an_account_that_exists() {
    for status in [
        AccountStatus::Active,
        AccountStatus::Pending,
        AccountStatus::Blocked,
    ] {
        let mut before = Case::new();
        before.account(status);
        let expected = before.decide();
        for bits in 0_u8..32 {
            let mut case = before.clone();
            case.settings.internal.enabled = bits & 1 != 0;
            case.settings.external.allow_portal_only_accounts = bits & 2 != 0;
            case.settings.external.restrict_domains = bits & 4 != 0;
            case.settings.external.verify = bits & 8 != 0;
            if bits & 16 != 0 {
                make_match(14, &mut case);
            }
            let decision = case.decide();
            assert_eq!(decision, expected, "{status} with settings {bits:05b}");
        }
    }
}

#[test]
fn an_explanation_ends_with_the_rule_that_decided() {
    for (rule, ..) in EXPECTED {
        let mut case = Case::new();
        make_match(rule, &mut case);
        let results = explain(&case.input());
        let (last, before) = results.split_last().expect("at least one rule");
        assert!(last.matched);
        assert_eq!(last.rule, rule);
        assert!(before.iter().all(|result| !result.matched));
        let place = RULES.iter().position(|row| row.number == rule);
        assert_eq!(Some(before.len()), place, "every earlier rule is shown");
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
