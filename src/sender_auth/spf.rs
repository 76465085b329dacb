//! SPF (RFC 7208): checks that the domain of the envelope permits this client to send for it.
//!
//! Takes the client and the reverse-path. Returns a finding, and the query with its answer for DMARC.

mod evaluation;
mod macros;
mod record;

use std::net::IpAddr;

use mail_auth::{MessageAuthenticator, SpfOutput, SpfResult};

use self::evaluation::SpfEvaluation;
use super::alignment::dns_name;
use super::client::Client;
use super::own_results::property;
use crate::domain::ReversePath;
use crate::mail::{AuthenticationDetail, AuthenticationMethod, AuthenticationResult};

/// The SPF query for a message, or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SpfQuery {
    Ask(SpfIdentity),
    /// The message gives SPF no identity to check; the sender caused that.
    NoDomain(&'static str),
    /// We lack information about the client; the sender did not cause that.
    Unknown(&'static str),
}

/// The identity that is checked (RFC 7208 2.4, or 2.3 if the reverse-path is null).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpfIdentity {
    address: IpAddr,
    source: &'static str,
    /// ASCII form.
    domain: String,
    helo: String,
    /// The reverse-path; None if the HELO name is checked.
    mailbox: Option<String>,
}

impl SpfQuery {
    pub(super) fn of(client: &Client, reverse_path: &ReversePath) -> Self {
        let (address, helo, source) = match client {
            Client::Outside {
                address,
                helo,
                source,
            } => (
                address.to_canonical(),
                helo.as_deref().unwrap_or_default(),
                *source,
            ),
            Client::Inside => return Self::Unknown("no client outside our own machines"),
            Client::Unreadable => {
                return Self::Unknown("the MTA's Received field does not name the client");
            }
        };
        let helo = dns_name(helo).unwrap_or_default();
        let (domain, mailbox) = match reverse_path {
            ReversePath::Unknown => return Self::Unknown("the envelope sender is unknown"),
            // A single label is not a domain that anybody could publish for (RFC 7208 4.3).
            ReversePath::Null if !helo.contains('.') => {
                return Self::NoDomain("the client gave no domain with HELO");
            }
            ReversePath::Null => (helo.clone(), None),
            ReversePath::Mailbox(mailbox) => {
                let named = mailbox.rsplit_once('@');
                let Some((local, domain)) =
                    named.and_then(|(local, domain)| Some((local, dns_name(domain)?)))
                else {
                    return Self::NoDomain("the reverse-path has no domain");
                };
                let mailbox = format!("{local}@{domain}");
                (domain, Some(mailbox))
            }
        };
        Self::Ask(SpfIdentity {
            address,
            source,
            domain,
            helo,
            mailbox,
        })
    }

    /// True if no query is possible for lack of information about the client.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// Queries DNS.
    pub(super) async fn ask(&self, dns: &MessageAuthenticator) -> Option<SpfOutput> {
        match self {
            Self::Ask(identity) => Some(identity.verify(dns).await),
            Self::NoDomain(_) | Self::Unknown(_) => None,
        }
    }

    /// The output if DNS did not answer in time.
    pub(super) fn output_without_answer(&self) -> Option<SpfOutput> {
        match self {
            Self::Ask(identity) => {
                Some(SpfOutput::new(identity.domain.clone()).with_result(SpfResult::TempError))
            }
            Self::NoDomain(_) | Self::Unknown(_) => None,
        }
    }

    pub(super) fn finding(&self, answer: Option<&SpfOutput>) -> AuthenticationDetail {
        let (result, properties, reason) = match self {
            Self::Ask(identity) => (
                result(answer.map_or(SpfResult::TempError, SpfOutput::result)),
                vec![identity.property()],
                format!("client {} by {}", identity.address, identity.source),
            ),
            Self::NoDomain(why) | Self::Unknown(why) => {
                (AuthenticationResult::None, Vec::new(), (*why).to_owned())
            }
        };
        AuthenticationDetail {
            method: AuthenticationMethod::Spf,
            result,
            properties,
            reason: Some(reason),
        }
    }
}

impl SpfIdentity {
    async fn verify(&self, dns: &MessageAuthenticator) -> SpfOutput {
        let mut evaluation = SpfEvaluation::of(self, dns);
        let result = evaluation.check_host(&self.domain).await;
        SpfOutput::new(self.domain.clone()).with_result(result)
    }

    fn property(&self) -> (String, String) {
        match &self.mailbox {
            Some(mailbox) => property("smtp.mailfrom", mailbox),
            None => property("smtp.helo", &self.helo),
        }
    }
}

/// Maps a result to one of RFC 8601 2.7.2.
fn result(result: SpfResult) -> AuthenticationResult {
    match result {
        SpfResult::Pass => AuthenticationResult::Pass,
        SpfResult::Fail => AuthenticationResult::Fail,
        SpfResult::SoftFail => AuthenticationResult::SoftFail,
        SpfResult::Neutral => AuthenticationResult::Neutral,
        SpfResult::TempError => AuthenticationResult::TempError,
        SpfResult::PermError => AuthenticationResult::PermError,
        SpfResult::None => AuthenticationResult::None,
    }
}
