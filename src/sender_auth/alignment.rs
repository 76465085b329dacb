//! Alignment: which domains can vouch for which.
//!
//! DMARC finds the organisational domain by a DNS tree walk (RFC 9989 4.10). A record on a public suffix
//! without `psd=y` would make one organisation of all names below it. So the Public Suffix List decides, too:
//! domains with nothing but a public suffix in common are never aligned.

use crate::domain::public_suffix;

/// True if both names can belong to one organisation; ASCII form, any case.
pub(super) fn may_be_one_organisation(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    public_suffix::is_same_organization(&one, &other)
}

/// A name that can be queried in DNS, in its ASCII form. Accepts more than a
/// [`Domain`](crate::domain::Domain): names of machines do contain underscores.
pub(super) fn dns_name(written: &str) -> Option<String> {
    if let Ok(domain) = crate::domain::Domain::parse(written) {
        return Some(domain.as_str().to_owned());
    }
    let name = written.strip_suffix('.').unwrap_or(written);
    let is_name = name.len() <= 253
        && name.contains('_')
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        });
    is_name.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_domains_of_one_registrant_can_be_one_organisation() {
        for (one, other, expected) in [
            ("corp.example", "corp.example", true),
            ("Mail.Corp.Example", "corp.example", true),
            ("a.corp.co.uk", "b.corp.co.uk", true),
            ("corp.co.uk", "evil.co.uk", false),
            ("corp.example", "corp.test", false),
            ("ann.github.io", "evil.github.io", false),
            ("ann.github.io", "github.io", false),
            ("co.uk", "co.uk", true),
            ("com", "corp.com", false),
            ("badcorp.example", "corp.example", false),
        ] {
            assert_eq!(
                may_be_one_organisation(one, other),
                expected,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn names_of_machines_may_have_underscores() {
        for (written, name) in [
            ("Corp.Example.", Some("corp.example")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("My_Host.corp.example", Some("my_host.corp.example")),
            ("[192.0.2.1]", None),
            ("192.0.2.1", None),
            ("my_host..example", None),
            ("a_b c.example", None),
            ("", None),
        ] {
            assert_eq!(dns_name(written).as_deref(), name, "{written}");
        }
    }
}
