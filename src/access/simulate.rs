//! What-if: what would have become of messages that came before, under other settings.
//!
//! In: two states of the settings and, of an entry of the ledger, the rule that decided it, its portal
//! and its sender's domain. Out: what differs. Pure, as deciding is.
//!
//! Each entry is decided by itself, with the account that its sender had when it came. Who was new
//! then counts as new; who had an account then counts as having it, even if the draft would never
//! have given it one: the settings decide about new customers only. Two things follow, and a property
//! test holds `decide` to them. An entry can differ only if one of the rules that read the settings
//! ([`reads_settings`]) decided it, since those before them come first under any settings. And of
//! such an entry these rules read the portal and the domain alone, so that one decision serves all
//! that share both; a hundred thousand messages are compared without reading one again.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::newcomer::decide_newcomer;
use super::question::{Consequence, Decision};
use super::rules::SETTINGS_REASONS;
use super::settings::{AccessSettings, Effective};
use crate::domain::{EmailAddress, Kind, PortalName, Reason, Verdict};

/// The most answers that are kept; strangers choose how many domains there are.
const MOST_KNOWN: usize = 100_000;

/// True for a decision that can be different under other settings.
#[must_use]
pub fn reads_settings(reason: Reason) -> bool {
    SETTINGS_REASONS.contains(&reason)
}

/// What becomes of a message of somebody new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Outcome {
    pub verdict: Verdict,
    pub reason: Reason,
    /// The kind of account that is made.
    pub account: Option<Kind>,
}

impl From<&Decision> for Outcome {
    fn from(decision: &Decision) -> Self {
        Self {
            verdict: decision.verdict,
            reason: decision.reason,
            account: match decision.consequence {
                Consequence::Hold(new) | Consequence::Accept(new) => new.map(|new| new.kind),
                Consequence::Nothing => None,
            },
        }
    }
}

/// Two outcomes of one message that differ in the verdict or in the kind of account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shift {
    pub before: Outcome,
    pub after: Outcome,
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

/// The settings in force beside a draft.
#[derive(Debug)]
pub struct Comparison<'a> {
    before: &'a AccessSettings,
    after: &'a AccessSettings,
    portals: HashMap<String, OfPortal>,
    known: usize,
}

/// What is in force for one portal, and what was found out about domains.
#[derive(Debug)]
struct OfPortal {
    name: PortalName,
    before: Effective,
    after: Effective,
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

    /// What differs for an entry that [`reads_settings`] decided. None: nothing does, or these are
    /// no names of a portal and a domain.
    pub fn shift(&mut self, portal: &str, domain: &str) -> Option<Shift> {
        if self.known >= MOST_KNOWN {
            self.portals.clear();
            self.known = 0;
        }
        if !self.portals.contains_key(portal) {
            let name = PortalName::parse(portal).ok()?;
            let of_portal = OfPortal {
                before: self.before.effective(Some(&name)),
                after: self.after.effective(Some(&name)),
                domains: HashMap::new(),
                name,
            };
            self.portals.insert(portal.to_owned(), of_portal);
        }
        let of_portal = self.portals.get_mut(portal)?;
        if let Some(known) = of_portal.domains.get(domain) {
            return *known;
        }
        let shift = of_portal.shift(domain);
        of_portal.domains.insert(domain.to_owned(), shift);
        self.known += 1;
        shift
    }
}

impl OfPortal {
    fn shift(&self, domain: &str) -> Option<Shift> {
        if self.before == self.after {
            return None;
        }
        let anyone = EmailAddress::parse(&format!("anyone@{domain}")).ok()?;
        let outcome = |settings| Outcome::from(&decide_newcomer(&anyone, &self.name, settings));
        let shift = Shift {
            before: outcome(&self.before),
            after: outcome(&self.after),
        };
        let Shift { before, after } = shift;
        (before.verdict != after.verdict || before.account != after.account).then_some(shift)
    }
}

#[cfg(test)]
mod tests;
