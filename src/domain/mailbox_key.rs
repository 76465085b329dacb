//! The mailbox of an address, as far as the address shows it.
//!
//! Anyone can send from any number of addresses that deliver to one mailbox. Limits of the mail that we send count by
//! mailbox, so this causes no more mail to one person; neither do these addresses evade an entry of the deny list or
//! the quiet time after "This was not me". Two people may share a key by mistake. They then share these limits, this
//! entry and this time, but no account: accounts are not identified by the key.

use super::EmailAddress;

/// A mailbox: local part without its detail, in lower case, and a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxKey(String);

/// Characters that begin the detail of a local part, like Postfix's `recipient_delimiter`: a set of printable
/// ASCII characters, without letters, digits, `.` and `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressDelimiters(u128);

impl Default for AddressDelimiters {
    fn default() -> Self {
        Self::PLUS
    }
}

impl AddressDelimiters {
    /// `+` alone.
    pub const PLUS: Self = Self(1 << b'+');

    /// Parses a set of delimiters.
    ///
    /// # Errors
    /// A character that cannot be a delimiter.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.chars().try_fold(Self(0), |set, c| {
            if c.is_ascii_punctuation() && !".@\"\\".contains(c) {
                Ok(Self(set.0 | 1 << u32::from(c)))
            } else {
                Err(format!(
                    "{c:?} cannot be a delimiter; write a set such as \"+\" or \"+-\""
                ))
            }
        })
    }

    fn contains(self, c: char) -> bool {
        c.is_ascii() && self.0 >> u32::from(c) & 1 == 1
    }
}

/// A mail provider that delivers several spellings of an address to one mailbox. Only providers that document
/// it are listed. At all of them a detail begins with `+`.
struct Provider {
    domains: &'static [&'static str],
    names: Names,
    /// Characters that the provider ignores in a name.
    ignored: &'static str,
    /// A character in a name, and the one that stands for the same.
    replaced: Option<(char, char)>,
}

/// Names of the mailboxes of a provider with several domains.
enum Names {
    /// A mailbox has the same name at each domain. The first domain is used in keys.
    Common,
    /// Each domain has mailboxes of its own. A subdomain is a name too, with any local part:
    /// `anything@ann.example.com` is `ann+anything@example.com`.
    AlsoSubdomains,
}

const PROVIDERS: &[Provider] = &[
    // https://support.google.com/mail/answer/7436150: dots make no difference. googlemail.com is the old name
    // of gmail.com in Germany and Britain, and has the same mailboxes.
    Provider {
        domains: &["gmail.com", "googlemail.com"],
        names: Names::Common,
        ignored: ".",
        replaced: None,
    },
    // https://support.apple.com/118230: an account has the same name at each of these domains.
    Provider {
        domains: &["icloud.com", "me.com", "mac.com"],
        names: Names::Common,
        ignored: "",
        replaced: None,
    },
    // https://yandex.com/support/domain/additional/mailbox-alias.xml: a mailbox has the same name at each domain
    // of Yandex Mail. A hyphen and a dot in a name are the same.
    Provider {
        domains: &[
            "yandex.ru",
            "ya.ru",
            "yandex.com",
            "yandex.by",
            "yandex.kz",
            "yandex.ua",
            "yandex.com.tr",
            "yandex.az",
            "yandex.co.il",
            "yandex.com.am",
            "yandex.com.ge",
            "yandex.ee",
            "yandex.fr",
            "yandex.kg",
            "yandex.lt",
            "yandex.lv",
            "yandex.md",
            "yandex.tj",
            "yandex.tm",
            "yandex.uz",
            "narod.ru",
        ],
        names: Names::Common,
        ignored: "",
        replaced: Some(('-', '.')),
    },
    // https://proton.me/support/change-username: dots, hyphens and underscores make no difference. A mailbox has the
    // same name at each of these domains.
    Provider {
        domains: &["proton.me", "protonmail.com", "pm.me", "protonmail.ch"],
        names: Names::Common,
        ignored: ".-_",
        replaced: None,
    },
    // https://www.fastmail.help/hc/en-us/articles/360060591053: subdomain addressing. In a subdomain, a hyphen
    // stands for an underscore (https://fastmail.com/blog/two-address-resolving-additions).
    Provider {
        domains: &[
            "fastmail.com",
            "fastmail.fm",
            "fastmail.net",
            "fastmail.org",
            "fastmail.us",
            "fastmail.uk",
            "fastmail.co.uk",
            "fastmail.com.au",
            "fastmail.de",
            "fastmail.fr",
            "fastmail.in",
            "fastmail.jp",
            "fastmail.nl",
            "sent.com",
        ],
        names: Names::AlsoSubdomains,
        ignored: "",
        replaced: Some(('_', '-')),
    },
];

