//! Tests of every row of the table of rules, and of every pair of rows.

mod exceptions;
mod own_lists;
mod sender_authentication;

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
    AuthenticationResult, DmarcPolicy, Evidence, Facts, Report, ReportKind, Sender, SenderFault,
};

/// An input that a test can modify; unmodified, the last rule decides it.
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
    assert_eq!(
        consequence(|case| make_match(14, case)),
        Consequence::Hold(Some(AccountKind::Internal))
    );
    assert_eq!(
        consequence(|_| {}),
        Consequence::Accept(Some(AccountKind::External))
    );
    assert_eq!(
        consequence(|case| case.settings.external.verify = true),
        Consequence::Hold(Some(AccountKind::External))
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

#[test]
fn an_account_for_a_held_request_needs_verification() {
    let kind = AccountKind::Internal;
    let new = |proof_needed| Some(NewAccount { kind, proof_needed });
    for (consequence, expected) in [
        (Consequence::Hold(Some(kind)), new(true)),
        (Consequence::Accept(Some(kind)), new(false)),
        (Consequence::Hold(None), None),
        (Consequence::Accept(None), None),
        (Consequence::Nothing, None),
    ] {
        assert_eq!(consequence.new_account(), expected, "{consequence:?}");
    }
}

#[test]
fn a_duplicate_has_the_verdict_of_the_original() {
    for verdict in [Verdict::Accepted, Verdict::Held, Verdict::Dropped] {
        let mut case = Case::new();
        case.standing.original = Some(Original {
            ledger: LedgerId::new(),
            verdict,
            request: None,
        });
        let decision = case.decide();
        assert_eq!(
            (decision.rule, decision.verdict, decision.consequence),
            (1, verdict, Consequence::Nothing)
        );
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
