//! The Public Suffix List: the names below which people register their own.
//!
//! Takes names in ASCII form and in lower case. Only this module uses the list: it is code, two thirds of a
//! megabyte of it, and the compiler makes one copy for each place of use.

/// The registered name: `acme.co.uk` of `mail.acme.co.uk`; None for a public suffix.
#[inline(never)]
pub fn registered_name(name: &str) -> Option<&str> {
    let suffix = suffix(name)?;
    let label_end = name.len().checked_sub(suffix.len() + 1)?;
    let label = name.get(..label_end)?.rsplit('.').next()?;
    let start = label_end - label.len();
    (!label.is_empty()).then(|| &name[start..])
}

/// The public suffix of a name: `co.uk` of `mail.acme.co.uk`. Without an entry in the list, the last label.
#[inline(never)]
pub fn suffix(name: &str) -> Option<&str> {
    let (length, _) = find_suffix(name)?;
    name.get(name.len() - length..)
}

/// The label of a name directly below a registry's suffix: `acme` of `acme.co.uk`. None for all other names, also
/// below a suffix that a company offers to its customers (`github.io`).
#[inline(never)]
pub fn registry_label(name: &str) -> Option<&str> {
    let (length, kind) = find_suffix(name)?;
    let label = name.get(..name.len().checked_sub(length + 1)?)?;
    let is_below_registry = kind == Some(psl::Type::Icann);
    (is_below_registry && !label.is_empty() && !label.contains('.')).then_some(label)
}

/// True if the last label is on the list, rather than matched by its default rule.
#[inline(never)]
pub fn is_known_top_level(name: &str) -> bool {
    find_suffix(name).is_some_and(|(_, kind)| kind.is_some())
}

/// Length of a name's public suffix, and its kind if the list contains it.
#[inline(never)]
fn find_suffix(name: &str) -> Option<(usize, Option<psl::Type>)> {
    let suffix = psl::suffix(name.as_bytes())?;
    Some((suffix.as_bytes().len(), suffix.typ()))
}

/// True if both names can belong to one organization: they are equal, or share a registered name.
#[must_use]
pub fn is_same_organization(one: &str, other: &str) -> bool {
    one == other || registered_name(one).is_some_and(|name| registered_name(other) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_name_is_one_label_below_the_suffix() {
        for (name, expected) in [
            ("mail.acme.co.uk", Some("acme.co.uk")),
            ("acme.co.uk", Some("acme.co.uk")),
            ("co.uk", None),
            ("com", None),
            ("acme.com", Some("acme.com")),
            ("a.b.desk.internal", Some("desk.internal")),
            ("", None),
            (".com", None),
        ] {
            assert_eq!(registered_name(name), expected, "{name}");
            assert_eq!(psl::domain_str(name), expected, "{name}");
        }
    }

    #[test]
    fn only_a_registrys_suffix_has_a_registry_label() {
        for (name, expected) in [
            ("acme.com", Some("acme")),
            ("acme.co.uk", Some("acme")),
            ("mail.acme.co.uk", None),
            ("acme.github.io", None),
            ("github.io", None),
            ("desk.internal", None),
            ("co.uk", None),
            ("com", None),
            (".com", None),
            ("", None),
        ] {
            assert_eq!(registry_label(name), expected, "{name}");
        }
    }

    #[test]
    fn a_suffix_is_listed_or_the_last_label() {
        assert_eq!(suffix("mail.acme.co.uk"), Some("co.uk"));
        assert!(is_known_top_level("acme.co.uk"));
        assert_eq!(suffix("desk.internal"), Some("internal"));
        assert!(!is_known_top_level("desk.internal"));
    }
}
