//! The published DMARC policy in a result of our MTA.
//!
//! Takes the DMARC result and the domain in From; returns the policy, or None if it is not known. Programs
//! write it as a property, or as words of a comment. `reject` and `quarantine` count wherever they are written, and
//! the strictest of several policies counts. `none` makes a failure harmless, so it counts only in a property or in
//! a comment of nothing but `name=value` words: other comments may contain text that a sender chose.
//!
//! The policy is not in `dis=`, `policy.applied-disposition` and `policy.override-reason`: they say what the MTA did
//! with the message.

use crate::domain::{Domain, public_suffix};
use crate::mail::DmarcPolicy;
use crate::mail::authentication_results::MethodResult;

/// Words of a comment that contain the policy of a domain: of `OpenDMARC`, Google and Microsoft, and of rspamd.
const DOMAIN_WORDS: &[&str] = &["p", "policy"];

/// Words of a comment that contain a policy for names below the domain (RFC 9989).
const SUBDOMAIN_WORDS: &[&str] = &["sp", "np"];

/// Properties of type `policy` with the policy of a domain: of the IANA registry, and of Fastmail's milter.
const DOMAIN_PROPERTIES: &[&str] = &["dmarc", "published-domain-policy"];

/// The same for names below the domain.
const SUBDOMAIN_PROPERTIES: &[&str] = &["published-subdomain-policy"];

/// Policies that a result names for one kind of domain.
#[derive(Debug, Default)]
struct Named {
    strictest: Option<DmarcPolicy>,
    /// A value is none of the three policies, so it may mean any of them.
    has_unknown: bool,
}

impl Named {
    fn add(&mut self, value: &str) {
        match policy_of(value) {
            Some(policy) => self.strictest = self.strictest.max(Some(policy)),
            None => self.has_unknown = true,
        }
    }

    fn is_empty(&self) -> bool {
        self.strictest.is_none() && !self.has_unknown
    }

    fn policy(&self) -> Option<DmarcPolicy> {
        self.strictest
            .filter(|policy| *policy != DmarcPolicy::None || !self.has_unknown)
    }
}

/// Finds the policy that applies to `domain`. If the result does not say whether that is the policy for subdomains,
/// the stricter one counts below a registered domain; an unknown one may be stricter than `none`.
pub(super) fn find(result: &MethodResult, domain: Option<&Domain>) -> Option<DmarcPolicy> {
    if result.may_lack_parts() {
        return None;
    }
    let own = collect(result, DOMAIN_PROPERTIES, DOMAIN_WORDS).policy();
    let below = collect(result, SUBDOMAIN_PROPERTIES, SUBDOMAIN_WORDS);
    match result.only("policy", "policy-from") {
        Some("p") => return own,
        Some("sp") if !below.is_empty() => return below.policy(),
        _ => {}
    }
    let is_below = domain.is_some_and(|domain| {
        public_suffix::registered_name(domain.as_str()).is_some_and(|name| name != domain.as_str())
    });
    match own {
        Some(own) if is_below => Named {
            strictest: below.strictest.max(Some(own)),
            ..below
        }
        .policy(),
        own => own,
    }
}

/// Collects the policies in these properties and words.
fn collect(result: &MethodResult, properties: &[&str], names: &[&str]) -> Named {
    let mut found = Named::default();
    for property in properties {
        for value in result.all("policy", property) {
            found.add(value);
        }
    }
    for comment in &result.comments {
        let is_list = words(comment).all(is_assignment);
        for (name, value) in words(comment).filter_map(|word| word.split_once('=')) {
            let is_named = names.iter().any(|known| name.eq_ignore_ascii_case(known));
            if is_named && (is_list || is_strict(value)) {
                found.add(value);
            }
        }
    }
    found
}

fn words(comment: &str) -> impl Iterator<Item = &str> {
    comment
        .split([' ', '\t', ',', ';'])
        .filter(|word| !word.is_empty())
}

/// True for `name=value` without characters of an address or a quoted string.
fn is_assignment(word: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    word.split_once('=')
        .is_some_and(|(name, value)| name.chars().all(is_plain) && value.chars().all(is_plain))
}

fn is_strict(value: &str) -> bool {
    policy_of(value).is_some_and(|policy| policy != DmarcPolicy::None)
}

fn policy_of(word: &str) -> Option<DmarcPolicy> {
    DmarcPolicy::from_name(&word.to_ascii_lowercase())
}
