//! The table of rules, in the order in which [`decide`] evaluates them. The first rule that matches decides.

use super::decision_input::{Consequence, Decision, DecisionInput, Enforcement};
use crate::domain::{AccountKind, AccountStatus, DomainPattern, PatternList, Reason, Verdict};
use crate::mail::{AuthenticationFailure, ReportKind, Sender};

/// Maximum number of Received fields. RFC 5321 6.3 asks for a limit of at least 100 hops for relays; a help
/// desk is the last hop, so more than half of that indicates a loop.
const MAX_RECEIVED_FIELDS: u32 = 50;

/// One row of the table.
pub struct Rule {
    /// Position in the table, from 1; shown as `rule` everywhere.
    pub number: u8,
    pub reason: Reason,
    /// Condition of the rule, as `explain` shows it.
    pub title: &'static str,
    pub groups: &'static [RuleGroup],
    pub(super) examine: for<'a> fn(&'a DecisionInput<'_>) -> RuleOutcome<'a>,
}

/// A property that several rules share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleGroup {
    /// Evaluated after the deny list, and independent of the settings for new senders.
    AfterDenial,
    /// Depends on the settings for new senders: under other settings, the decision may differ.
    ReadsSettings,
    /// The settings refuse an unknown sender.
    Refuses,
}

impl RuleGroup {
    /// Rules of this group, in their order.
    fn rules(self) -> impl Iterator<Item = &'static Rule> {
        RULES.iter().filter(move |rule| rule.groups.contains(&self))
    }

    /// Reasons of the rules of this group, in their order.
    pub fn reasons(self) -> impl Iterator<Item = Reason> {
        self.rules().map(|rule| rule.reason)
    }
}

/// Result of a rule.
pub(super) enum RuleOutcome<'a> {
    Matched {
        verdict: Verdict,
        consequence: Consequence,
        evidence: Option<String>,
    },
    /// The rule does not match; with its evidence, if any, which only an explanation formats.
    Passed(Box<dyn FnOnce() -> Option<String> + 'a>),
}

/// A table of rules. A row has the number, the reason, the groups, the function and the title.
macro_rules! rules {
    ($($number:literal $reason:ident [$($group:ident)*] $examine:ident $title:literal;)+) => {
        [$(Rule {
            number: $number,
            reason: Reason::$reason,
            title: $title,
            groups: &[$(RuleGroup::$group),*],
            examine: $examine,
        }),+]
    };
}

/// The rules; each has its position as its number. The ledger stores a code of the reason, not this number.
pub static RULES: [Rule; 17] = rules! {
    1 Duplicate [] duplicate "the same message arrived within the last 7 days";
    2 Bounce [] bounce "it is a delivery report";
    3 Loop [] mail_loop "it is a mail loop";
    4 SenderUnusable [] sender_unusable "it has no usable sender";
    5 SenderDenied [] sender_denied "the sender is on the deny list";
    6 AccountBlocked [AfterDenial] account_blocked "the account is blocked";
    7 Spam [AfterDenial] spam "our own MTA marked it as spam";
    8 Automatic [AfterDenial] automatic "a program wrote it";
    9 Bulk [AfterDenial] bulk "it came through a mailing list or a mass mailing";
    10 AuthenticationFailed [AfterDenial] authentication_failed
        "sender authentication is enforced and fails";
    11 AccountActive [AfterDenial] account_active
        "the account is active, and verified or accepted by this portal";
    12 HoldQuota [AfterDenial] hold_quota "the account has reached its hold quota";
    13 AccountPending [AfterDenial] account_pending "the account is waiting for verification";
    14 InternalAccountCreated [ReadsSettings] domain_approved "the domain is approved";
    15 ExternalAccountsDisabled [ReadsSettings Refuses] external_accounts_disabled
        "portal-only accounts are not allowed";
    16 DomainNotAllowed [ReadsSettings Refuses] domain_not_allowed
        "external domains are restricted and this one is not on the list";
    17 ExternalAccountCreated [ReadsSettings] external_account
        "anyone else gets an external account";
};

/// Rule number of answers to a verification mail, which no rule of the table decides.
const CONFIRMATION: u8 = 18;

/// Number of the rule with this reason.
#[must_use]
pub fn number_of(reason: Reason) -> u8 {
    let rule = RULES.iter().find(|rule| rule.reason == reason);
    rule.map_or(CONFIRMATION, |rule| rule.number)
}

/// Returns the decision about one message for one portal: that of the first rule that matches. The last rule of the
/// table matches everything.
#[must_use]
pub fn decide(input: &DecisionInput) -> Decision {
    for rule in &RULES {
        if let RuleOutcome::Matched {
            verdict,
            consequence,
            evidence,
        } = (rule.examine)(input)
        {
            return Decision {
                verdict,
                reason: rule.reason,
                rule: rule.number,
                consequence,
                evidence,
            };
        }
    }
    unreachable!("the last rule matches everything")
}

