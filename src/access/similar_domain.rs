//! Similar domains: finds the pattern of the settings that a domain resembles most. `acme.co` is near
//! `acme.com`, and `mail.acme.com` is below it: the difference may be a mistake.

use super::settings::AccessSettings;
use crate::domain::{Domain, DomainPattern, public_suffix};

/// Maximum number of changes between two similar names.
const FAR: usize = 2;

/// The pattern nearest to `domain` among the approved and allowed domains of the site and of all portals; None
/// if none is near.
#[must_use]
pub fn nearest_pattern<'a>(
    domain: &str,
    settings: &'a AccessSettings,
) -> Option<&'a DomainPattern> {
    let domain = Domain::parse(domain).ok()?;
    let site = &settings.site;
    let overrides = settings.portals.values();
    site.internal
        .approved_domains
        .iter()
        .chain(&site.external.allowed_domains)
        .chain(overrides.flat_map(|own| {
            let approved = own.internal.approved_domains.iter().flatten();
            approved.chain(own.external.allowed_domains.iter().flatten())
        }))
        .filter_map(|pattern| distance(&domain, pattern).map(|far| (far, pattern)))
        .min_by_key(|(far, _)| *far)
        .map(|(_, pattern)| pattern)
}

/// Distance between domains that belong to one organisation or differ by a typing error; None for unrelated
/// domains.
fn distance(domain: &Domain, pattern: &DomainPattern) -> Option<usize> {
    let named = pattern.domain();
    if domain == named || domain.is_below(named) || named.is_below(domain) {
        return Some(0);
    }
    if let (Some(own), Some(theirs)) = (name_of(domain), name_of(named))
        && own == theirs
    {
        return Some(1);
    }
    // A short name is one letter away from too many others.
    let changes = changes(domain.as_str(), named.as_str());
    let short = named.as_str().len() < 8;
    (changes <= if short { 1 } else { FAR }).then_some(changes + 1)
}

/// The registered label: `acme` of `mail.acme.co.uk`.
fn name_of(domain: &Domain) -> Option<&str> {
    let registered = public_suffix::registered_name(domain.as_str())?;
    registered.split('.').next()
}

/// Number of letters to insert, delete or replace (Levenshtein distance).
fn changes(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > FAR {
        return FAR + 1;
    }
    strsim::levenshtein(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Overrides;
    use crate::domain::{PatternList, PortalName};

    #[test]
    fn domains_of_one_organisation_or_with_a_typo_are_near() {
        let mut settings = AccessSettings::default();
        settings.site.external.allowed_domains = ["acme.com", "*.partner.example", "example.org"]
            .map(|text| DomainPattern::parse(text).expect(text))
            .to_vec()
            .into();
        for (domain, near) in [
            ("acme.co", Some("acme.com")),
            ("acme.co.uk", Some("acme.com")),
            ("mail.acme.com", Some("acme.com")),
            ("partner.example", Some("*.partner.example")),
            ("exmaple.org", Some("example.org")),
            ("shop.example", None),
            ("gmail.com", None),
        ] {
            let found = nearest_pattern(domain, &settings).map(ToString::to_string);
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
            let found = nearest_pattern(domain, &settings).map(ToString::to_string);
            assert_eq!(found.as_deref(), near, "{domain}");
        }
    }
}
