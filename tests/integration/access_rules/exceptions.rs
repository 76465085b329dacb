//! Tests of the exceptions and limits of the rules.

use super::{Case, evidence, make_match, patterns, sender_domain, usable};
use vestibule::access::Enforcement;
use vestibule::domain::AccountStatus;
use vestibule::mail::{AuthenticationResult, DmarcPolicy, Report, ReportKind};

fn text_report(case: &mut Case) {
    case.facts.report = Some(Report {
        kind: ReportKind::Text,
        evidence: evidence("Subject", "Undeliverable: x"),
        recipients: Vec::new(),
        original_message_id: None,
    });
}

/// An account that another portal accepted, where this portal verifies newcomers.
fn make_unverified_here(case: &mut Case) {
    case.account(AccountStatus::Active).unverified = true;
    case.settings.external.verify = true;
}

/// Name, modification, and the rule that must then decide.
type Row = (&'static str, fn(&mut Case), u8);

#[test]
fn exceptions_and_limits_of_the_rows() {
    let rows: [Row; 51] = [
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
            "but for one that is not verified here",
            |c| {
                c.facts.presumed_automatic = Some(evidence("Subject", "Automatic reply: x"));
                make_unverified_here(c);
            },
            8,
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
            "nor is such a text of an account that is not verified here exempt",
            |c| {
                text_report(c);
                make_unverified_here(c);
            },
            2,
        ),
        (
            "a report in the standard format is one, even where automatic mail is accepted",
            |c| {
                make_match(2, c);
                make_match(8, c);
                c.account(AccountStatus::Active).takes_automatic = true;
                c.circumstances.takes_automatic = true;
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
            "nor is it accepted from an account that is not verified here",
            |c| {
                make_match(8, c);
                make_unverified_here(c);
                c.circumstances.takes_automatic = true;
            },
            8,
        ),
        (
            "but from an unverified one where newcomers are accepted",
            |c| {
                make_match(8, c);
                c.account(AccountStatus::Active).unverified = true;
                c.circumstances.takes_automatic = true;
            },
            11,
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
            make_unverified_here,
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
            "or portal-only accounts are not allowed",
            |c| {
                c.account(AccountStatus::Active).unverified = true;
                make_match(15, c);
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
            "an authenticated request replaces one that is not",
            |c| {
                let account = c.account(AccountStatus::Pending);
                account.quota_reached = true;
                account.can_replace = true;
                c.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
            },
            13,
        ),
        (
            "an unauthenticated one replaces none",
            |c| {
                let account = c.account(AccountStatus::Pending);
                account.quota_reached = true;
                account.can_replace = true;
            },
            12,
        ),
        (
            "nor does an authenticated one where none can be replaced",
            |c| {
                c.account(AccountStatus::Pending).quota_reached = true;
                c.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
            },
            12,
        ),
        (
            "bulk mail of an account that is not verified here is dropped",
            |c| {
                make_match(9, c);
                make_unverified_here(c);
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
