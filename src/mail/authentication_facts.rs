//! Facts about sender authentication: whether the sender's domain vouches for a message.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Evidence;
use crate::domain::keywords;

/// Result of a method (RFC 8601 2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthenticationResult {
    Pass,
    Fail,
    SoftFail,
    Neutral,
    Policy,
    None,
    TempError,
    PermError,
}

// The keywords of an `Authentication-Results` field.
keywords!(AuthenticationResult {
    Pass => "pass",
    Fail => "fail",
    SoftFail => "softfail",
    Neutral => "neutral",
    Policy => "policy",
    None => "none",
    TempError => "temperror",
    PermError => "permerror",
});
keywords!(AuthenticationMethod { Dmarc => "dmarc", Spf => "spf", Dkim => "dkim", Arc => "arc" });
keywords!(DmarcPolicy { None => "none", Quarantine => "quarantine", Reject => "reject" });
keywords!(AuthenticationOutcome {
    Pass => "pass",
    Fail => "fail",
    None => "none",
    TempError => "temperror",
});

/// Policy of the domain's DMARC record (RFC 7489 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DmarcPolicy {
    None,
    Quarantine,
    Reject,
}

/// Authentication method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthenticationMethod {
    /// RFC 9989.
    Dmarc,
    /// RFC 7208.
    Spf,
    /// RFC 6376.
    Dkim,
    /// RFC 8617.
    Arc,
}

/// One finding of our own check, split into the parts of RFC 8601 2.2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthenticationDetail {
    pub method: AuthenticationMethod,
    pub result: AuthenticationResult,
    /// Subject of the finding: pairs of a property, such as `header.d`, and its value; at most 320
    /// characters each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Vec<String>>)]
    pub properties: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl AuthenticationDetail {
    /// A finding without properties.
    pub(crate) fn new(
        method: AuthenticationMethod,
        result: AuthenticationResult,
        reason: Option<String>,
    ) -> Self {
        Self {
            method,
            result,
            properties: Vec::new(),
            reason,
        }
    }
}

/// Reason why the results of our own MTA cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticationFault {
    #[error("the Authentication-Results field does not parse")]
    Unreadable,
    #[error("there is more than one DMARC result")]
    SeveralResults,
    #[error("the DMARC result is about another domain")]
    OtherDomain,
}

/// Reason why a message fails enforced authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationFailure {
    #[error("DMARC failed, and the policy is not known to be none")]
    Dmarc,
    #[error("{0}")]
    Fault(AuthenticationFault),
    #[error(
        "some programs cannot parse From or look up its domain, no DMARC result shows that the MTA could, and \
         neither SPF nor DKIM vouches for the domain"
    )]
    NoResult,
    #[error(
        "the list's domain did not pass DMARC, and no trusted ARC sealer vouches for the author"
    )]
    List,
}

/// DMARC outcome of a message, in the words of `X-Vestibule-Authenticated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthenticationOutcome {
    Pass,
    Fail,
    None,
    TempError,
}

/// Results of authenticating the From domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Authentication {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dmarc: Option<AuthenticationResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dmarc_policy: Option<DmarcPolicy>,
    /// The DMARC result of our MTA does not name its domain, or it found no policy and names the domain in U-labels,
    /// which some programs cannot look up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dmarc_unnamed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spf: Option<AuthenticationResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dkim: Option<AuthenticationResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arc: Option<AuthenticationResult>,
    /// SPF or DKIM passed for a domain of the organization in From; for exactly the domain in From, if our MTA may not
    /// have found that domain or its record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aligned: bool,
    /// Reason why none of our MTA's results are recorded above; a failure if authentication is enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<AuthenticationFault>,
    /// Trusted ARC sealer whose results contain a DMARC pass for the sender's domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arc_sealer: Option<String>,
    /// The field with the results, if they come from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Finding of each method of our own check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<AuthenticationDetail>,
}

