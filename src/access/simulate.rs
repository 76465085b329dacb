//! Simulation: the outcome that earlier messages would have had under other settings.
//!
//! Takes two states of the settings, and the reason, portal, sender and sender's domain of each ledger entry.
//! Returns the differences. Pure, like decisions.
//!
//! Each entry is decided on its own, with the account that its sender had at the time. A sender without an
//! account then counts as new; one with an account counts as having it, even if the draft would never have
//! created it. This is correct because, apart from the deny list, the settings only decide about new senders.
//!
//! Few entries need a complete decision. One whose reason reads the settings ([`reads_settings`]) passed all
//! earlier rules, and would pass them under any settings, the deny list aside. The remaining rules depend only
//! on the portal and the domain, unless a list names an address of that domain. So one decision serves all
//! entries that share both, and a hundred thousand messages are compared without reading one. Any other entry
//! can differ only if the two deny lists disagree about its sender, or if it was denied, or if its account was
//! unverified ([`Comparison::decide_again`]). A property test compares this with `decide`.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::decision_input::{Circumstances, Decision, DecisionInput, Standing};
use super::newcomer::decide_newcomer;
use super::rules::{RuleGroup, decide, number_of};
use super::settings::{AccessSettings, Effective};
use crate::domain::{AccountKind, DomainPattern, EmailAddress, PortalName, Reason, Verdict};
use crate::mail::Facts;

/// Maximum number of cached decisions, because senders control the number of domains.
const MAX_KNOWN: usize = 100_000;

/// True for a decision that may differ under other settings.
#[must_use]
pub fn reads_settings(reason: Reason) -> bool {
    RuleGroup::ReadsSettings.reasons().any(|one| one == reason)
}

/// Verdict and reason of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
pub struct Outcome {
    pub verdict: Verdict,
    pub reason: Reason,
    /// Kind of the account that would be created.
    pub account: Option<AccountKind>,
}

impl From<&Decision> for Outcome {
    fn from(decision: &Decision) -> Self {
        Self {
            verdict: decision.verdict,
            reason: decision.reason,
            account: decision.consequence.new_account().map(|new| new.kind),
        }
    }
}

/// Two outcomes of one message that differ in the verdict or in the kind of account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Shift {
    pub before: Outcome,
    pub after: Outcome,
}

impl Shift {
    fn between(before: Outcome, after: Outcome) -> Option<Self> {
        (before.verdict != after.verdict || before.account != after.account)
            .then_some(Self { before, after })
    }
}

/// The part of a ledger entry that a comparison reads first.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    pub reason: Reason,
    pub portal: &'a str,
    pub domain: &'a str,
    /// Account key of the sender's address; empty if there is none.
    pub sender: &'a str,
    /// [`AccountStanding::unverified`](super::AccountStanding::unverified) of its standing.
    pub unverified: bool,
}

/// Result of comparing an entry by [`Recorded`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    Same,
    Differs(Shift),
    /// Only [`Comparison::decide_again`] can tell.
    Open,
}

/// `dropped → accepted`; with an equal verdict, `held as internal instead of external`.
impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after } = self;
        match (before.account, after.account) {
            (Some(old), Some(new)) if before.verdict == after.verdict => {
                write!(f, "{} as {new} instead of {old}", after.verdict)
            }
            _ => write!(f, "{} → {}", before.verdict, after.verdict),
        }
    }
}

/// Comparison of the current settings with a draft.
#[derive(Debug)]
pub struct Comparison<'a> {
    before: &'a AccessSettings,
    after: &'a AccessSettings,
    portals: HashMap<String, OfPortal>,
    known: usize,
}

/// Effective settings of one portal, and cached decisions about domains.
#[derive(Debug)]
struct OfPortal {
    name: PortalName,
    before: Effective,
    after: Effective,
    /// Domains of which a list names an address: senders there need separate decisions.
    by_address: HashSet<String>,
    domains: HashMap<String, Option<Shift>>,
}

impl<'a> Comparison<'a> {
    #[must_use]
    pub fn new(before: &'a AccessSettings, after: &'a AccessSettings) -> Self {
        Self {
            before,
            after,
            portals: HashMap::new(),
            known: 0,
        }
    }

    /// Compares without reading the complete entry.
    pub fn compare(&mut self, entry: &Recorded) -> Compared {
        if self.known >= MAX_KNOWN {
            self.portals.clear();
            self.known = 0;
        }
        if !self.portals.contains_key(entry.portal) {
            let Ok(name) = PortalName::parse(entry.portal) else {
                return Compared::Same;
            };
            let of_portal = OfPortal::new(name, self.before, self.after);
            self.portals.insert(entry.portal.to_owned(), of_portal);
        }
        let Some(of_portal) = self.portals.get_mut(entry.portal) else {
            return Compared::Same;
        };
        if of_portal.before == of_portal.after
            || number_of(entry.reason) < number_of(Reason::SenderDenied)
        {
            return Compared::Same;
        }
        if !reads_settings(entry.reason) {
            let is_open = entry.reason == Reason::SenderDenied
                || entry.unverified
                || of_portal.denies_differently(entry.sender);
            return if is_open {
                Compared::Open
            } else {
                Compared::Same
            };
        }
        let shift = if of_portal.by_address.contains(entry.domain) {
            of_portal.shift(entry.sender)
        } else if let Some(known) = of_portal.domains.get(entry.domain) {
            *known
        } else {
            let shift = of_portal.shift(&format!("anyone@{}", entry.domain));
            of_portal.domains.insert(entry.domain.to_owned(), shift);
            self.known += 1;
            shift
        };
        shift.map_or(Compared::Same, Compared::Differs)
    }

    /// Decides an entry again under both settings, from everything recorded about it.
    #[must_use]
    pub fn decide_again(
        &self,
        facts: &Facts,
        circumstances: &Circumstances,
        standing: &Standing,
    ) -> Option<Shift> {
        let outcome = |settings: &AccessSettings| {
            Outcome::from(&decide(&DecisionInput {
                facts,
                circumstances,
                standing,
                settings: &settings.effective(Some(&circumstances.portal)),
            }))
        };
        Shift::between(outcome(self.before), outcome(self.after))
    }
}

impl OfPortal {
    fn new(name: PortalName, before: &AccessSettings, after: &AccessSettings) -> Self {
        let (before, after) = (before.effective(Some(&name)), after.effective(Some(&name)));
        let by_address = [&before, &after]
            .into_iter()
            .flat_map(|settings| {
                let lists = [
                    &settings.denied,
                    &settings.internal.approved_domains,
                    &settings.external.allowed_domains,
                ];
                lists.into_iter().flatten()
            })
            .filter(|pattern| matches!(pattern, DomainPattern::Address(_)))
            .map(|pattern| pattern.domain().to_string())
            .collect();
        Self {
            name,
            before,
            after,
            by_address,
            domains: HashMap::new(),
        }
    }

    fn denies_differently(&self, sender: &str) -> bool {
        self.before.denied != self.after.denied
            && EmailAddress::parse(sender).is_ok_and(|sender| {
                self.before.denies(&sender).is_some() != self.after.denies(&sender).is_some()
            })
    }

    fn shift(&self, sender: &str) -> Option<Shift> {
        let sender = EmailAddress::parse(sender).ok()?;
        let outcome = |settings| Outcome::from(&decide_newcomer(&sender, &self.name, settings));
        Shift::between(outcome(&self.before), outcome(&self.after))
    }
}

#[cfg(test)]
mod tests;