fn drop_with(evidence: impl Into<Option<String>>) -> RuleOutcome<'static> {
    RuleOutcome::Matched {
        verdict: Verdict::Dropped,
        consequence: Consequence::Nothing,
        evidence: evidence.into(),
    }
}

fn pass_with<'a, E: Into<Option<String>>>(evidence: impl FnOnce() -> E + 'a) -> RuleOutcome<'a> {
    RuleOutcome::Passed(Box::new(|| evidence().into()))
}

fn pass() -> RuleOutcome<'static> {
    pass_with(|| None::<String>)
}

fn duplicate<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    match input.standing.original {
        Some(original) => RuleOutcome::Matched {
            verdict: original.verdict,
            consequence: Consequence::Nothing,
            evidence: Some(format!("first received as {}", original.ledger)),
        },
        None => pass(),
    }
}

fn bounce<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    let Some(report) = &input.facts.report else {
        return pass();
    };
    let evidence = &report.evidence;
    // A person or an approved program may write a text that looks like a bounce.
    match automatic_exemption(input) {
        Some(why) if report.kind == ReportKind::Text => {
            pass_with(move || format!("{evidence}; {why}"))
        }
        _ => drop_with(evidence.to_string()),
    }
}

fn mail_loop<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    let facts = input.facts;
    if let Some(mark) = &facts.own_mark {
        return drop_with(mark.to_string());
    }
    if input.circumstances.sender_is_ours {
        let written = input.sender().addr_spec().unwrap_or_default();
        return drop_with(format!("From: {written} is an address of ours"));
    }
    let hops = move || format!("{} Received fields", facts.received_fields);
    if facts.received_fields > MAX_RECEIVED_FIELDS {
        return drop_with(hops());
    }
    pass_with(hops)
}

fn sender_unusable<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    match input.sender() {
        Sender::Unusable { fault, .. } => drop_with(fault.to_string()),
        Sender::Usable {
            address, lookalike, ..
        } => pass_with(move || match lookalike {
            Some(warning) => format!("{address} ({warning})"),
            None => address.to_string(),
        }),
    }
}

fn sender_denied<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    let settings = input.settings;
    match input.sender().address() {
        Some(address) if !settings.denied.is_empty() => match settings.denies(address) {
            Some(pattern) => drop_with(format!("denied: {pattern}")),
            None => pass_with(move || format!("{address} is not in denied")),
        },
        _ => pass(),
    }
}

fn spam<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    match &input.facts.spam {
        Some(evidence) => drop_with(evidence.to_string()),
        None => pass(),
    }
}

fn account_blocked<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    match input.status() {
        Some(AccountStatus::Blocked) => drop_with(None),
        status => pass_with(move || standing(status)),
    }
}

fn automatic<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    let Some(evidence) = input.facts.automatic_evidence() else {
        return pass();
    };
    match automatic_exemption(input) {
        Some(why) => pass_with(move || format!("{evidence}; {why}")),
        None => drop_with(evidence.to_string()),
    }
}

/// Reason why apparently automatic mail of this sender is accepted; None if it is not.
fn automatic_exemption(input: &DecisionInput) -> Option<&'static str> {
    let account = input.standing.account?;
    if !is_active_here(input) {
        None
    } else if input.facts.automatic.is_none() {
        Some("people write such subjects too, and the account is active")
    } else if input.circumstances.takes_automatic {
        Some("the portal accepts it from active accounts")
    } else if account.takes_automatic {
        Some("automatic mail of this account is accepted")
    } else {
        None
    }
}

fn bulk<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    let Some(evidence) = &input.facts.bulk else {
        return pass();
    };
    if is_active_here(input) {
        return pass_with(move || format!("{evidence}; accepted from an active account"));
    }
    match &input.circumstances.own_list {
        Some(list) => {
            pass_with(move || format!("{evidence}; {list} is a list of the portal's own"))
        }
        None => drop_with(evidence.to_string()),
    }
}

fn authentication_failed<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    let enforcement = input.circumstances.enforcement;
    if enforcement == Enforcement::Off {
        return pass_with(|| "not checked: authentication.mode is off".to_owned());
    }
    let found = &input.facts.authentication;
    let Some(failure) = input.authentication_failure() else {
        return pass_with(move || found.summary());
    };
    let evidence = move || match (failure, found.summary()) {
        // The evidence contains the failure already.
        (AuthenticationFailure::Dmarc | AuthenticationFailure::Fault(_), Some(evidence)) => {
            evidence
        }
        (_, Some(evidence)) => format!("{failure}; {evidence}"),
        (_, None) => failure.to_string(),
    };
    if enforcement == Enforcement::Enforce {
        drop_with(evidence())
    } else {
        pass_with(move || format!("would fail, but is only reported: {}", evidence()))
    }
}

