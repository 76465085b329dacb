//! Similar domains: finds the pattern of the settings that a domain resembles most. `acme.co` is near
//! `acme.com`, and `mail.acme.com` is below it: the difference may be a mistake.
//!
//! A page of domains is compared with all patterns, of which there may be tens of thousands. So each domain of the
//! patterns is prepared once, and most pairs differ in too many characters to be compared further.

use std::collections::HashSet;

use super::settings::AccessSettings;
use crate::domain::{Domain, DomainPattern, public_suffix};

/// Maximum number of changes between two similar names.
const FAR: usize = 2;

/// The approved and allowed patterns of the site and of all portals: the first of each domain.
pub struct SimilarDomains<'a>(Vec<(ComparedDomain<'a>, &'a DomainPattern)>);

impl<'a> SimilarDomains<'a> {
    /// Prepares the patterns of these settings for many comparisons.
    #[must_use]
    pub fn of(settings: &'a AccessSettings) -> Self {
        let site = &settings.site;
        let overrides = settings.portals.values();
        let patterns = site
            .internal
            .approved_domains
            .iter()
            .chain(&site.external.allowed_domains)
            .chain(overrides.flat_map(|own| {
                let approved = own.internal.approved_domains.iter().flatten();
                approved.chain(own.external.allowed_domains.iter().flatten())
            }));
        let mut known = HashSet::new();
        let first = patterns.filter(|pattern| known.insert(pattern.domain()));
        Self(
            first
                .map(|pattern| (ComparedDomain::of(pattern.domain()), pattern))
                .collect(),
        )
    }

    /// The pattern nearest to `domain`; of several, the first. None if none is near.
    #[must_use]
    pub fn nearest(&self, domain: &str) -> Option<&'a DomainPattern> {
        let domain = Domain::parse(domain).ok()?;
        let own = ComparedDomain::of(&domain);
        self.0
            .iter()
            .filter_map(|(theirs, pattern)| own.distance(theirs).map(|far| (far, *pattern)))
            .min_by_key(|(far, _)| *far)
            .map(|(_, pattern)| pattern)
    }
}

/// A domain, and what is compared with each of many others.
struct ComparedDomain<'a> {
    domain: &'a Domain,
    /// The registered label: `acme` of `mail.acme.co.uk`.
    name: Option<&'a str>,
    /// A bit for each ASCII character that occurs in it.
    characters: u128,
}

impl<'a> ComparedDomain<'a> {
    fn of(domain: &'a Domain) -> Self {
        let registered = public_suffix::registered_name(domain.as_str());
        let octets = domain.as_str().bytes();
        Self {
            domain,
            name: registered.and_then(|name| name.split('.').next()),
            characters: octets.fold(0_u128, |all, octet| all | (1_u128 << (octet & 127))),
        }
    }

    /// Distance between domains that belong to one organisation or differ by a typing error; None for unrelated
    /// domains.
    fn distance(&self, other: &ComparedDomain<'_>) -> Option<usize> {
        let (own, theirs) = (self.domain, other.domain);
        if own == theirs || own.is_below(theirs) || theirs.is_below(own) {
            return Some(0);
        }
        if self.name.is_some() && self.name == other.name {
            return Some(1);
        }
        // A short name is one letter away from too many others.
        let most = if theirs.as_str().len() < 8 { 1 } else { FAR };
        let changes = self.changes(other)?;
        (changes <= most).then_some(changes + 1)
    }

