//! Lists of patterns of the access settings, in which the sender of every message is looked up, and the patterns that
//! cover others.
//!
//! The keys of the index are the patterns themselves, so lookups use the same equality as all other
//! comparisons. [`DomainPattern::matches`], [`DomainPattern::denies`] and [`DomainPattern::covers`] define the
//! result; property tests compare the index with them.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::address::EmailAddress;
use super::mailbox_key::MailboxKey;
use super::pattern::DomainPattern;

/// Patterns in the order of the settings. Copies share the patterns and the index, so the portals that inherit a
/// list cost nothing.
#[derive(Clone, Default)]
pub struct PatternList(Arc<Shared>);

#[derive(Default)]
struct Shared {
    patterns: Vec<DomainPattern>,
    /// Built by the first search.
    index: OnceLock<Index>,
}

/// Position of the first occurrence of each pattern.
#[derive(Default)]
struct Index {
    patterns: HashMap<DomainPattern, usize>,
    /// Patterns that deny a whole mailbox.
    mailboxes: HashMap<MailboxKey, usize>,
}

/// Maximum length of a list that is searched linearly, which takes less time than the index.
const FEW: usize = 16;

impl PatternList {
    /// The first pattern of an allow list that covers this address.
    #[must_use]
    pub fn find_match(&self, address: &EmailAddress) -> Option<&DomainPattern> {
        if self.len() <= FEW {
            return self.iter().find(|pattern| pattern.matches(address));
        }
        self.get(self.index().matches(address).min()?)
    }

    /// The first pattern of the deny list that covers this address.
    #[must_use]
    pub fn find_denial(&self, address: &EmailAddress) -> Option<&DomainPattern> {
        if self.len() <= FEW {
            return self.iter().find(|pattern| pattern.denies(address));
        }
        let index = self.index();
        let mailbox = index.mailboxes.get(&DomainPattern::mailbox(address));
        self.get(index.matches(address).chain(mailbox.copied()).min()?)
    }

    /// The first pattern that covers this one.
    #[must_use]
    pub fn find_covering(&self, pattern: &DomainPattern) -> Option<&DomainPattern> {
        self.get(self.index().covering(pattern).min()?)
    }

    /// The first other pattern that covers the one at this place. Of two equal ones, the first covers the second.
    #[must_use]
    pub fn find_covering_other(&self, place: usize) -> Option<&DomainPattern> {
        let covering = self.index().covering(self.get(place)?);
        self.get(covering.filter(|other| *other != place).min()?)
    }

    fn index(&self) -> &Index {
        self.0.index.get_or_init(|| Index::of(self))
    }
}

impl Index {
    fn of(patterns: &[DomainPattern]) -> Self {
        let mut index = Self::default();
        for (place, pattern) in patterns.iter().enumerate() {
            index.patterns.entry(pattern.clone()).or_insert(place);
            if let Some(mailbox) = pattern.denied_mailbox() {
                index.mailboxes.entry(mailbox).or_insert(place);
            }
        }
        index
    }

    fn matches(&self, address: &EmailAddress) -> impl Iterator<Item = usize> {
        DomainPattern::all_for(address)
            .filter_map(|pattern| self.patterns.get(&pattern))
            .copied()
    }

    fn covering(&self, pattern: &DomainPattern) -> impl Iterator<Item = usize> {
        pattern
            .all_covering()
            .filter_map(|wide| self.patterns.get(&wide))
            .copied()
    }
}

impl Deref for PatternList {
    type Target = [DomainPattern];
    fn deref(&self) -> &[DomainPattern] {
        &self.0.patterns
    }
}

impl<'a> IntoIterator for &'a PatternList {
    type Item = &'a DomainPattern;
    type IntoIter = std::slice::Iter<'a, DomainPattern>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Vec<DomainPattern>> for PatternList {
    fn from(patterns: Vec<DomainPattern>) -> Self {
        Self(Arc::new(Shared {
            patterns,
            index: OnceLock::new(),
        }))
    }
}

impl FromIterator<DomainPattern> for PatternList {
    fn from_iter<T: IntoIterator<Item = DomainPattern>>(patterns: T) -> Self {
        Vec::from_iter(patterns).into()
    }
}

impl PartialEq for PatternList {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || **self == **other
    }
}

impl Eq for PatternList {}

impl fmt::Debug for PatternList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.patterns.fmt(f)
    }
}

