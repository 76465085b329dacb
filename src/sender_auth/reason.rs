//! Short texts for the causes of authentication failures.

use mail_auth::dkim::DkimError;
use mail_auth::{DnsError, Error};

/// The reason of every `temperror`.
pub(super) const NO_ANSWER: &str = "DNS did not answer";

/// Text in our words, or the library's where it is clear enough.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::Dkim(DkimError::FailedBodyHashMatch) => "the body was changed".to_owned(),
        Error::Dkim(DkimError::SignatureExpired) => "the signature has expired".to_owned(),
        Error::Dkim(DkimError::SignatureLength) => {
            "only part of the body is signed (l=)".to_owned()
        }
        Error::Dkim(DkimError::RevokedPublicKey) => "the key was revoked".to_owned(),
        Error::Dkim(DkimError::UnsupportedKeyType) => "the key is not for this use".to_owned(),
        Error::Crypto(_) => "the signature does not match the message".to_owned(),
        Error::Dns(DnsError::RecordNotFound(_)) => "there is no key in DNS".to_owned(),
        Error::Dns(DnsError::Resolver(_)) => NO_ANSWER.to_owned(),
        Error::Dns(DnsError::InvalidRecordType) | Error::ParseError => {
            "the record in DNS cannot be read".to_owned()
        }
        other => other.to_string(),
    }
}
