//! Results of comparisons, and their agreement with deciding again.

use super::*;
use proptest::prelude::*;

use crate::access::{
    AccountStanding, Assignment, Circumstances, DecisionInput, Enforcement, Key, Original, RULES,
    Standing, decide,
};
use crate::domain::{AccountStatus, DomainPattern, LedgerId};
use crate::mail::{
    Authentication, AuthenticationResult, Evidence, Facts, Fingerprint, Report, ReportKind, Sender,
    SenderFault,
};

fn settings(assignments: &[&str]) -> AccessSettings {
    let assignments: Vec<_> = assignments
        .iter()
        .map(|text| Assignment::parse(text).expect(text))
        .collect();
    let settings = AccessSettings::default().with(None, &assignments);
    settings.expect("the site's")
}

fn newcomer<'a>(portal: &'a str, domain: &'a str) -> Recorded<'a> {
    Recorded {
        reason: Reason::ExternalAccountCreated,
        portal,
        domain,
        sender: "",
        unverified: false,
    }
}

#[test]
fn differences_are_listed_by_domain_and_portal() {
    let before = settings(&[
        "internal.approved_domains=corp.example",
        "external.restrict_domains=true",
        "external.allowed_domains=partner.example",
        "external.verify=true",
    ]);
    let portal = PortalName::parse("hr").expect("a name");
    let pattern = DomainPattern::parse("acme.example").expect("a pattern");
    let after = before
        .with(
            None,
            &[Assignment::parse("internal.approved_domains=partner.example").expect("good")],
        )
        .expect("the site's")
        .with_domains(Some(&portal), Key::ExternalAllowedDomains, &[pattern]);
    let mut comparison = Comparison::new(&before, &after);
    for (portal, domain, shown) in [
        ("it", "corp.example", Some("held → dropped")),
        (
            "it",
            "partner.example",
            Some("held as internal instead of external"),
        ),
        ("it", "acme.example", None),
        ("hr", "acme.example", Some("dropped → held")),
        ("it", "elsewhere.example", None),
        ("it", "not a domain", None),
        ("not a portal", "corp.example", None),
    ] {
        for _ in 0..2 {
            let found = match comparison.compare(&newcomer(portal, domain)) {
                Compared::Differs(shift) => Some(shift.to_string()),
                Compared::Same => None,
                Compared::Open => panic!("a new sender is decided without reading facts"),
            };
            assert_eq!(found.as_deref(), shown, "{portal}, {domain}");
        }
    }
}

#[test]
fn the_cache_is_bounded() {
    let (before, after) = (settings(&[]), settings(&["external.verify=true"]));
    let mut comparison = Comparison::new(&before, &after);
    for n in 0..MAX_KNOWN + 10 {
        let domain = format!("d{n}.example");
        let compared = comparison.compare(&newcomer("it", &domain));
        assert!(matches!(compared, Compared::Differs(_)));
        let portals = comparison.portals.values();
        let cached: usize = portals.map(|portal| portal.domains.len()).sum();
        assert!(cached <= MAX_KNOWN);
    }
}

#[test]
fn the_rules_that_read_the_settings_are_the_last_ones() {
    let from = RULES.iter().position(|rule| reads_settings(rule.reason));
    let from = from.expect("there are some");
    assert!(RULES[from..].iter().all(|rule| reads_settings(rule.reason)));
}

const DOMAINS: &[&str] = &[
    "corp.example",
    "sub.corp.example",
    "acme.example",
    "x.example",
];

fn evidence() -> Evidence {
    Evidence {
        field: "X".to_owned(),
        value: "y".to_owned(),
    }
}

type Lists = (
    [bool; 4],
    Vec<&'static str>,
    Vec<&'static str>,
    Vec<&'static str>,
);

/// Any settings for these domains, with overrides for one portal.
fn any_settings() -> impl Strategy<Value = AccessSettings> {
    let values = || {
        let list = prop::sample::subsequence(
            vec![
                "corp.example",
                "*.corp.example",
                "acme.example",
                "x.example",
                "ann+1@acme.example",
                "ann@x.example",
            ],
            0..=3,
        );
        let denied = prop::collection::vec(
            prop::sample::select(vec!["ann@corp.example", "*.example", "ann@x.example"]),
            0..=1,
        );
        (any::<[bool; 4]>(), list.clone(), list, denied)
    };
    (values(), prop::option::of(values())).prop_map(|(site, own)| {
        let assignments = |(switches, approved, allowed, denied): Lists| {
            [
                format!("internal.enabled={}", switches[0]),
                format!("internal.approved_domains={}", approved.join(",")),
                format!("external.allow_portal_only_accounts={}", switches[1]),
                format!("external.restrict_domains={}", switches[2]),
                format!("external.allowed_domains={}", allowed.join(",")),
                format!("external.verify={}", switches[3]),
                format!("denied={}", denied.join(",")),
            ]
            .map(|text| Assignment::parse(&text).expect("good"))
        };
        let settings = AccessSettings::default().with(None, &assignments(site));
        let settings = settings.expect("the site's");
        match own {
            Some(own) => {
                let portal = PortalName::parse("hr").expect("a name");
                let settings = settings.with(Some(&portal), &assignments(own));
                settings.expect("a portal's")
            }
            None => settings,
        }
    })
}

