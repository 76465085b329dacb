//! What was found out about one message. Facts are stored with the ledger entry, so that a decision
//! can be explained and tried again under other settings without the message.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Class, EmailAddress};

/// A header field that was the evidence of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    pub field: String,
    /// Unfolded, control characters escaped, at most 200 characters.
    pub value: String,
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.value)
    }
}

/// The one author in `From:`, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sender {
    Usable {
        address: EmailAddress,
        /// The addr-spec as it stands in the field.
        written: String,
        /// A warning where the domain mixes scripts so as to look like another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lookalike: Option<String>,
        /// The field breaks the grammar of RFC 5322, and holds this one address nevertheless.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lenient: bool,
    },
    Unusable {
        fault: SenderFault,
        /// The addr-spec, where there is exactly one that all readings agree on (a domain literal).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        written: Option<String>,
    },
}

impl Sender {
    #[must_use]
    pub fn address(&self) -> Option<&EmailAddress> {
        match self {
            Self::Usable { address, .. } => Some(address),
            Self::Unusable { .. } => None,
        }
    }

    /// The addr-spec as it stands in the message.
    #[must_use]
    pub fn written(&self) -> Option<&str> {
        match self {
            Self::Usable { written, .. } => Some(written),
            Self::Unusable { written, .. } => written.as_deref(),
        }
    }
}

/// Why nobody can be taken for the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, ToSchema)]
#[serde(rename_all = "snake_case", tag = "fault", content = "detail")]
pub enum SenderFault {
    #[error("there is no From field")]
    Missing,
    #[error("From names more than one author")]
    SeveralAuthors,
    #[error("there is more than one From field")]
    SeveralFields,
    #[error("From names a group without a member")]
    EmptyGroup,
    #[error("the address has no domain")]
    NoDomain,
    #[error("the address has an address literal in place of a domain")]
    DomainLiteral,
    #[error("From holds no address: {0}")]
    NotAnAddress(String),
    #[error("From can be read in two ways: {0}")]
    Ambiguous(String),
    #[error("From is the address of a mailing list, and no field names an author")]
    MailingList,
}

/// Who wrote, where a mailing list put its own address into From.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAuthor {
    /// The identifier of the list whose address From is: one of [`Facts::list_ids`]. Whoever runs
    /// it can name any author, so that the author counts for those only to whom it belongs.
    pub list: String,
    pub author: Sender,
}

/// What kind of report a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// Delivery status notification (RFC 3464).
    Dsn,
    /// Message disposition notification (RFC 8098).
    Mdn,
    /// A delivery report in a mailer's own words (qmail, Exchange, sendmail, Exim).
    Text,
}

/// What a report says of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportedRecipient {
    pub address: String,
    /// RFC 3464 2.3.3: `failed`, `delayed`, `delivered`, `relayed`, `expanded`; lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// RFC 3463, such as `5.1.1`; read from the SMTP reply in Diagnostic-Code where the report has
    /// none, or one that says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// A delivery report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    pub kind: ReportKind,
    pub evidence: Evidence,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<ReportedRecipient>,
    /// The Message-ID of the message reported on, without angle brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_message_id: Option<String>,
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// What is known about whether the From domain vouches for the message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Authentication {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dmarc: Option<AuthenticationResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dmarc_policy: Option<DmarcPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spf: Option<AuthenticationResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dkim: Option<AuthenticationResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arc: Option<AuthenticationResult>,
    /// The field all this was read from, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What each method found, where the check was our own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<AuthenticationDetail>,
}

impl Authentication {
    /// A DMARC fail under a `reject` or `quarantine` policy; nothing else is a failure. Where the
    /// field says `fail` and names no policy, our MTA has already judged, and that counts.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.dmarc == Some(AuthenticationResult::Fail)
            && self.dmarc_policy != Some(DmarcPolicy::None)
    }

    /// The From domain vouches for this message by DMARC.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.dmarc == Some(AuthenticationResult::Pass)
    }

    /// What was gone by, in one line: the field that was believed, or the result of each method of
    /// our own with the reason of the first. None where nothing was looked at.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
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

/// SHA-256 over what stays the same when an MTA hands over the same message again: the body and the
/// fields the author's program wrote, not the trace fields (RFC 5322 3.6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct Fingerprint(pub [u8; 32]);

impl From<Fingerprint> for String {
    fn from(print: Fingerprint) -> Self {
        print
            .0
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err("a fingerprint is 64 hexadecimal digits");
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .ok_or("a fingerprint is 64 hexadecimal digits")?;
        }
        Ok(Self(bytes))
    }
}

/// All that reading one message found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Facts {
    pub sender: Sender,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_behind_list: Option<ListAuthor>,
    /// From is an address of the list that the message came through, and nothing names an author.
    /// Where the list is the portal's own, there is no sender.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_is_list: bool,
    /// Decoded, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Without angle brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The `Date` field as it stands, where there is no Message-ID to tell messages apart by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<Evidence>,
    /// A sign of automatic mail that people's mail can have too; it counts where the sender has no
    /// active account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presumed_automatic: Option<Evidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk: Option<Evidence>,
    /// The identifiers of `List-Id` fields (RFC 2919), lower case, without angle brackets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list_ids: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// Our own loop header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_mark: Option<Evidence>,
    /// How many Received fields there are.
    pub received_fields: u32,
    pub authentication: Authentication,
    pub fingerprint: Fingerprint,
    /// Octets of the message as it came.
    pub size: u64,
}

impl Facts {
    /// The message in one word; a report is a report before it is automatic, and so on. Says what the
    /// message looks like, whoever has an account: a presumption makes it automatic.
    #[must_use]
    pub fn class(&self) -> Class {
        if self.report.is_some() {
            Class::Bounce
        } else if self.is_automatic() {
            Class::Automatic
        } else if self.bulk.is_some() {
            Class::Bulk
        } else {
            Class::Normal
        }
    }

    /// A program wrote it, for all that is known without the sender's account.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        self.automatic.is_some() || self.presumed_automatic.is_some()
    }

    /// The field behind [`class`](Self::class).
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        match self.class() {
            Class::Bounce => self.report.as_ref().map(|report| &report.evidence),
            Class::Automatic => self.automatic.as_ref().or(self.presumed_automatic.as_ref()),
            Class::Bulk => self.bulk.as_ref(),
            Class::Normal => None,
        }
    }
}
