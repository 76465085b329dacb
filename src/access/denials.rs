//! The deny lists that match an address, for operators and for pages that must not promise anything to its owner.

use super::settings::AccessSettings;
use crate::domain::{DomainPattern, EmailAddress, PortalName, canary};

/// A pattern of a deny list in force that matches an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub pattern: DomainPattern,
    /// The portal whose own list it is on; None for the site's list.
    pub portal: Option<PortalName>,
}

impl AccessSettings {
    /// Finds the deny lists in force at these portals that match an address: the site's, if one of the portals
    /// inherits it, and those of the portals themselves.
    pub fn denials<'a>(
        &self,
        address: &EmailAddress,
        portals: impl IntoIterator<Item = &'a PortalName>,
    ) -> Vec<Denial> {
        let mut of_portals = Vec::new();
        let mut is_inherited = false;
        for portal in portals {
            // A canary passes whatever operators set.
            if portal.as_str() == canary::NAME {
                continue;
            }
            let own = self.portals.get(portal);
            match own.and_then(|own| own.denied.as_ref()) {
                Some(list) => of_portals.extend(list.find_denial(address).map(|pattern| Denial {
                    pattern: pattern.clone(),
                    portal: Some(portal.clone()),
                })),
                None => is_inherited = true,
            }
        }
        let of_site = self.site.denies(address).filter(|_| is_inherited);
        let of_site = of_site.map(|pattern| Denial {
            pattern: pattern.clone(),
            portal: None,
        });
        of_site.into_iter().chain(of_portals).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Overrides;

    fn denial(pattern: &str, portal: Option<&PortalName>) -> Denial {
        Denial {
            pattern: DomainPattern::parse(pattern).expect(pattern),
            portal: portal.cloned(),
        }
    }

    #[test]
    fn denials_are_those_in_force_at_the_portals() {
        let [it, hr, open] =
            ["it", "hr", "open"].map(|name| PortalName::parse(name).expect("a name"));
        let [eve, ann] = ["eve+news@evil.example", "ann@evil.example"]
            .map(|text| EmailAddress::parse(text).expect("an address"));
        let of_site = denial("eve@evil.example", None);
        let of_hr = denial("evil.example", Some(&hr));
        let mut access = AccessSettings::default();
        access.site.denied = vec![of_site.pattern.clone()].into();
        assert_eq!(access.denials(&eve, [&it, &hr]), vec![of_site.clone()]);
        assert!(access.denials(&ann, [&it, &hr]).is_empty());
        assert!(access.denials(&eve, [&canary::portal()]).is_empty());

        for (portal, list) in [(&hr, vec![of_hr.pattern.clone()]), (&open, Vec::new())] {
            let own = Overrides {
                denied: Some(list.into()),
                ..Overrides::default()
            };
            access.portals.insert(portal.clone(), own);
        }
        let both = vec![of_site, of_hr.clone()];
        assert_eq!(access.denials(&eve, [&it, &hr]), both);
        assert_eq!(access.denials(&ann, [&it, &hr]), vec![of_hr.clone()]);
        // No portal inherits the site's list.
        assert_eq!(access.denials(&eve, [&hr, &open]), vec![of_hr]);
        assert!(access.denials(&eve, [&open]).is_empty());
    }
}
