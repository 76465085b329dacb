//! Warnings about settings that are valid but probably unintended.

use std::collections::HashSet;

use super::mailbox_provider::is_mailbox_provider;
use super::settings::{AccessSettings, Settings, Source};
use super::settings_key::Key;
use crate::domain::{DomainPattern, PortalName, public_suffix};

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

impl Settings {
    /// Warnings about these settings.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let approved = &self.internal.approved_domains;
        let allowed = &self.external.allowed_domains;
        let denied = &self.denied;
        let mut warnings = Vec::new();
        let is_provider = |pattern: &&DomainPattern| {
            !matches!(pattern, DomainPattern::Address(_)) && is_mailbox_provider(pattern.domain())
        };
        let providers = approved.iter().filter(is_provider).cloned();
        warnings.extend(providers.map(Warning::MailboxProvider));
        let providers = allowed.iter().filter(is_provider).cloned();
        warnings.extend(providers.map(Warning::AllowedMailboxProvider));
        for list in [approved, allowed, denied] {
            for (place, narrow) in list.iter().enumerate() {
                if let Some(wide) = list.find_covering_other(place) {
                    warnings.push(Warning::Covered {
                        narrow: narrow.clone(),
                        wide: wide.clone(),
                    });
                }
            }
        }
        for pattern in allowed {
            if approved.find_covering(pattern).is_some() {
                warnings.push(Warning::InBothLists(pattern.clone()));
            }
        }
        for pattern in approved.iter().chain(allowed) {
            if let Some(denied) = denied.find_covering(pattern) {
                warnings.push(Warning::Denied {
                    pattern: pattern.clone(),
                    denied: denied.clone(),
                });
            }
        }
        for pattern in approved.iter().chain(allowed).chain(denied) {
            if !public_suffix::is_known_top_level(pattern.domain().as_str()) {
                warnings.push(Warning::UnknownTopLevel(pattern.clone()));
            }
        }
        warnings
    }
}

impl AccessSettings {
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
}
