//! What is known about whether the sender's domain vouches for a message.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Evidence;

/// The results of RFC 8601 2.7 that a method can have.
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

impl AuthenticationResult {
    /// The word for it in an `Authentication-Results` field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::Policy => "policy",
            Self::None => "none",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl AuthenticationMethod {
    /// The word for it in an `Authentication-Results` field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dmarc => "dmarc",
            Self::Spf => "spf",
            Self::Dkim => "dkim",
            Self::Arc => "arc",
        }
    }
}

/// What the domain's DMARC record asks for (RFC 7489 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DmarcPolicy {
    None,
    Quarantine,
    Reject,
}

/// How a domain can vouch for a message.
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

/// One finding of our own check, in the parts that RFC 8601 2.2 has for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthenticationDetail {
    pub method: AuthenticationMethod,
    pub result: AuthenticationResult,
    /// What it was found about, such as `header.d` and a domain; at most 320 characters each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why the word of our own MTA about a message cannot be used.
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

/// Why a message does not get past an enforced authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationFailure {
    #[error("DMARC failed, and the domain asks for it to count")]
    Dmarc,
    #[error("{0}")]
    Fault(AuthenticationFault),
    #[error("From does not follow RFC 5322, and no DMARC result says which domain the MTA read")]
    NoResult,
    #[error(
        "the list's domain did not pass DMARC, and no trusted ARC sealer vouches for the author"
    )]
    List,
}

/// What DMARC says of a message, in the words of `X-Vestibule-Authenticated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthenticationOutcome {
    Pass,
    Fail,
    None,
    TempError,
}

impl AuthenticationOutcome {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::None => "none",
            Self::TempError => "temperror",
        }
    }
}

/// What is known about whether the From domain vouches for the message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Authentication {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dmarc: Option<AuthenticationResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dmarc_policy: Option<DmarcPolicy>,
    /// The DMARC result of our MTA does not say which domain it is about.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dmarc_unnamed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spf: Option<AuthenticationResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dkim: Option<AuthenticationResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arc: Option<AuthenticationResult>,
    /// SPF or DKIM passed for a domain of the organization in From.
    #[serde(default, skip_serializing_if = "is_false")]
    pub aligned: bool,
    /// Why nothing of what our MTA said is above; a failure where authentication is enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<AuthenticationFault>,
    /// The trusted ARC sealer in whose results the sender's domain passed DMARC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arc_sealer: Option<String>,
    /// The field all this was read from, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What each method found, where the check was our own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<AuthenticationDetail>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

impl Authentication {
    /// A failure where authentication is enforced: a DMARC fail under a `reject` or `quarantine`
    /// policy, or results of our MTA that cannot be used. A `fail` without a policy counts, for our
    /// MTA has judged then. Nothing is a failure that a trusted ARC sealer vouches for.
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

    /// The sender's domain vouches for this message: a DMARC pass, an aligned SPF or DKIM pass where
    /// the domain has no DMARC record, or the word of a trusted ARC sealer.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.passes_dmarc()
            || self.fault.is_none()
                && self.dmarc == Some(AuthenticationResult::None)
                && self.dmarc_policy.is_none()
                && self.aligned
    }

    /// A DMARC pass, by our own check, our MTA's or that of a trusted ARC sealer.
    #[must_use]
    pub fn passes_dmarc(&self) -> bool {
        self.arc_sealer.is_some() || self.dmarc == Some(AuthenticationResult::Pass)
    }

    /// What DMARC says, in one word. Results that cannot be used are a fail where that is enforced.
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

    /// The findings in one line; none where nothing was looked at.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let summary = self.results();
        let notes = [
            self.arc_sealer
                .as_ref()
                .map(|sealer| format!("passed DMARC, says the trusted ARC sealer {sealer}")),
            self.fault.map(|fault| fault.to_string()),
        ];
        let texts: Vec<_> = notes.into_iter().chain([summary]).flatten().collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// The field that was believed, or the result of each method of our own with the reason of the
    /// first.
    fn results(&self) -> Option<String> {
        if let Some(evidence) = &self.evidence {
            return Some(evidence.to_string());
        }
        let methods = [
            ("dmarc", self.dmarc),
            ("spf", self.spf),
            ("dkim", self.dkim),
            ("arc", self.arc),
        ];
        let results: Vec<_> = methods
            .iter()
            .filter_map(|(name, result)| Some(format!("{name}={}", (*result)?.as_str())))
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
