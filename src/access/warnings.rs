//! Warnings about settings that are valid but probably unintended.

use std::collections::HashSet;
use std::iter::once;

use super::mailbox_provider::is_mailbox_provider;
use super::settings::{AccessSettings, Settings, Source};
use super::settings_key::Key;
use crate::domain::{DomainPattern, PatternList, PortalName, public_suffix};

/// A valid but probably unintended setting.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Warning {
    #[error("{0} is a mailbox provider: anyone with a mailbox there would become internal")]
    MailboxProvider(DomainPattern),
    #[error("{0} is a mailbox provider: anyone with a mailbox there can become a customer")]
    AllowedMailboxProvider(DomainPattern),
    #[error("{narrow} is already covered by {wide}")]
    Covered {
        narrow: DomainPattern,
        wide: DomainPattern,
    },
    #[error("{0} is approved and on the allow list; approved domains take precedence")]
    InBothLists(DomainPattern),
    #[error(
        "{pattern} is approved or allowed, but denied by {denied}; the deny list takes precedence"
    )]
    Denied {
        pattern: DomainPattern,
        denied: DomainPattern,
    },
    #[error("{0}: unknown top-level domain")]
    UnknownTopLevel(DomainPattern),
    /// The site's value was changed, and a portal overrides it.
    #[error("portal {portal} has its own {}, and the change does not apply to it", .key.as_str())]
    Overridden { key: Key, portal: PortalName },
}

/// A check of one list or of two. Portals that inherit the lists share it, so it is made once for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ListCheck {
    ApprovedProviders(PatternList),
    AllowedProviders(PatternList),
    Covered(PatternList),
    InBothLists {
        allowed: PatternList,
        approved: PatternList,
    },
    /// Approved or allowed patterns that are denied.
    Denied {
        list: PatternList,
        denied: PatternList,
    },
    UnknownTopLevels(PatternList),
}

impl ListCheck {
    fn warnings(&self) -> Vec<Warning> {
        match self {
            Self::ApprovedProviders(list) => {
                warn_each(list, admits_provider, Warning::MailboxProvider)
            }
            Self::AllowedProviders(list) => {
                warn_each(list, admits_provider, Warning::AllowedMailboxProvider)
            }
            Self::Covered(list) => {
                let places = list.iter().enumerate();
                let covered = places.filter_map(|(place, narrow)| {
                    let wide = list.find_covering_other(place)?.clone();
                    let narrow = narrow.clone();
                    Some(Warning::Covered { narrow, wide })
                });
                covered.collect()
            }
            Self::InBothLists { allowed, approved } => {
                let is_approved =
                    |pattern: &DomainPattern| approved.find_covering(pattern).is_some();
                warn_each(allowed, is_approved, Warning::InBothLists)
            }
            Self::Denied { list, denied } => {
                let stopped = list.iter().filter_map(|pattern| {
                    let denied = denied.find_covering(pattern)?.clone();
                    let pattern = pattern.clone();
                    Some(Warning::Denied { pattern, denied })
                });
                stopped.collect()
            }
            Self::UnknownTopLevels(list) => {
                warn_each(list, has_unknown_top_level, Warning::UnknownTopLevel)
            }
        }
    }
}

fn warn_each(
    list: &PatternList,
    is_bad: impl Fn(&DomainPattern) -> bool,
    warning: fn(DomainPattern) -> Warning,
) -> Vec<Warning> {
    let bad = list.iter().filter(|pattern| is_bad(pattern)).cloned();
    bad.map(warning).collect()
}

fn admits_provider(pattern: &DomainPattern) -> bool {
    !matches!(pattern, DomainPattern::Address(_)) && is_mailbox_provider(pattern.domain())
}

fn has_unknown_top_level(pattern: &DomainPattern) -> bool {
    !public_suffix::is_known_top_level(pattern.domain().as_str())
}

