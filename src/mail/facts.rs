//! Facts about one message. They are stored with the ledger entry, so that a decision can be explained and
//! repeated under other settings without the message.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Authentication, AuthenticationFailure};
use crate::domain::{Class, Domain, EmailAddress, LanguagePriority, to_hex};

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

/// The single author in `From:`, or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sender {
    Usable {
        /// Entries of earlier versions may contain an address that is no longer usable.
        #[serde(deserialize_with = "stored_address")]
        address: EmailAddress,
        /// The addr-spec as written in the field.
        written: String,
        /// A warning if the domain mixes scripts so as to look like another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lookalike: Option<String>,
        /// The field violates the grammar of RFC 5322, or has a form that some programs cannot parse or look up, but
        /// contains only this address.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lenient: bool,
    },
    Unusable {
        fault: SenderFault,
        /// The addr-spec, if every reader finds the same one, for example with a domain literal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        written: Option<String>,
    },
}

fn stored_address<'de, D: serde::Deserializer<'de>>(source: D) -> Result<EmailAddress, D::Error> {
    let text = String::deserialize(source)?;
    EmailAddress::parse_stored(&text).map_err(serde::de::Error::custom)
}

impl Sender {
    #[must_use]
    pub fn address(&self) -> Option<&EmailAddress> {
        match self {
            Self::Usable { address, .. } => Some(address),
            Self::Unusable { .. } => None,
        }
    }

    /// The addr-spec as written in the message.
    #[must_use]
    pub fn addr_spec(&self) -> Option<&str> {
        match self {
            Self::Usable { written, .. } => Some(written),
            Self::Unusable { written, .. } => written.as_deref(),
        }
    }

    /// Domain of the single address in From, usable or not: it has to vouch for the message, even if it is a
    /// mailing list's and not the author's.
    #[must_use]
    pub fn domain(&self) -> Option<Domain> {
        if let Some(address) = self.address() {
            return Some(address.domain().clone());
        }
        let address = EmailAddress::parse(self.addr_spec()?).ok()?;
        Some(address.domain().clone())
    }

    /// True for a usable sender in a field that some programs cannot parse, or in a domain that some cannot look up.
    pub(super) fn is_lenient(&self) -> bool {
        matches!(self, Self::Usable { lenient: true, .. })
    }

    pub(super) fn unusable(fault: SenderFault) -> Self {
        Self::Unusable {
            fault,
            written: None,
        }
    }
}

/// Reason why there is no usable sender.
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
    #[error("the address has an address literal instead of a domain")]
    DomainLiteral,
    #[error("From contains no valid address: {0}")]
    NotAnAddress(String),
    #[error("From is ambiguous: {0}")]
    Ambiguous(String),
    #[error("From is an address of a mailing list or made up by one, and no field names an author")]
    MailingList,
}

/// The author of a message whose From contains a mailing list's own address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAuthor {
    /// Identifier of the list whose address is in From: one of `list_ids`. Whoever runs the list can
    /// name any author, so the author counts only for a portal that owns the list.
    pub list: String,
    pub author: Sender,
    /// Field that names the author.
    #[serde(default)]
    pub field: String,
}

/// Kind of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// Delivery status notification (RFC 3464).
    Dsn,
    /// Message disposition notification (RFC 8098).
    Mdn,
    /// A delivery report in a mail server's own format (qmail, Exchange, sendmail, Exim).
    Text,
}

/// Result for one recipient of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportedRecipient {
    pub address: String,
    /// RFC 3464 2.3.3: `failed`, `delayed`, `delivered`, `relayed`, `expanded`; lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// RFC 3463, such as `5.1.1`; taken from the SMTP reply in Diagnostic-Code if the report has none, or a
    /// meaningless one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// It is about another address, to which a mail server forwarded the message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
}

/// A delivery report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    pub kind: ReportKind,
    pub evidence: Evidence,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<ReportedRecipient>,
    /// Message-ID of the reported message, without angle brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_message_id: Option<String>,
}

/// SHA-256 over everything that stays the same when an MTA sends the same message again: the body and the
/// fields of the author's program, without trace fields (RFC 5322 3.6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Replaces the fingerprint of a message whose author was forgotten, or a person that it is about.
    pub const FORGOTTEN: Self = Self([0; 32]);
}

impl From<Fingerprint> for String {
    fn from(print: Fingerprint) -> Self {
        to_hex(&print.0)
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

/// All facts about one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Facts {
    pub sender: Sender,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_behind_list: Option<ListAuthor>,
    /// From is an address of the list that the message came through, or one that a list made up for the author,
    /// and nothing names the author. If the list is the portal's own, there is no sender.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_is_list: bool,
    /// Decoded, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Without angle brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Text of the `Date` field, if there is no Message-ID to tell messages apart by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<Evidence>,
    /// A sign of automatic mail that also occurs in people's mail; it counts if the sender has no active
    /// account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presumed_automatic: Option<Evidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk: Option<Evidence>,
    /// The identifiers of `List-Id` fields (RFC 2919), lower case, without angle brackets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list_ids: Vec<String>,
    /// Languages in which the sender writes and reads, from `Content-Language` and `Accept-Language`.
    #[serde(default, skip_serializing_if = "LanguagePriority::is_empty")]
    pub languages: LanguagePriority,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// Our own loop header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_mark: Option<Evidence>,
    /// Field by which our own MTA marked the message as spam.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spam: Option<Evidence>,
    /// Number of Received fields.
    pub received_fields: u32,
    pub authentication: Authentication,
    pub fingerprint: Fingerprint,
    /// Size of the message as received, in octets.
    pub size: u64,
    /// Number of our valid links and reply addresses that were overwritten before the message was stored.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub masked_links: u32,
    /// The mbox line at the top of the message. It is not passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mbox_line: Option<Evidence>,
}

/// serde passes fields by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Facts {
    /// True if the author of the message was forgotten, or a person that it is about.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.fingerprint == Fingerprint::FORGOTTEN
    }

    /// Reason why the message fails enforced authentication, as a message of the author behind the list if
    /// `behind_list` is true, and of the sender in From otherwise.
    #[must_use]
    pub fn authentication_failure(&self, behind_list: bool) -> Option<AuthenticationFailure> {
        let found = &self.authentication;
        if behind_list {
            // Whoever runs the list can name any author, and anyone can name the list.
            return (!found.passes_dmarc()).then_some(AuthenticationFailure::List);
        }
        found.failure().or_else(|| {
            // Our MTA may have read another address, or none, for DMARC.
            let vouched = found.is_dmarc_named() || found.aligned || found.arc_sealer.is_some();
            (self.sender.is_lenient() && !vouched).then_some(AuthenticationFailure::NoResult)
        })
    }

    /// Class of the message. The first that applies counts: report, automatic, bulk, normal. Accounts are not
    /// considered: a presumed sign makes it automatic.
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

    /// Evidence that a program wrote it, as far as can be told without the sender's account.
    #[must_use]
    pub fn automatic_evidence(&self) -> Option<&Evidence> {
        self.automatic.as_ref().or(self.presumed_automatic.as_ref())
    }

    /// True if there is [such evidence](Self::automatic_evidence).
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        self.automatic_evidence().is_some()
    }

    /// Evidence for [`class`](Self::class).
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        let report = self.report.as_ref().map(|report| &report.evidence);
        report.or(self.automatic_evidence()).or(self.bulk.as_ref())
    }
}
