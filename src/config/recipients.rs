//! Our own addresses, and the purpose of mail to each.

use super::{Config, Portal};
use crate::domain::{EmailAddress, PortalName, RecipientRole};

impl Config {
    /// The role of a recipient's address: exact, or without its subaddress (RFC 5233).
    #[must_use]
    pub fn recipient_role(&self, recipient: &EmailAddress) -> Option<RecipientRole> {
        self.exact_role(recipient)
            .or_else(|| self.exact_role(&recipient.without_detail()))
    }

    fn exact_role(&self, address: &EmailAddress) -> Option<RecipientRole> {
        let is = |own: &EmailAddress| own == address;
        if let Some(portal) = self
            .all_portals()
            .find(|portal| portal.addresses.iter().any(is))
        {
            return Some(RecipientRole::Portal(portal.name.clone()));
        }
        if self.verification.reply_address.as_ref().is_some_and(is) {
            return Some(RecipientRole::Confirmation);
        }
        if self.verification.return_address.as_ref().is_some_and(is) {
            return Some(RecipientRole::Bounces);
        }
        None
    }

    #[must_use]
    pub fn portal(&self, name: &PortalName) -> Option<&Portal> {
        self.all_portals().find(|portal| portal.name == *name)
    }

    /// The portal of this name that an operator can name: one of the file, not the canary's.
    #[must_use]
    pub fn public_portal(&self, name: &PortalName) -> Option<&Portal> {
        self.portals.iter().find(|portal| portal.name == *name)
    }

    /// The portals of the file, and the canary's, which is shown nowhere.
    pub fn all_portals(&self) -> impl Iterator<Item = &Portal> {
        let hidden = self.canary.iter().map(|canary| &canary.portal);
        self.portals.iter().chain(hidden)
    }

    /// True if an address belongs to this installation, with or without a subaddress: a portal's,
    /// `verification.from`, the reply and return address, and each destination's `recipient` and `envelope_from`.
    /// Mail from such an address is a loop, and it never becomes a customer. Contacts do not count: they are
    /// people.
    #[must_use]
    pub fn is_ours(&self, address: &EmailAddress) -> bool {
        let base = address.without_detail();
        let is_own = |address: &EmailAddress| {
            self.exact_role(address).is_some() || self.own_addresses.contains(address)
        };
        is_own(address) || is_own(&base) || self.own_addresses.has_verp(address)
    }

    /// The mailbox of `postmaster`, which needs no domain (RFC 5321 4.5.1).
    #[must_use]
    pub fn postmaster(&self) -> Option<&Portal> {
        match &self.smtp.postmaster {
            Some(name) => self.portal(name),
            None => self.portals.first(),
        }
    }
}
