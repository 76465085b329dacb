//! ARC (RFC 8617): whether the chain of those who passed the message on is whole.
//!
//! It is reported and changes nothing: a whole chain says who sealed it, not whether they are to be
//! believed.

use mail_auth::{ArcOutput, DkimResult, DnsError, Error};

use super::field::bounded;
use super::reason::reason;
use crate::mail::{AuthenticationDetail, AuthenticationMethod, AuthenticationResult};

/// Sealers that are named in the finding.
const MOST_NAMED: usize = 5;

/// RFC 8601 knows pass, fail and none for ARC; a chain is broken or it is not (RFC 8617 5.2). That
/// DNS did not answer is not the chain's fault.
pub(super) fn finding(output: &ArcOutput<'_>, is_sealed: bool) -> AuthenticationDetail {
    let (result, why) = match output.result() {
        DkimResult::Pass => (AuthenticationResult::Pass, None),
        DkimResult::None if !is_sealed => (AuthenticationResult::None, None),
        DkimResult::None => (
            AuthenticationResult::Fail,
            Some("parts of the chain are missing".to_owned()),
        ),
        DkimResult::TempError(error) => (AuthenticationResult::TempError, Some(reason(error))),
        DkimResult::Neutral(error) | DkimResult::Fail(error) | DkimResult::PermError(error) => {
            (AuthenticationResult::Fail, Some(reason(error)))
        }
    };
    let sealers: Vec<String> = output
        .sets()
        .iter()
        .rev()
        .take(MOST_NAMED)
        .map(|set| bounded(&set.seal.header.d))
        .collect();
    let sealed = (!sealers.is_empty()).then(|| format!("sealed by {}", sealers.join(", ")));
    AuthenticationDetail {
        method: AuthenticationMethod::Arc,
        result,
        properties: Vec::new(),
        reason: match (why, sealed) {
            (Some(why), Some(sealed)) => Some(format!("{why}; {sealed}")),
            (why, sealed) => why.or(sealed),
        },
    }
}

/// The chain where there was no time to verify it.
pub(super) fn unanswered<'x>() -> ArcOutput<'x> {
    let error = Error::Dns(DnsError::Resolver(String::new()));
    ArcOutput::default().with_result(DkimResult::TempError(error))
}

/// The finding about a chain that is not verified.
pub(super) fn refused(why: &str) -> AuthenticationDetail {
    AuthenticationDetail {
        method: AuthenticationMethod::Arc,
        result: AuthenticationResult::Fail,
        properties: Vec::new(),
        reason: Some(why.to_owned()),
    }
}
