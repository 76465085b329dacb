//! Domains where anyone can open a mailbox. Incomplete, which is enough for a warning.

use crate::domain::{Domain, public_suffix};

/// One domain a line.
const DOMAINS: &str = include_str!("mailbox_providers.txt");

/// Names under which a provider has domains in many countries, such as `yahoo.co.uk`. Common words and short names
/// belong to others in some countries, so their domains are in the list.
const LABELS: [&str; 7] = [
    "fastmail", "hotmail", "outlook", "posteo", "yahoo", "yandex", "zohomail",
];

/// True for a domain of a mailbox provider; a name below it does not count.
pub(super) fn is_mailbox_provider(domain: &Domain) -> bool {
    let name = domain.as_str();
    DOMAINS.lines().any(|known| known == name)
        || public_suffix::registry_label(name).is_some_and(|label| LABELS.contains(&label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_provider(name: &str) -> bool {
        is_mailbox_provider(&Domain::parse(name).expect(name))
    }

    #[test]
    fn providers_are_known_in_every_country() {
        for name in [
            "gmail.com",
            "yahoo.it",
            "yahoo.co.uk",
            "yahoo.com.hk",
            "hotmail.es",
            "live.fr",
            "outlook.de",
            "outlook.com.br",
            "gmx.ch",
            "GMX.net.",
            "aol.co.uk",
            "ya.ru",
            "softbank.ne.jp",
            "web.de",
        ] {
            assert!(is_provider(name), "{name}");
        }
    }

    #[test]
    fn other_domains_are_not_taken_for_a_provider() {
        for name in [
            "live.corp.example",
            "live.example.com",
            "mail.yahoo-company.com",
            "mail.yahoo.com",
            "yahoo.corp.com",
            "gmxgroup.de",
            // Belong to others, among them an insurer.
            "gmx.com.mx",
            "gmx.io",
            "aol.io",
            "web.com",
            // Not a registry's suffix.
            "yahoo.github.io",
            // No known top-level domain.
            "outlook.internal",
        ] {
            assert!(!is_provider(name), "{name}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_has_only_what_the_labels_do_not_cover() {
        let names: Vec<&str> = DOMAINS.lines().collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        for name in names {
            assert_eq!(public_suffix::registered_name(name), Some(name));
            let label = public_suffix::registry_label(name).expect(name);
            assert!(!LABELS.contains(&label), "{name}");
        }
    }
}
