//! ARC (RFC 8617): verifies the chain of intermediaries, and reads the results of a trusted sealer.
//!
//! A valid chain proves who sealed it, not that they are honest: anyone can seal anything. So only the newest
//! set counts, and only with a seal by a domain that the operator trusts. That seal covers the set's
//! ARC-Authentication-Results, and its ARC-Message-Signature covers the message as the sealer had it. The
//! signature has to cover the field that names the author, or else the results would be about another author
//! than ours.

use mail_auth::common::crypto::Algorithm;
use mail_auth::{ArcOutput, AuthenticatedMessage, DkimResult, DnsError, Error};

use super::additions::FieldCounts;
use super::message::is_plain;
use super::own_results::truncate;
use super::reason::reason;
use crate::domain::{Domain, join};
use crate::mail::{
    AuthenticationDetail, AuthenticationMethod, AuthenticationResult, Facts,
    dmarc_pass_in_arc_results,
};

/// Maximum number of sealers named in the finding.
const MAX_NAMED: usize = 5;

/// The author for whom a trusted sealer can vouch.
#[derive(Debug, Clone)]
pub struct VouchedAuthor {
    domain: Domain,
    /// Name of the field that names them.
    field: String,
}

impl VouchedAuthor {
    /// The sender in From, or the author behind a mailing list if there is one.
    #[must_use]
    pub fn of(facts: &Facts) -> Option<Self> {
        let (sender, field) = match &facts.author_behind_list {
            Some(behind) => (&behind.author, behind.field.as_str()),
            None => (&facts.sender, "From"),
        };
        Some(Self {
            domain: sender.address()?.domain().clone(),
            field: field.to_owned(),
        })
    }
}

/// The trusted domain that made the newest seal, whether the chain is valid or not.
pub(super) fn newest_sealer<'t>(
    message: &AuthenticatedMessage<'_>,
    trusted: &'t [Domain],
) -> Option<&'t Domain> {
    let newest = message.as_headers.iter().max_by_key(|seal| seal.header.i)?;
    trusted_domain(&newest.header.d, trusted)
}

fn trusted_domain<'t>(name: &str, trusted: &'t [Domain]) -> Option<&'t Domain> {
    let name = Domain::parse(name).ok()?;
    trusted.iter().find(|domain| **domain == name)
}

/// The trusted sealer whose results contain a DMARC pass for the author's domain. `output` is the verified
/// chain of `message`.
pub(super) fn sealer_vouching_for<'t>(
    author: &VouchedAuthor,
    output: &ArcOutput<'_>,
    message: &AuthenticatedMessage<'_>,
    trusted: &'t [Domain],
) -> Option<&'t Domain> {
    if *output.result() != DkimResult::Pass {
        return None;
    }
    let newest = output.sets().last()?;
    let (seal, signature) = (newest.seal.header, newest.signature.header);
    let sealer = trusted_domain(&seal.d, trusted)?;
    // The message signature and the results must come from the same sealer.
    if trusted_domain(&signature.d, trusted) != Some(sealer)
        || [seal.a, signature.a].contains(&Algorithm::RsaSha1)
        || signature.l != 0
        || FieldCounts::of(message).exceed(&signature.h)
    {
        return None;
    }
    let is_covered = |field: &str| {
        let signs = |name: &String| name.trim().eq_ignore_ascii_case(field);
        signature.h.iter().any(signs) && is_plain(message, field)
    };
    let says_pass = dmarc_pass_in_arc_results(
        newest.results.value,
        newest.results.header.i,
        &author.domain,
    );
    (is_covered("From") && is_covered(&author.field) && says_pass).then_some(sealer)
}

/// The finding about the chain. RFC 8601 defines pass, fail and none for ARC; a chain is broken or it is not
/// (RFC 8617 5.2). A DNS failure does not break the chain.
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
    let sealed = (!output.sets().is_empty()).then(|| {
        let last = output.sets().iter().rev().take(MAX_NAMED);
        let sealers = last.map(|set| truncate(&set.seal.header.d));
        format!("sealed by {}", join(sealers, ", "))
    });
    let reason = match (why, sealed) {
        (Some(why), Some(sealed)) => Some(format!("{why}; {sealed}")),
        (why, sealed) => why.or(sealed),
    };
    AuthenticationDetail::new(AuthenticationMethod::Arc, result, reason)
}

/// Output for a chain that was not verified in time.
pub(super) fn output_without_answer<'x>() -> ArcOutput<'x> {
    let error = Error::Dns(DnsError::Resolver(String::new()));
    ArcOutput::default().with_result(DkimResult::TempError(error))
}

/// Finding for a chain that is not verified.
pub(super) fn unverified_finding(why: &str) -> AuthenticationDetail {
    let (method, result) = (AuthenticationMethod::Arc, AuthenticationResult::Fail);
    AuthenticationDetail::new(method, result, Some(why.to_owned()))
}