impl Serialize for PatternList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.patterns.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PatternList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const LABELS: [&str; 6] = ["a", "b", "Corp", "bücher", "xn--bcher-kva", "example"];
    const LOCALS: [&str; 8] = [
        "ann", "ANN", "a.n.n", "ann+x", "\"a..n\"", "dörte", "DÖRTE", "+x",
    ];

    /// Names that are often the same, above or below each other, in any case and form.
    fn any_domain() -> impl Strategy<Value = String> {
        let labels = prop::collection::vec(select(&LABELS[..]), 0..4).prop_map(|labels| {
            let below: String = labels.iter().flat_map(|label| [label, "."]).collect();
            format!("{below}example")
        });
        let providers = select(
            &[
                "gmail.com",
                "GoogleMail.com",
                "me.com",
                "icloud.com",
                "fastmail.com",
                "ann.fastmail.com",
                "ya.ru",
                "yandex.ru",
            ][..],
        );
        (labels, providers, 0..4_u8, any::<bool>()).prop_map(|(own, provider, kind, upper)| {
            let name = if kind == 0 { provider.to_owned() } else { own };
            if upper { name.to_uppercase() } else { name }
        })
    }

    fn any_address() -> impl Strategy<Value = EmailAddress> {
        (select(&LOCALS[..]), any_domain()).prop_map(|(local, domain)| {
            EmailAddress::from_parts(local, &domain).expect("an address")
        })
    }

    fn any_pattern() -> impl Strategy<Value = DomainPattern> {
        let parse = |text: &str| DomainPattern::parse_denied(text).expect("a pattern");
        prop_oneof![
            any_domain().prop_map(move |domain| parse(&domain)),
            any_domain().prop_map(move |domain| parse(&format!("*.{domain}"))),
            any_address().prop_map(move |address| parse(&address.to_string())),
        ]
    }

    proptest! {
        /// The index finds the pattern that comes first in the list, whatever the list and the address are.
        #[test]
        fn the_index_agrees_with_a_linear_search(
            patterns in prop::collection::vec(any_pattern(), 0..60),
            addresses in prop::collection::vec(any_address(), 1..20),
        ) {
            let list = PatternList::from(patterns);
            let first = |found: Option<&DomainPattern>| found.map(std::ptr::from_ref);
            for address in &addresses {
                let matching = list.iter().find(|pattern| pattern.matches(address));
                let denying = list.iter().find(|pattern| pattern.denies(address));
                prop_assert_eq!(first(list.find_match(address)), first(matching));
                prop_assert_eq!(first(list.find_denial(address)), first(denying));
            }
        }

        /// The index finds the first pattern that covers another, as a linear search does.
        #[test]
        fn the_index_finds_covering_patterns(
            patterns in prop::collection::vec(any_pattern(), 0..60),
            others in prop::collection::vec(any_pattern(), 1..20),
        ) {
            let list = PatternList::from(patterns);
            let first = |found: Option<&DomainPattern>| found.map(std::ptr::from_ref);
            for other in &others {
                let covering = list.iter().find(|wide| wide.covers(other));
                prop_assert_eq!(first(list.find_covering(other)), first(covering));
            }
            for (place, narrow) in list.iter().enumerate() {
                let covering = list.iter().enumerate().find(|(other, wide)| {
                    *other != place
                        && wide.covers(narrow)
                        && (*other < place || !narrow.covers(wide))
                });
                let covering = covering.map(|(_, wide)| wide);
                prop_assert_eq!(first(list.find_covering_other(place)), first(covering));
            }
        }

        #[test]
        fn a_pattern_matches_an_address_if_it_is_one_of_all_for_it(
            pattern in any_pattern(),
            address in any_address(),
        ) {
            let is_one = DomainPattern::all_for(&address).any(|one| one == pattern);
            prop_assert_eq!(is_one, pattern.matches(&address));
        }
    }

    #[test]
    fn copies_share_the_index() {
        let names = (0..=FEW).map(|n| format!("d{n}.example"));
        let list: PatternList = names
            .map(|name| DomainPattern::parse(&name).expect("a pattern"))
            .collect();
        let copy = list.clone();
        let address = EmailAddress::parse("ann@d3.example").expect("an address");
        assert_eq!(list.find_match(&address), list.get(3));
        assert!(copy.0.index.get().is_some());
    }
}