impl Settings {
    /// Warnings about these settings.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let checks = self.list_checks();
        checks.iter().flat_map(ListCheck::warnings).collect()
    }

    /// All checks, in the order in which their warnings are shown.
    fn list_checks(&self) -> [ListCheck; 11] {
        let approved = || self.internal.approved_domains.clone();
        let allowed = || self.external.allowed_domains.clone();
        let denied = || self.denied.clone();
        let is_denied = |list| ListCheck::Denied {
            list,
            denied: denied(),
        };
        [
            ListCheck::ApprovedProviders(approved()),
            ListCheck::AllowedProviders(allowed()),
            ListCheck::Covered(approved()),
            ListCheck::Covered(allowed()),
            ListCheck::Covered(denied()),
            ListCheck::InBothLists {
                allowed: allowed(),
                approved: approved(),
            },
            is_denied(approved()),
            is_denied(allowed()),
            ListCheck::UnknownTopLevels(approved()),
            ListCheck::UnknownTopLevels(allowed()),
            ListCheck::UnknownTopLevels(denied()),
        ]
    }
}

impl AccessSettings {
    /// Warnings about the site's settings and about each portal's, each once.
    fn warnings(&self) -> Vec<Warning> {
        let portals = self.portals.keys();
        let scopes = once(None).chain(portals.map(Some));
        let mut made: Vec<ListCheck> = Vec::new();
        let mut known = HashSet::new();
        let mut warnings = Vec::new();
        for check in scopes.flat_map(|portal| self.effective(portal).list_checks()) {
            if made.contains(&check) {
                continue;
            }
            let new = check.warnings().into_iter();
            warnings.extend(new.filter(|warning| known.insert(warning.clone())));
            made.push(check);
        }
        warnings
    }

    /// Warnings about the settings of one portal; without a portal, about those of the site and of all portals.
    #[must_use]
    pub fn warnings_for(&self, portal: Option<&PortalName>) -> Vec<Warning> {
        match portal {
            Some(_) => self.effective(portal).warnings(),
            None => self.warnings(),
        }
    }

    /// Warnings that did not apply to `before` already, and those about the change itself.
    #[must_use]
    pub fn warnings_beside(&self, before: &Self) -> Vec<Warning> {
        let known: HashSet<_> = before.warnings().into_iter().collect();
        let mut warnings = self.warnings();
        warnings.retain(|warning| !known.contains(warning));
        warnings.extend(self.overridden_changes(before));
        warnings
    }

