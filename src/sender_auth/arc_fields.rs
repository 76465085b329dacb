//! Reads the fields of the ARC chain (RFC 8617), within limits.
//!
//! A chain that exceeds them is not verified, and nothing of it is kept.

use mail_auth::Error;
use mail_auth::arc::{self, ArcError};
use mail_auth::common::headers::Header;

use super::additions::is_header_complete;
use super::dkim::MAX_NAMES;
use super::message::{MAX_FIELD, Signed, has_name};

/// Maximum number of sets in a chain (RFC 8617 4.2.1).
pub(super) const MAX_SETS: usize = 50;

/// Fields of each set of a chain (RFC 8617 4.1).
#[derive(Clone, Copy)]
enum ChainField {
    Seal,
    Signature,
    Results,
}

const CHAIN: [(&[u8], ChainField); 3] = [
    (b"arc-seal", ChainField::Seal),
    (b"arc-message-signature", ChainField::Signature),
    (b"arc-authentication-results", ChainField::Results),
];

impl<'x> Signed<'x> {
    /// Parses the chain, unless it exceeds the limits; then nothing of it is kept.
    pub(super) fn read_chain(&mut self) {
        let is_complete = is_header_complete(&self.message);
        let all = std::mem::take(&mut self.message.headers);
        for &(name, value) in &all {
            let mut fields = CHAIN.iter();
            let Some((_, field)) = fields.find(|(field, _)| has_name(name, field)) else {
                continue;
            };
            self.is_sealed = true;
            if !is_complete {
                self.refuse_chain("no empty line ends the header, or a line of it is no field");
            } else if value.len() > MAX_FIELD {
                self.refuse_chain("a field of the chain is too long");
            } else if self.chain_refused.is_none() {
                self.read_chain_field(*field, name, value);
            }
        }
        self.message.headers = all;
        if !self.message.has_arc_errors {
            let message = &mut self.message;
            message.as_headers.sort_by_key(|header| header.header.i);
            message.ams_headers.sort_by_key(|header| header.header.i);
            message.aar_headers.sort_by_key(|header| header.header.i);
        }
    }

    fn read_chain_field(&mut self, field: ChainField, name: &'x [u8], value: &'x [u8]) {
        let message = &mut self.message;
        let kept = match field {
            ChainField::Seal => keep(
                &mut message.as_headers,
                name,
                value,
                arc::Seal::parse(value),
            ),
            ChainField::Signature => match arc::Signature::parse(value) {
                Ok(signature) if signature.h.len() > MAX_NAMES => {
                    return self.refuse_chain("too many fields are signed");
                }
                Ok(signature) if signature.l > 0 => Err(Error::Arc(ArcError::SignatureLength)),
                Ok(mut signature) => {
                    signature.z = Vec::new();
                    keep(&mut message.ams_headers, name, value, Ok(signature))
                }
                Err(error) => Err(error),
            },
            ChainField::Results => keep(
                &mut message.aar_headers,
                name,
                value,
                arc::Results::parse(value),
            ),
        };
        match kept {
            Ok(count) if count > MAX_SETS => self.refuse_chain("the chain is too long"),
            Ok(_) => {}
            Err(error) => {
                // One is enough to break the chain.
                if !message.has_arc_errors {
                    message.errors.push(Header::new(name, value, error));
                }
                message.has_arc_errors = true;
            }
        }
    }

    fn refuse_chain(&mut self, why: &'static str) {
        self.chain_refused.get_or_insert(why);
        self.message.as_headers = Vec::new();
        self.message.ams_headers = Vec::new();
        self.message.aar_headers = Vec::new();
    }
}

/// Keeps a parsed field of the chain. Returns the number of fields of its kind.
fn keep<'x, T>(
    kept: &mut Vec<Header<'x, T>>,
    name: &'x [u8],
    value: &'x [u8],
    parsed: Result<T, Error>,
) -> Result<usize, Error> {
    kept.push(Header::new(name, value, parsed?));
    Ok(kept.len())
}
