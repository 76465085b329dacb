//! Keys by which entries are found, and sizes as columns store them.

use sha2::{Digest, Sha256};

use crate::domain::{Domain, PortalName, public_suffix};
use crate::mail::Facts;

/// Lookup key for the copies of a message: its Message-ID, else its date. None without both.
pub(crate) fn repeat_key(facts: &Facts) -> Option<i64> {
    let date = || Some(message_key(&format!("\0{}", facts.date.as_deref()?)));
    facts.message_id.as_deref().map(message_key).or_else(date)
}

/// Lookup key of a Message-ID.
pub(crate) fn message_key(message_id: &str) -> i64 {
    short(Sha256::digest(message_id).as_slice())
}

pub(crate) fn copy_key(portal: Option<&PortalName>, facts: &Facts) -> i64 {
    let digest = Sha256::new()
        .chain_update(facts.fingerprint.0)
        .chain_update(portal.map_or("", PortalName::as_str))
        .finalize();
    short(digest.as_slice())
}

/// The first 64 bits of a digest.
pub(crate) fn short(digest: &[u8]) -> i64 {
    digest
        .iter()
        .take(8)
        .fold(0, |number, octet| number << 8 | i64::from(*octet))
}

/// A size as stored in a column.
pub(crate) fn octets(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Registered domain: anybody can create subdomains of their own domain for free.
pub(crate) fn registered_domain(domain: &Domain) -> &str {
    public_suffix::registered_name(domain.as_str()).unwrap_or(domain.as_str())
}
