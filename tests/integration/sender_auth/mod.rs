//! Our own DKIM, SPF, DMARC and ARC, against a real DNS server on loopback and with real keys.

mod alignment;
mod chain;
mod client;
mod dns;
mod enforced;
mod harness;
mod hostile;
mod outage;
mod policy;
mod signature;
