//! Raw message in, [`Facts`] out.
//!
//! Reading never fails and never panics: what cannot be read is a fact about the message. Nothing
//! here knows accounts or settings, asks a clock or opens a connection.

mod facts;

pub use facts::{
    Authentication, AuthenticationResult, DmarcPolicy, Evidence, Facts, Fingerprint, Report,
    ReportKind, ReportedRecipient, Sender, SenderFault,
};

use crate::domain::{Domain, Envelope};

/// What the reader must know of the house to tell its own marks from others'.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Our `hostname`: the value of our loop header.
    pub hostname: Domain,
    /// The pinned `authserv-id` (RFC 8601 2.5) whose `Authentication-Results` count.
    pub authserv_id: Option<String>,
}

/// The field that marks what went through this house, with our hostname as its value.
pub const LOOP_FIELD: &str = "X-Vestibule-Loop";

/// Reads a message.
#[must_use]
pub fn read(raw: &[u8], envelope: &Envelope, own: &Identity) -> Facts {
    let _ = (raw, envelope, own);
    unimplemented!("the reader")
}