impl Authentication {
    /// True for a failure under enforcement: a DMARC fail with a `reject` or `quarantine` policy, or unusable
    /// results of our MTA. A `fail` without a policy counts, because in that case our MTA has already decided.
    /// A message that a trusted ARC sealer vouches for never fails.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.failure().is_some()
    }

    /// The reason of [`fails`](Self::fails).
    #[must_use]
    pub fn failure(&self) -> Option<AuthenticationFailure> {
        if self.arc_sealer.is_some() {
            return None;
        }
        if let Some(fault) = self.fault {
            return Some(AuthenticationFailure::Fault(fault));
        }
        let fails = self.dmarc == Some(AuthenticationResult::Fail)
            && self.dmarc_policy != Some(DmarcPolicy::None);
        fails.then_some(AuthenticationFailure::Dmarc)
    }

    /// True if the sender's domain vouches for this message: a DMARC pass, an aligned SPF or DKIM pass if the
    /// domain has no DMARC record, or the results of a trusted ARC sealer.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.passes_dmarc()
            || self.fault.is_none()
                && self.dmarc == Some(AuthenticationResult::None)
                && self.dmarc_policy.is_none()
                && self.aligned
    }

    /// True if a check found that the sender's domain does not vouch for this message. Without a check, and after one
    /// that DNS did not answer, that is not known. Unusable results count, because a forger can cause them.
    #[must_use]
    pub fn is_known_not_to_pass(&self) -> bool {
        let result = self
            .dmarc
            .filter(|result| *result != AuthenticationResult::TempError);
        !self.passes() && (self.fault.is_some() || result.is_some())
    }

    /// A DMARC pass by our own check, our MTA's or that of a trusted ARC sealer.
    #[must_use]
    pub fn passes_dmarc(&self) -> bool {
        self.arc_sealer.is_some() || self.dmarc == Some(AuthenticationResult::Pass)
    }

    /// True if a DMARC result shows that the domain in From was found, and its record was looked up.
    pub(super) fn is_dmarc_named(&self) -> bool {
        self.dmarc.is_some() && !self.dmarc_unnamed
    }

    /// DMARC outcome in one word. Unusable results are a fail under enforcement.
    #[must_use]
    pub fn outcome(&self, is_enforced: bool) -> AuthenticationOutcome {
        if self.passes_dmarc() {
            return AuthenticationOutcome::Pass;
        }
        match (self.fault, self.dmarc) {
            (Some(_), _) if is_enforced => AuthenticationOutcome::Fail,
            (None, Some(AuthenticationResult::Fail)) => AuthenticationOutcome::Fail,
            (None, Some(AuthenticationResult::TempError)) => AuthenticationOutcome::TempError,
            _ => AuthenticationOutcome::None,
        }
    }

    /// The findings in one line; None if nothing was checked.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let summary = self.results();
        let notes = [
            self.arc_sealer
                .as_ref()
                .map(|sealer| format!("passed DMARC according to the trusted ARC sealer {sealer}")),
            self.fault.map(|fault| fault.to_string()),
        ];
        let texts: Vec<_> = notes.into_iter().chain([summary]).flatten().collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// The methods that have a result.
    pub(crate) fn by_method(
        &self,
    ) -> impl Iterator<Item = (AuthenticationMethod, AuthenticationResult)> {
        let methods = [
            (AuthenticationMethod::Dmarc, self.dmarc),
            (AuthenticationMethod::Spf, self.spf),
            (AuthenticationMethod::Dkim, self.dkim),
            (AuthenticationMethod::Arc, self.arc),
        ];
        let results = methods.into_iter();
        results.filter_map(|(method, result)| Some((method, result?)))
    }

    /// The field that was used; without one, the result of each method of our own check, with the reason of the
    /// first.
    fn results(&self) -> Option<String> {
        if let Some(evidence) = &self.evidence {
            return Some(evidence.to_string());
        }
        let results: Vec<_> = self
            .by_method()
            .map(|(method, result)| format!("{method}={result}"))
            .collect();
        let reason = self
            .details
            .first()
            .and_then(|detail| detail.reason.as_deref());
        match (results.is_empty(), reason) {
            (true, _) => None,
            (false, Some(reason)) => Some(format!("{} ({reason})", results.join(" "))),
            (false, None) => Some(results.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_check_with_a_result_shows_that_nobody_vouches() {
        let of = |dmarc| Authentication {
            dmarc,
            ..Authentication::default()
        };
        for (result, expected) in [
            (AuthenticationResult::Fail, true),
            (AuthenticationResult::None, true),
            (AuthenticationResult::PermError, true),
            (AuthenticationResult::TempError, false),
            (AuthenticationResult::Pass, false),
        ] {
            let is_known = of(Some(result)).is_known_not_to_pass();
            assert_eq!(is_known, expected, "{result}");
        }
        assert!(!of(None).is_known_not_to_pass(), "it was not checked");
        let aligned = Authentication {
            aligned: true,
            ..of(Some(AuthenticationResult::None))
        };
        assert!(!aligned.is_known_not_to_pass());
        let sealed = Authentication {
            arc_sealer: Some("sealer.example".to_owned()),
            ..of(Some(AuthenticationResult::Fail))
        };
        assert!(!sealed.is_known_not_to_pass());
        let faulty = Authentication {
            fault: Some(AuthenticationFault::Unreadable),
            ..of(None)
        };
        assert!(faulty.is_known_not_to_pass());
    }
}