/// Messages that may match any of the rules before those that read the settings, each rarely.
fn any_message() -> impl Strategy<Value = (Facts, Circumstances, Standing)> {
    let rarely = || prop::bool::weighted(0.1);
    let flags = prop::collection::vec(rarely(), 8);
    let account = prop::option::weighted(
        0.3,
        (
            prop::sample::select(vec![
                AccountStatus::Pending,
                AccountStatus::Active,
                AccountStatus::Blocked,
            ]),
            any::<[bool; 3]>(),
        ),
    );
    let places = (
        prop::sample::select(DOMAINS),
        prop::sample::select(vec!["it", "hr"]),
    );
    (places, flags, account).prop_map(|((domain, portal), flags, account)| {
        let address = EmailAddress::parse(&format!("Ann+1@{domain}")).expect("an address");
        let facts = Facts {
            sender: if flags[0] {
                Sender::Unusable {
                    fault: SenderFault::Missing,
                    written: None,
                }
            } else {
                Sender::Usable {
                    written: address.to_string(),
                    address,
                    lookalike: None,
                    lenient: false,
                }
            },
            author_behind_list: None,
            from_is_list: false,
            presumed_automatic: None,
            subject: None,
            message_id: None,
            date: None,
            automatic: flags[1].then(evidence),
            bulk: flags[2].then(evidence),
            list_ids: Vec::new(),
            languages: crate::domain::LanguagePriority::default(),
            report: flags[3].then(|| Report {
                kind: ReportKind::Dsn,
                evidence: evidence(),
                recipients: Vec::new(),
                original_message_id: None,
            }),
            own_mark: flags[4].then(evidence),
            spam: None,
            received_fields: if flags[5] { 51 } else { 1 },
            masked_links: 0,
            mbox_line: None,
            authentication: Authentication {
                dmarc: flags[6].then_some(AuthenticationResult::Fail),
                ..Authentication::default()
            },
            fingerprint: Fingerprint([0; 32]),
            size: 1,
        };
        let circumstances = Circumstances {
            portal: PortalName::parse(portal).expect("a name"),
            takes_automatic: false,
            own_list: None,
            sender_is_ours: false,
            enforcement: Enforcement::Enforce,
        };
        let standing = Standing {
            account: account.map(|(status, [takes_automatic, quota_reached, unverified])| {
                AccountStanding {
                    kind: AccountKind::External,
                    status,
                    takes_automatic,
                    quota_reached,
                    can_replace: false,
                    unverified: unverified && status == AccountStatus::Active,
                }
            }),
            original: flags[7].then(|| Original {
                ledger: LedgerId::new(),
                verdict: Verdict::Held,
                request: None,
            }),
        };
        (facts, circumstances, standing)
    })
}

proptest! {
    /// The fast comparison gives the same result as deciding every message under both settings.
    #[test]
    fn a_comparison_agrees_with_two_decisions(
        (facts, circumstances, standing) in any_message(),
        recorded in any_settings(),
        before in any_settings(),
        after in any_settings(),
    ) {
        let decided = |settings: &AccessSettings| {
            decide(&DecisionInput {
                facts: &facts,
                circumstances: &circumstances,
                standing: &standing,
                settings: &settings.effective(Some(&circumstances.portal)),
            })
        };
        let shift = Shift {
            before: Outcome::from(&decided(&before)),
            after: Outcome::from(&decided(&after)),
        };
        let expected = (shift.before.verdict != shift.after.verdict
            || shift.before.account != shift.after.account)
            .then_some(shift);
        let domain = facts.sender.address().map_or("", |address| address.domain().as_str());
        let sender = facts.sender.address().map_or_else(String::new, EmailAddress::key);
        let mut comparison = Comparison::new(&before, &after);
        let compared = comparison.compare(&Recorded {
            reason: decided(&recorded).reason,
            portal: circumstances.portal.as_str(),
            domain,
            sender: &sender,
            unverified: standing.account.is_some_and(|account| account.unverified),
        });
        let found = match compared {
            Compared::Same => None,
            Compared::Differs(shift) => Some(shift),
            Compared::Open => comparison.decide_again(&facts, &circumstances, &standing),
        };
        prop_assert_eq!(found, expected);
    }
}