/// True for an account whose mail this portal accepts immediately. An account that was never verified is active
/// only for the portals that accepted it; for others the rules for new senders decide.
fn is_active_here(input: &DecisionInput) -> bool {
    input.is_known_customer() || (input.is_unverified_here() && lets_newcomer_in_unverified(input))
}

/// True if this portal would accept the mail of a new sender with this address immediately. False if it requires
/// verification first, or refuses such senders.
fn lets_newcomer_in_unverified(input: &DecisionInput) -> bool {
    let first = RuleGroup::ReadsSettings
        .rules()
        .find_map(|rule| match (rule.examine)(input) {
            RuleOutcome::Matched { consequence, .. } => Some(consequence),
            RuleOutcome::Passed(_) => None,
        });
    matches!(first, Some(Consequence::Accept(_)))
}

const NEVER_VERIFIED: &str = "the account is active elsewhere and was never verified";

fn account_active<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    if !is_active_here(input) {
        return pass_with(move || {
            if input.is_unverified_here() {
                format!("{NEVER_VERIFIED}; this portal does not accept such new senders unverified")
            } else {
                standing(input.status())
            }
        });
    }
    RuleOutcome::Matched {
        verdict: Verdict::Accepted,
        consequence: Consequence::Accept(None),
        evidence: Some(if input.is_known_customer() {
            standing(input.status())
        } else {
            format!("{NEVER_VERIFIED}; this portal accepts such new senders unverified")
        }),
    }
}

/// True if the message has to wait for verification. Evaluated after `account_active`: an active account that
/// gets here is unverified.
fn waits_for_verification(input: &DecisionInput) -> bool {
    input.status() == Some(AccountStatus::Pending) || input.is_unverified_here()
}

fn hold_quota<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    match input.standing.account {
        Some(account) if account.quota_reached && waits_for_verification(input) => {
            let quota = "quota.requests or quota.bytes";
            if input.facts.authentication.passes() && account.can_replace {
                pass_with(move || format!("{quota}; replaces the oldest unauthenticated request"))
            } else {
                drop_with(quota.to_owned())
            }
        }
        _ => pass(),
    }
}

fn account_pending<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    if !waits_for_verification(input) {
        return pass_with(move || standing(input.status()));
    }
    RuleOutcome::Matched {
        verdict: Verdict::Held,
        consequence: Consequence::Hold(None),
        evidence: Some(if input.is_unverified_here() {
            NEVER_VERIFIED.to_owned()
        } else {
            standing(input.status())
        }),
    }
}

fn domain_approved<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    let internal = &input.settings.internal;
    if !internal.enabled {
        return pass_with(|| "internal.enabled is false".to_owned());
    }
    match matching(input, &internal.approved_domains) {
        Ok(pattern) => RuleOutcome::Matched {
            verdict: Verdict::Held,
            consequence: Consequence::Hold(Some(AccountKind::Internal)),
            evidence: Some(format!("internal.approved_domains: {pattern}")),
        },
        Err(domain) => pass_with(move || format!("{domain} is not in internal.approved_domains")),
    }
}

fn external_accounts_disabled<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    if input.settings.external.allow_portal_only_accounts {
        pass()
    } else {
        drop_with("external.allow_portal_only_accounts is false".to_owned())
    }
}

fn domain_not_allowed<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    let external = &input.settings.external;
    if !external.restrict_domains {
        return pass_with(|| "external.restrict_domains is false".to_owned());
    }
    match matching(input, &external.allowed_domains) {
        Ok(pattern) => pass_with(move || format!("external.allowed_domains: {pattern}")),
        Err(domain) => drop_with(format!("{domain} is not in external.allowed_domains")),
    }
}

fn external_account<'a>(input: &'a DecisionInput<'_>) -> RuleOutcome<'a> {
    let verify = input.settings.external.verify;
    let new = Some(AccountKind::External);
    let (verdict, consequence) = if verify {
        (Verdict::Held, Consequence::Hold(new))
    } else {
        (Verdict::Accepted, Consequence::Accept(new))
    };
    RuleOutcome::Matched {
        verdict,
        consequence,
        evidence: Some(format!("external.verify is {verify}")),
    }
}

fn standing(status: Option<AccountStatus>) -> String {
    match status {
        Some(status) => format!("the account is {status}"),
        None => "there is no account".to_owned(),
    }
}

/// The pattern that matches the sender or the sender's domain; otherwise the domain.
fn matching<'a>(
    input: &'a DecisionInput<'_>,
    patterns: &'a PatternList,
) -> Result<&'a DomainPattern, &'a str> {
    let Some(address) = input.sender().address() else {
        return Err("the sender");
    };
    patterns
        .find_match(address)
        .ok_or_else(|| address.domain().as_str())
}