impl Provider {
    /// The spelling of a name that is used in keys.
    fn normalize(&self, name: &str) -> String {
        name.chars()
            .filter(|c| !self.ignored.contains(*c))
            .map(|c| match self.replaced {
                Some((from, to)) if c == from => to,
                _ => c.to_ascii_lowercase(),
            })
            .collect()
    }
}

/// A domain at which a provider has mailboxes.
struct ProviderDomain<'a> {
    provider: &'static Provider,
    /// The domain as listed.
    listed: &'static str,
    /// The name of the mailbox, if it is a subdomain of the listed domain.
    subdomain: Option<&'a str>,
}

impl<'a> ProviderDomain<'a> {
    fn of(domain: &'a str) -> Option<Self> {
        PROVIDERS.iter().find_map(|provider| {
            provider.domains.iter().find_map(|&listed| {
                let subdomain = match (domain.strip_suffix(listed)?, &provider.names) {
                    ("", _) => None,
                    (before, Names::AlsoSubdomains) => Some(before.strip_suffix('.')?),
                    (_, Names::Common) => return None,
                };
                Some(Self {
                    provider,
                    listed,
                    subdomain,
                })
            })
        })
    }
}

impl MailboxKey {
    /// The mailbox of an address.
    #[must_use]
    pub fn of(address: &EmailAddress, delimiters: AddressDelimiters) -> Self {
        let own = address.domain().as_str();
        let Some(known) = ProviderDomain::of(own) else {
            let begins_detail = |c: char| delimiters.contains(c);
            let name = without_detail(address.unquote(), begins_detail);
            return Self(format!("{}@{own}", name.to_ascii_lowercase()));
        };
        let name = known.subdomain.unwrap_or_else(|| {
            let begins_detail = |c: char| c == '+' || delimiters.contains(c);
            without_detail(address.unquote(), begins_detail)
        });
        let domain = match known.provider.names {
            Names::Common => known.provider.domains[0],
            Names::AlsoSubdomains => known.listed,
        };
        Self(format!("{}@{domain}", known.provider.normalize(name)))
    }

    /// Domains at which addresses of the same mailbox may be, beginning with the address's own.
    #[must_use]
    pub fn domains_of(address: &EmailAddress, delimiters: AddressDelimiters) -> Vec<String> {
        let own = address.domain().as_str();
        let mut domains = vec![own.to_owned()];
        let Some(known) = ProviderDomain::of(own) else {
            return domains;
        };
        match (&known.provider.names, known.subdomain) {
            (Names::Common, _) => {
                let others = known.provider.domains.iter().copied();
                domains.extend(others.filter(|other| *other != own).map(str::to_owned));
            }
            (Names::AlsoSubdomains, Some(_)) => domains.push(known.listed.to_owned()),
            (Names::AlsoSubdomains, None) => {
                let key = Self::of(address, delimiters).0;
                let name = key.rsplit_once('@').map_or("", |(name, _)| name);
                domains.push(format!("{name}.{}", known.listed));
            }
        }
        domains
    }

