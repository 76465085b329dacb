//! DKIM (RFC 6376): the signers of the message, and the validity of their signatures.
//!
//! Takes the message as `mail-auth` parses it. Returns a finding for each signature, and the valid ones for
//! DMARC.

use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::{DkimError, Signature};
use mail_auth::{AuthenticatedMessage, DkimOutput, DkimResult, DnsError, Error};

use super::own_results::property;
use super::reason::reason;
use crate::mail::{AuthenticationDetail, AuthenticationMethod, AuthenticationResult};

/// Maximum number of verified signatures (RFC 6376 6.1 leaves it to us). Each costs a query and a
/// verification.
pub(super) const MAX_SIGNATURES: usize = 8;

/// Maximum number of field names in one signature.
pub(super) const MAX_NAMES: usize = 250;

/// The finding about each verified signature.
pub(super) fn findings(outputs: &[DkimOutput<'_>]) -> Vec<AuthenticationDetail> {
    outputs
        .iter()
        .take(2 * MAX_SIGNATURES)
        .map(|output| {
            let (result, reason) = result(output.result());
            finding(output.signature(), result, reason)
        })
        .collect()
}

/// Outputs for signatures that were not verified in time.
pub(super) fn outputs_without_answer<'x>(
    message: &'x AuthenticatedMessage<'x>,
) -> Vec<DkimOutput<'x>> {
    let no_answer = || Error::Dns(DnsError::Resolver(String::new()));
    message
        .dkim_headers
        .iter()
        .map(|header| DkimOutput::temp_err(no_answer()).with_signature(&header.header))
        .collect()
}

/// Rules of DKIM that `mail-auth` leaves to its caller. It rejects RSA keys of fewer than 1024 bits itself
/// (RFC 8301 3.2).
pub(super) fn refusal(signature: &Signature) -> Option<(AuthenticationResult, &'static str)> {
    // RFC 6376 5.4: From is always signed; a signature without it says nothing about the author.
    let is_from = |name: &String| name.trim().eq_ignore_ascii_case("from");
    if !signature.h.iter().any(is_from) {
        return Some((AuthenticationResult::PermError, "From is not signed"));
    }
    // RFC 8301 3.1: such signatures fail permanently.
    if signature.a == Algorithm::RsaSha1 {
        return Some((
            AuthenticationResult::PermError,
            "rsa-sha1 is no longer valid",
        ));
    }
    if signature.h.len() > MAX_NAMES {
        return Some((AuthenticationResult::Policy, "too many fields are signed"));
    }
    None
}

/// The finding about a message without signatures.
pub(super) fn finding_without_signature() -> AuthenticationDetail {
    finding(None, AuthenticationResult::None, None)
}

/// One result for all signatures: a pass is enough, and a temporary error comes next.
pub(super) fn summary(findings: &[AuthenticationDetail]) -> AuthenticationResult {
    const ORDER: [AuthenticationResult; 6] = [
        AuthenticationResult::Pass,
        AuthenticationResult::TempError,
        AuthenticationResult::Fail,
        AuthenticationResult::Policy,
        AuthenticationResult::PermError,
        AuthenticationResult::Neutral,
    ];
    ORDER
        .into_iter()
        .find(|result| findings.iter().any(|finding| finding.result == *result))
        .unwrap_or(AuthenticationResult::None)
}

pub(super) fn finding(
    signature: Option<&Signature>,
    result: AuthenticationResult,
    reason: Option<String>,
) -> AuthenticationDetail {
    let properties = signature.map_or_else(Vec::new, |signature| {
        vec![
            property("header.d", &signature.d),
            property("header.s", &signature.s),
        ]
    });
    AuthenticationDetail {
        method: AuthenticationMethod::Dkim,
        result,
        properties,
        reason,
    }
}

/// Maps a result to one of RFC 8601 2.7.1. A signature that does not match the message is a fail, whichever
/// part does not match; only an unreadable one is neutral.
pub(super) fn result(result: &DkimResult) -> (AuthenticationResult, Option<String>) {
    let reason = |error: &Error| Some(reason(error));
    match result {
        DkimResult::Pass => (AuthenticationResult::Pass, None),
        DkimResult::None => (AuthenticationResult::None, None),
        DkimResult::Fail(error) => (AuthenticationResult::Fail, reason(error)),
        DkimResult::PermError(error) => (AuthenticationResult::PermError, reason(error)),
        DkimResult::TempError(error) => (AuthenticationResult::TempError, reason(error)),
        DkimResult::Neutral(error) => {
            let result = match error {
                Error::Dkim(DkimError::FailedBodyHashMatch | DkimError::SignatureExpired) => {
                    AuthenticationResult::Fail
                }
                // RFC 8601 2.7.1: not acceptable here, although it may match.
                Error::Dkim(DkimError::SignatureLength) => AuthenticationResult::Policy,
                _ => AuthenticationResult::Neutral,
            };
            (result, reason(error))
        }
    }
}
