//! The certificate of the SMTP listener: its validity, expiry and name; and the certificate authorities that
//! this machine trusts.

use std::time::Duration;

use jiff::Timestamp;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError as Refusal, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::Finding;
use crate::config::Config;

/// Days before expiry at which the warning begins. ACME clients renew 30 days before expiry.
const SOON: i64 = 14;

const RENEW: &str = "renew it, then load it with: systemctl reload vestibule";

/// Checks the certificate; `None` without TLS. Loading the configuration has already checked the file, the key and
/// that they match.
pub(super) fn finding(config: &Config) -> Option<Finding> {
    let tls = config.smtp.tls.as_ref()?;
    let check = "smtp.tls";
    let key = match tls.load_certified_key() {
        Ok(key) => key,
        Err(cause) => return Some(Finding::problem(check, cause.to_string(), RENEW)),
    };
    Some(match key.cert.first() {
        Some(certificate) => judge(
            check,
            certificate,
            config.hostname.as_str(),
            Timestamp::now(),
        ),
        None => Finding::problem(check, "the chain is empty", RENEW),
    })
}

/// Checks the certificate authorities that are trusted to sign the certificates of servers.
pub(super) fn authorities() -> Finding {
    let check = "authorities";
    match rustls_native_certs::load_native_certs().certs.len() {
        0 => Finding::problem(
            check,
            "this machine has no certificate authorities: no server's TLS can be verified, and no \
             sender is checked",
            "install ca-certificates",
        ),
        known => Finding::ok(
            check,
            format!("{known} are trusted to sign servers' certificates"),
        ),
    }
}

pub(super) fn judge(
    check: &str,
    certificate: &CertificateDer<'_>,
    hostname: &str,
    now: Timestamp,
) -> Finding {
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else {
        return Finding::problem(check, "it is not a usable X.509 certificate", RENEW);
    };
    let (Some(begin), Some(end)) = (not_before(&parsed), not_after(&parsed)) else {
        return Finding::problem(check, "its dates cannot be read", RENEW);
    };
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    let left = (end.as_second() - now.as_second()).div_euclid(24 * 60 * 60);
    if now > end {
        return Finding::problem(check, format!("it expired on {}", day(end)), RENEW);
    }
    if now < begin {
        return Finding::problem(
            check,
            format!("it is not valid before {}", day(begin)),
            "check the clock: timedatectl",
        );
    }
    let detail = format!("it is valid until {}, for {left} more days", day(end));
    if left < SOON {
        return Finding::warning(check, detail, RENEW);
    }
    let is_for_us =
        ServerName::try_from(hostname).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
    if !is_for_us {
        return Finding::warning(
            check,
            format!("{detail}; it is not for {hostname}"),
            "an MTA that verifies it will refuse it: set hostname to a name in the certificate",
        );
    }
    Finding::ok(check, detail)
}

/// End of validity. rustls reports the dates only when it rejects a certificate because of them, so the certificate
/// is verified at a time far in the future and at one far in the past. rustls checks the dates before anything
/// else.
fn not_after(certificate: &ParsedCertificate<'_>) -> Option<Timestamp> {
    match refusal(certificate, u64::MAX)? {
        Refusal::ExpiredContext { not_after, .. } => timestamp(not_after),
        _ => None,
    }
}

fn not_before(certificate: &ParsedCertificate<'_>) -> Option<Timestamp> {
    match refusal(certificate, 0)? {
        Refusal::NotValidYetContext { not_before, .. } => timestamp(not_before),
        _ => None,
    }
}

fn refusal(certificate: &ParsedCertificate<'_>, seconds: u64) -> Option<Refusal> {
    let outcome = verify_server_cert_signed_by_trust_anchor(
        certificate,
        &RootCertStore::empty(),
        &[],
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .all,
    );
    match outcome {
        Err(rustls::Error::InvalidCertificate(refusal)) => Some(refusal),
        _ => None,
    }
}

fn timestamp(time: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok()
}