    /// True if an address is one of several that its owner can make up: it has a detail, or the provider takes its
    /// local part for one.
    pub(super) fn has_detail(address: &EmailAddress) -> bool {
        let known = ProviderDomain::of(address.domain().as_str());
        address.detail().is_some() || known.is_some_and(|known| known.subdomain.is_some())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The local part up to its detail. A delimiter in first place does not begin a detail (Postfix, `split_addr`).
fn without_detail(local: &str, begins_detail: impl Fn(char) -> bool) -> &str {
    let mut later = local.char_indices().skip(1);
    let end = later.find(|(_, c)| begins_detail(*c));
    end.map_or(local, |(at, _)| &local[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_one_mailbox_have_one_key() {
        for (delimiters, address, key) in [
            ("+", "Ann@Corp.example", "ann@corp.example"),
            ("+", "ann+x+y@corp.example", "ann@corp.example"),
            ("+", "\"ann\"@corp.example", "ann@corp.example"),
            ("+", "a.n.n@corp.example", "a.n.n@corp.example"),
            ("+", "ann-x@corp.example", "ann-x@corp.example"),
            ("+-", "ann-x+y@corp.example", "ann@corp.example"),
            ("-", "ann+y@corp.example", "ann+y@corp.example"),
            ("", "ann+y@corp.example", "ann+y@corp.example"),
            ("+", "+ann@corp.example", "+ann@corp.example"),
            ("+", "++@corp.example", "+@corp.example"),
            ("+", "A.n.n+x@GoogleMail.com", "ann@gmail.com"),
            ("", "ann+x@gmail.com", "ann@gmail.com"),
            ("+", "ann@mac.com", "ann@icloud.com"),
            ("+", "ann-shop@gmail.com", "ann-shop@gmail.com"),
            ("+", "x@ann.gmail.com", "x@ann.gmail.com"),
            ("", "Ann-Lee+x@ya.ru", "ann.lee@yandex.ru"),
            ("+", "ann.lee@yandex.com.tr", "ann.lee@yandex.ru"),
            ("+", "x@ann.yandex.ru", "x@ann.yandex.ru"),
            ("", "A.n_n-Lee+x@ProtonMail.com", "annlee@proton.me"),
            ("+", "ann@pm.me", "ann@proton.me"),
            ("+", "ann@protonmail.ch", "ann@proton.me"),
            ("+", "x@ann.proton.me", "x@ann.proton.me"),
            ("", "Ann+x@fastmail.com", "ann@fastmail.com"),
            ("+", "x@Ann.fastmail.com", "ann@fastmail.com"),
            ("+", "ann@fastmail.fm", "ann@fastmail.fm"),
            ("+", "ann_lee@sent.com", "ann-lee@sent.com"),
            ("+", "x@ann-lee.sent.com", "ann-lee@sent.com"),
            ("+", "x@ann.lee.sent.com", "ann.lee@sent.com"),
            ("+", "ann@present.com", "ann@present.com"),
        ] {
            let delimiters = AddressDelimiters::parse(delimiters).expect("a set");
            let address = EmailAddress::parse(address).expect(address);
            assert_eq!(
                MailboxKey::of(&address, delimiters).as_str(),
                key,
                "{address}"
            );
        }
        for wrong in ["a", "7", ".", "@", "+ ", "é"] {
            assert!(AddressDelimiters::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_domain_of_a_mailbox_is_found_from_each_of_its_addresses() {
        let delimiters = AddressDelimiters::PLUS;
        for mailbox in [
            &["ann@corp.example", "ann+x@corp.example"][..],
            &["a.nn@gmail.com", "ann+x@googlemail.com"],
            &["ann@me.com", "ann@mac.com", "ann+x@icloud.com"],
            &["ann-lee@ya.ru", "ann.lee@yandex.kz", "ann.lee+x@narod.ru"],
            &["a_nn@pm.me", "a.nn@proton.me", "ann+x@protonmail.com"],
            &["Ann_Lee+x@fastmail.com", "y@ann-lee.fastmail.com"],
            &["ann.lee@fastmail.fm", "y@ann.lee.fastmail.fm"],
        ] {
            let parse = |address: &&str| EmailAddress::parse(address).expect(address);
            let addresses: Vec<EmailAddress> = mailbox.iter().map(parse).collect();
            let keys = addresses.iter().map(|one| MailboxKey::of(one, delimiters));
            let keys: std::collections::HashSet<_> = keys.collect();
            assert_eq!(keys.len(), 1, "{keys:?}");
            for one in &addresses {
                let domains = MailboxKey::domains_of(one, delimiters);
                for other in &addresses {
                    assert!(
                        domains
                            .iter()
                            .any(|domain| domain == other.domain().as_str()),
                        "{other} from {one}: {domains:?}"
                    );
                }
            }
        }
    }
}
