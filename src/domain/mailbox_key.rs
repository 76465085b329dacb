//! The mailbox of an address, as far as the address shows it.
//!
//! Anyone can send from any number of addresses that deliver to one mailbox. Limits of the mail that we send
//! count by mailbox, so this causes no more mail to one person. Two people may share a key by mistake; they then share a limit and nothing else, because
//! accounts are not identified by it.

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
/// it are listed.
struct Provider {
    /// The first one is used in keys.
    domains: &'static [&'static str],
    /// Characters that the provider ignores. At all listed providers a detail begins with `+`.
    ignored: &'static str,
}

const PROVIDERS: &[Provider] = &[
    // https://support.google.com/mail/answer/7436150: dots make no difference. googlemail.com is the old name
    // of gmail.com in Germany and Britain, and has the same mailboxes.
    Provider {
        domains: &["gmail.com", "googlemail.com"],
        ignored: ".",
    },
    // https://support.apple.com/118230: an account has the same name at each of these domains.
    Provider {
        domains: &["icloud.com", "me.com", "mac.com"],
        ignored: "",
    },
];

fn provider_of(domain: &str) -> Option<&'static Provider> {
    let mut providers = PROVIDERS.iter();
    providers.find(|provider| provider.domains.contains(&domain))
}

impl MailboxKey {
    /// The mailbox of an address.
    #[must_use]
    pub fn of(address: &EmailAddress, delimiters: AddressDelimiters) -> Self {
        let domain = address.domain().as_str();
        let (provider, local) = (provider_of(domain), address.unquote());
        let begins_detail = |c: char| delimiters.contains(c) || provider.is_some() && c == '+';
        // A delimiter in first place does not begin a detail (Postfix, `split_addr`).
        let end = local
            .char_indices()
            .skip(1)
            .find(|(_, c)| begins_detail(*c))
            .map_or(local.len(), |(at, _)| at);
        let ignored = provider.map_or("", |known| known.ignored);
        let user: String = local[..end]
            .chars()
            .filter(|c| !ignored.contains(*c))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        let domain = provider.map_or(domain, |known| known.domains[0]);
        Self(format!("{user}@{domain}"))
    }

    /// Domains at which other addresses of the same mailbox may be.
    pub fn domains_of(address: &EmailAddress) -> impl Iterator<Item = &str> {
        let own = address.domain().as_str();
        let known = provider_of(own).map_or(&[][..], |provider| provider.domains);
        let others = known.iter().copied().filter(move |other| *other != own);
        std::iter::once(own).chain(others)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
}