    /// Changes of the site's settings that do not apply to a portal, because it overrode them before and still does.
    fn overridden_changes(&self, before: &Self) -> Vec<Warning> {
        let mut overridden = Vec::new();
        for change in before.changes_to(self) {
            if change.portal.is_some() {
                continue;
            }
            for portal in self.portals.keys() {
                let is_own =
                    |settings: &Self| settings.source(change.key, Some(portal)) == Source::Portal;
                if is_own(before) && is_own(self) {
                    overridden.push(Warning::Overridden {
                        key: change.key,
                        portal: portal.clone(),
                    });
                }
            }
        }
        overridden
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Assignment;

    fn pattern(text: &str) -> DomainPattern {
        DomainPattern::parse(text).expect(text)
    }

    #[test]
    fn a_change_that_a_portal_overrides_causes_a_warning() {
        let portal = PortalName::parse("hr").expect("a name");
        let (approved, allowed) = (Key::InternalApprovedDomains, Key::ExternalAllowedDomains);
        let inherited = AccessSettings::default();
        let overridden = inherited.with_domains(Some(&portal), approved, &[pattern("corp.com")]);
        assert!(overridden.warnings_beside(&inherited).is_empty());

        let changed = overridden.with_domains(None, approved, &[pattern("people.com")]);
        let warning = Warning::Overridden {
            key: approved,
            portal: portal.clone(),
        };
        assert_eq!(
            changed.warnings_beside(&overridden),
            std::slice::from_ref(&warning)
        );
        assert_eq!(
            warning.to_string(),
            "portal hr has its own internal.approved_domains, and the change does not apply to it"
        );
        // Another setting of the site, and a change of the portal's own list.
        let other = overridden.with_domains(None, allowed, &[pattern("people.com")]);
        assert!(other.warnings_beside(&overridden).is_empty());
        let own = overridden.with_domains(Some(&portal), approved, &[pattern("people.com")]);
        assert!(own.warnings_beside(&overridden).is_empty());
    }

    #[test]
    fn probably_unintended_settings_cause_warnings() {
        let mut settings = Settings::default();
        settings.internal.approved_domains = vec![
            pattern("gmail.com"),
            pattern("*.corp.com"),
            pattern("a.corp.com"),
            pattern("intern.corp"),
            pattern("ann@gmail.com"),
            pattern("bob@outlook.com"),
        ]
        .into();
        settings.external.allowed_domains =
            vec![pattern("gmail.com"), pattern("partner.com")].into();
        settings.denied = vec![pattern("eve@partner.com"), pattern("outlook.com")].into();
        assert_eq!(
            settings.warnings(),
            [
                Warning::MailboxProvider(pattern("gmail.com")),
                Warning::AllowedMailboxProvider(pattern("gmail.com")),
                Warning::Covered {
                    narrow: pattern("a.corp.com"),
                    wide: pattern("*.corp.com"),
                },
                Warning::Covered {
                    narrow: pattern("ann@gmail.com"),
                    wide: pattern("gmail.com"),
                },
                Warning::InBothLists(pattern("gmail.com")),
                Warning::Denied {
                    pattern: pattern("bob@outlook.com"),
                    denied: pattern("outlook.com"),
                },
                Warning::UnknownTopLevel(pattern("intern.corp")),
            ]
        );
    }

    #[test]
    fn each_warning_about_the_site_and_its_portals_is_given_once() {
        let settings = |settings: &AccessSettings, portal: &str, text: &str| {
            let portal = PortalName::parse(portal).expect("a name");
            let assignment = Assignment::parse(text).expect("good");
            let settings = settings.with(Some(&portal), &[assignment]);
            settings.expect("a portal")
        };
        let site = AccessSettings::default().with_domains(
            None,
            Key::InternalApprovedDomains,
            &[pattern("gmail.com")],
        );
        let inherits = settings(&site, "hr", "external.verify=true");
        let both = settings(&inherits, "it", "internal.approved_domains=outlook.com");
        let warning = |name: &str| Warning::MailboxProvider(pattern(name));
        assert_eq!(
            both.warnings_for(None),
            [warning("gmail.com"), warning("outlook.com")]
        );
        let portal = PortalName::parse("it").expect("a name");
        assert_eq!(both.warnings_for(Some(&portal)), [warning("outlook.com")]);
    }

    #[test]
    fn long_lists_are_compared_in_time() {
        let begin = std::time::Instant::now();
        let (approved, denied) = (Key::InternalApprovedDomains, Key::Denied);
        let people: Vec<_> = (0..30_000)
            .map(|n| pattern(&format!("a{n}@corp.com")))
            .collect();
        let nothing = AccessSettings::default();
        let before = nothing.with_domains(None, denied, &people);
        let after = before.with_domains(None, approved, &people);
        assert_eq!(after.warnings_beside(&before).len(), people.len());
        assert!(after.warnings_beside(&after).is_empty());
        let changes = after.changes_to(&nothing);
        assert!(
            changes
                .iter()
                .all(|change| change.to_string().len() > people.len())
        );
        let (without, unknown) = after.without_domains(None, &people);
        assert_eq!((without, unknown), (nothing, Vec::new()));
        // If each pattern were compared with all others, this would take minutes.
        let limit = std::time::Duration::from_secs(30);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
    }

    #[test]
    fn lists_that_portals_inherit_are_checked_once() {
        let begin = std::time::Instant::now();
        let people = (0..10_000).map(|n| format!("a{n}@corp.com"));
        let people: Vec<_> = people.map(|text| pattern(&text)).collect();
        let (approved, denied) = (Key::InternalApprovedDomains, Key::Denied);
        let site = AccessSettings::default().with_domains(None, approved, &people);
        let mut settings = site.with_domains(None, approved, &[pattern("corp.com")]);
        for n in 0..1000 {
            let portal = PortalName::parse(&format!("p{n}")).expect("a name");
            let own = settings.portals.entry(portal).or_default();
            own.external.verify = Some(true);
        }
        assert_eq!(settings.warnings().len(), people.len());
        // The inherited list, and one of its own.
        let portal = PortalName::parse("p7").expect("a name");
        let stopped = settings.with_domains(Some(&portal), denied, &people[..5]);
        assert_eq!(stopped.warnings().len(), people.len() + 5);
        // If the lists were checked for each portal, this would take minutes.
        let limit = std::time::Duration::from_secs(30);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
    }
}
