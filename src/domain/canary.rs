//! Names of the canary: a message that Vestibule sends to itself, to check that mail gets through.
//!
//! Its portal and its addresses cannot be reached from outside: they are in a domain that does not exist (RFC
//! 2606 2), under random names that each process creates anew.

use std::sync::OnceLock;

use super::{DestinationName, EmailAddress, PortalName};

/// Name of the portal and of the destination. The configuration cannot use it.
pub const NAME: &str = "vestibule-canary";

/// Domain of every canary's address.
pub const DOMAIN: &str = "canary.invalid";

/// The portal that receives canaries.
#[must_use]
pub fn portal() -> PortalName {
    PortalName::parse(NAME).unwrap_or_else(|_| unreachable!("a good name"))
}

/// The destination that they are delivered to.
#[must_use]
pub fn destination() -> DestinationName {
    DestinationName::parse(NAME).unwrap_or_else(|_| unreachable!("a good name"))
}

/// True for a name that destinations and hooks of the configuration must not have: everything that arrives
/// under it is removed.
#[must_use]
pub fn owns(name: &DestinationName) -> bool {
    name.as_str() == NAME
}

/// Address of the portal in this process.
#[must_use]
pub fn address() -> EmailAddress {
    static ADDRESS: OnceLock<EmailAddress> = OnceLock::new();
    ADDRESS.get_or_init(sender).clone()
}

/// A secret address that is used once.
#[must_use]
pub fn sender() -> EmailAddress {
    let mut secret = [0; 16];
    // Without random numbers TLS and tokens fail as well, with an error.
    let _ = getrandom::fill(&mut secret);
    let secret = u128::from_ne_bytes(secret);
    EmailAddress::parse(&format!("canary-{secret:032x}@{DOMAIN}"))
        .unwrap_or_else(|_| unreachable!("a good address"))
}

/// True for a canary's address, of any process.
#[must_use]
pub fn is_sender(address: &EmailAddress) -> bool {
    let key = address.key();
    address.domain().as_str() == DOMAIN && key.starts_with("canary-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_stable_and_senders_are_random() {
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