    /// Number of letters to insert, delete or replace (Levenshtein distance); None if it is certainly more than
    /// [`FAR`]. A replaced letter changes two bits at most.
    fn changes(&self, other: &ComparedDomain<'_>) -> Option<usize> {
        let (own, theirs) = (self.domain.as_str(), other.domain.as_str());
        let differing = (self.characters ^ other.characters).count_ones() as usize;
        let may_be_near = own.len().abs_diff(theirs.len()) <= FAR && differing <= 2 * FAR;
        may_be_near.then(|| strsim::levenshtein(own, theirs))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::access::Overrides;
    use crate::domain::{PatternList, PortalName};

    fn settings(allowed: impl IntoIterator<Item = String>) -> AccessSettings {
        let patterns = allowed.into_iter();
        let patterns = patterns.map(|text| DomainPattern::parse(&text).expect("a pattern"));
        let mut settings = AccessSettings::default();
        settings.site.external.allowed_domains = patterns.collect();
        settings
    }

    #[test]
    fn domains_of_one_organisation_or_with_a_typo_are_near() {
        let settings =
            settings(["acme.com", "*.partner.example", "example.org"].map(ToOwned::to_owned));
        let similar = SimilarDomains::of(&settings);
        for (domain, near) in [
            ("acme.co", Some("acme.com")),
            ("acme.co.uk", Some("acme.com")),
            ("mail.acme.com", Some("acme.com")),
            ("partner.example", Some("*.partner.example")),
            ("exmaple.org", Some("example.org")),
            ("shop.example", None),
            ("gmail.com", None),
        ] {
            let found = similar.nearest(domain).map(ToString::to_string);
            assert_eq!(found.as_deref(), near, "{domain}");
        }
    }

    #[test]
    fn the_nearest_pattern_of_the_site_and_its_portals_counts() {
        let patterns = |names: &[&str]| -> PatternList {
            let parse = |name: &&str| DomainPattern::parse(name).expect(name);
            names.iter().map(parse).collect()
        };
        let mut own = Overrides::default();
        own.internal.approved_domains = Some(patterns(&["example.net"]));
        own.external.allowed_domains = Some(patterns(&["mine.example"]));
        let portal = PortalName::parse("it").expect("a name");
        let mut settings = AccessSettings::default();
        settings.portals.insert(portal, own);
        settings.site.internal.approved_domains = patterns(&["abc.org"]);
        settings.site.external.allowed_domains = patterns(&["acme.com", "example.org"]);
        let similar = SimilarDomains::of(&settings);
        for (domain, near) in [
            ("abd.org", Some("abc.org")),
            // Two changes, in a name of seven and of eight letters.
            ("ade.org", None),
            ("abne.com", Some("acme.com")),
            ("exbbble.org", None),
            // example.org has the same label.
            ("example.net", Some("example.net")),
            ("x.mine.example", Some("mine.example")),
        ] {
            let found = similar.nearest(domain).map(ToString::to_string);
            assert_eq!(found.as_deref(), near, "{domain}");
        }
    }

    #[test]
    fn many_addresses_of_one_domain_are_compared_once() {
        let begin = std::time::Instant::now();
        let settings = settings((0..30_000).map(|n| format!("a{n}@corp.com")));
        let similar = SimilarDomains::of(&settings);
        for n in 0..1000 {
            let found = similar.nearest(&format!("other{n}.example"));
            assert_eq!(found, None);
        }
        let found = similar.nearest("corp.con").map(ToString::to_string);
        assert_eq!(found.as_deref(), Some("a0@corp.com"), "the first");
        // If each address were compared with each domain, this would take minutes.
        let limit = std::time::Duration::from_secs(30);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
    }

    proptest! {
        /// No pair that is near is left out because of its length or its characters.
        #[test]
        fn only_pairs_that_are_far_are_not_compared(
            one in "[a-c0-1]{1,6}", other in "[a-c0-1]{1,6}",
        ) {
            let parse = |name: &str| Domain::parse(&format!("{name}.example")).expect("a domain");
            let (one, other) = (parse(&one), parse(&other));
            let changes = strsim::levenshtein(one.as_str(), other.as_str());
            let found = ComparedDomain::of(&one).changes(&ComparedDomain::of(&other));
            prop_assert!(found.is_none_or(|found| found == changes));
            prop_assert!(found.is_some() || changes > FAR);
        }
    }
}
