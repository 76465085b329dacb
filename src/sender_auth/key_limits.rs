//! Limits that a DKIM key record sets to the use of its key (RFC 6376 3.6.1): hash algorithms (`h=`) and services
//! (`s=`).
//!
//! `mail-auth` parses these tags but does not apply them. So the holder of a key for TLS reports (RFC 8460 3) could
//! sign mail.

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::{DomainKey, VerifySignature};
use mail_auth::dkim::{DkimError, Signature};
use mail_auth::hickory_resolver::proto::rr::{Name, RData, RecordType};
use mail_auth::{AuthenticatedMessage, DkimOutput, DkimResult, Error, MessageAuthenticator};

/// The values of each tag that permit mail with SHA-256, the only hash that counts here.
const LIMITS: [(&[u8], &[&[u8]]); 2] = [(b"h", &[b"sha256"]), (b"s", &[b"email", b"*"])];

/// Verifies the signatures of the message, and rejects those whose key is not for mail.
pub(super) async fn verify_signatures<'x>(
    dns: &MessageAuthenticator,
    message: &'x AuthenticatedMessage<'x>,
) -> Vec<DkimOutput<'x>> {
    let mut outputs = dns.verify_dkim(message).await;
    for output in &mut outputs {
        let signature = passed_signature(output, message);
        let Some(signature) = signature else {
            continue;
        };
        let refused = match permits_mail(dns, signature).await {
            Ok(true) => continue,
            Ok(false) => DkimOutput::perm_err(Error::Dkim(DkimError::UnsupportedKeyType)),
            Err(cause) => DkimOutput::temp_err(cause),
        };
        *output = refused.with_signature(signature);
    }
    outputs
}

/// The signature of an output that passed, with the lifetime of its message.
fn passed_signature<'x>(
    output: &DkimOutput<'_>,
    message: &'x AuthenticatedMessage<'_>,
) -> Option<&'x Signature> {
    let passed = output
        .signature()
        .filter(|_| *output.result() == DkimResult::Pass)?;
    let mut signatures = message.dkim_headers.iter().map(|header| &header.header);
    signatures.find(|signature| std::ptr::eq(passed, *signature))
}

/// False if the key of the signature is for other uses only. The answer is cached until its TTL expires, so this
/// rarely costs a further query.
async fn permits_mail(dns: &MessageAuthenticator, signature: &Signature) -> Result<bool, Error> {
    // The same parser as that of `mail-auth`: an escape in a selector must not hide the key's record from us.
    let Ok(name) = Name::from_str_relaxed(signature.domain_key()) else {
        return Ok(false);
    };
    let answer = dns.resolver().lookup(name, RecordType::TXT).await?;
    let texts = answer
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        });
    // The first key is the one that verified the signature.
    let mut keys = texts.filter(|text| DomainKey::parse(text).is_ok());
    Ok(keys.next().is_some_and(|key| is_for_mail(&key)))
}

fn is_for_mail(record: &[u8]) -> bool {
    let mut tags = record.split(|byte| *byte == b';').filter_map(|tag| {
        let at = memchr::memchr(b'=', tag)?;
        Some((tag[..at].trim_ascii(), &tag[at + 1..]))
    });
    tags.all(|(name, value)| {
        let limit = LIMITS.iter().find(|(limited, _)| name == *limited);
        limit.is_none_or(|(_, permitted)| {
            let mut values = value.split(|byte| *byte == b':').map(<[u8]>::trim_ascii);
            value.trim_ascii().is_empty()
                || values.any(|value| {
                    permitted
                        .iter()
                        .any(|permitted| value.eq_ignore_ascii_case(permitted))
                })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_mail_unless_its_record_says_otherwise() {
        for (tags, expected) in [
            ("", true),
            ("h=sha256", true),
            ("h=sha1:sha256", true),
            ("h = sha1 : SHA256 ", true),
            ("h=", true),
            ("h=sha1", false),
            ("h=sha512", false),
            ("s=email", true),
            ("s=*", true),
            ("s=tlsrpt:email", true),
            ("s=tlsrpt", false),
            ("s=email; h=sha1", false),
            ("n=s=tlsrpt", true),
        ] {
            let record = format!("v=DKIM1; k=rsa; {tags}; p=AAAA");
            assert_eq!(is_for_mail(record.as_bytes()), expected, "{tags}");
        }
    }
}
