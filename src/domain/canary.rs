//! The names of the canary: a message that Vestibule sends itself, to hear whether the way is clear.
//!
//! Its portal and its addresses cannot be reached from outside: they lie in a domain that does not
//! exist (RFC 2606 2), under names that nobody can guess and that each process makes anew.

use std::sync::OnceLock;

use super::{DestinationName, EmailAddress, PortalName};

/// Of the portal and of the destination. No portal, destination or hook of a configuration has it.
pub const NAME: &str = "vestibule-canary";

/// Of every canary's address.
pub const DOMAIN: &str = "canary.invalid";

/// The portal that canaries come for.
#[must_use]
pub fn portal() -> PortalName {
    PortalName::parse(NAME).unwrap_or_else(|_| unreachable!("a good name"))
}

/// Where they go from there.
#[must_use]
pub fn destination() -> DestinationName {
    DestinationName::parse(NAME).unwrap_or_else(|_| unreachable!("a good name"))
}

/// Whether a destination or a hook of a configuration cannot be called that: what arrives under this
/// name is removed.
#[must_use]
pub fn owns(name: &DestinationName) -> bool {
    name.as_str() == NAME
}

/// The portal's address in this process.
#[must_use]
pub fn address() -> EmailAddress {
    static ADDRESS: OnceLock<EmailAddress> = OnceLock::new();
    ADDRESS.get_or_init(sender).clone()
}

/// An address that nobody else knows and that is used once.
#[must_use]
pub fn sender() -> EmailAddress {
    let mut secret = [0; 16];
    // Without random octets TLS and tokens fail as well, and louder.
    let _ = getrandom::fill(&mut secret);
    let secret = u128::from_ne_bytes(secret);
    EmailAddress::parse(&format!("canary-{secret:032x}@{DOMAIN}"))
        .unwrap_or_else(|_| unreachable!("a good address"))
}

/// Whether an address is one of theirs, of whatever process.
#[must_use]
pub fn is_sender(address: &EmailAddress) -> bool {
    let key = address.key();
    address.domain().as_str() == DOMAIN && key.starts_with("canary-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portals_address_stays_and_senders_do_not() {
        assert_eq!(address(), address());
        assert_ne!(sender(), sender());
        assert_ne!(sender(), address());
        assert!(is_sender(&sender()));
        for other in ["canary-1@corp.example", "ann@canary.invalid"] {
            assert!(!is_sender(&EmailAddress::parse(other).expect("an address")));
        }
        assert_eq!(portal().as_str(), destination().as_str());
    }
}
