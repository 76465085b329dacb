//! A checker with its DNS, messages to check, and the keys to sign them with.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{DkimSigner, Done};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use vestibule::access::Enforcement;
use vestibule::config;
use vestibule::domain::{Domain, Envelope, ForwardedClient};
use vestibule::mail::{Authentication, AuthenticationDetail, AuthenticationMethod};
use vestibule::sender_auth::Checker;

use super::dns::Dns;
use crate::support::arrival;

/// The address that all messages come from.
pub const CLIENT: &str = "203.0.113.9";

/// Records of all zones of these tests: two keys of the forged domain, one of another.
pub static KEYS: LazyLock<String> = LazyLock::new(|| {
    let rsa = include_str!("../../../testdata/authentication/rsa2048.pub").trim();
    let ed25519 = STANDARD.encode(ed25519().public_key());
    let mut zone = String::new();
    for domain in [
        "corp.example",
        "mail.corp.example",
        "other.example",
        "list.example",
        "trusted.example",
    ] {
        let _ = writeln!(zone, "rsa._domainkey.{domain} TXT v=DKIM1; k=rsa; p={rsa}");
        let _ = writeln!(
            zone,
            "ed._domainkey.{domain} TXT v=DKIM1; k=ed25519; p={ed25519}"
        );
    }
    zone
});

static ED25519: LazyLock<Vec<u8>> = LazyLock::new(|| Ed25519Key::generate_pkcs8().expect("a key"));

pub fn ed25519() -> Ed25519Key {
    Ed25519Key::from_pkcs8_der(&ED25519).expect("a key")
}

pub fn rsa() -> RsaKey<Sha256> {
    let pem = include_bytes!("../../../testdata/authentication/rsa2048.pem");
    let der = PrivateKeyDer::from_pem_slice(pem).expect("a key");
    RsaKey::from_key_der(der).expect("a key")
}

/// An RSA signer; the selector is `rsa`.
pub fn signer(domain: &str) -> DkimSigner<RsaKey<Sha256>, Done> {
    DkimSigner::from_key(rsa())
        .domain(domain)
        .selector("rsa")
        .headers(["From", "To", "Subject"])
}

/// The message with a signature of this domain on top.
pub fn signed(domain: &str, message: &str) -> String {
    let signature = signer(domain)
        .sign(message.as_bytes())
        .expect("a signature");
    format!("{}{message}", signature.to_header())
}

/// A message as the MTA forwards it.
pub fn verification_mail(from: &str) -> String {
    format!(
        "Received: from mail.sender.example (mail.sender.example [{CLIENT}])\r\n\
         \tby mx.corp.example (Postfix) with ESMTPS id 4F1;\r\n\
         \tMon, 23 Nov 2026 10:00:00 +0000\r\n\
         From: Ann <ann@{from}>\r\n\
         To: it-help@corp.example\r\n\
         Subject: My screen is dark\r\n\
         Message-ID: <1@{from}>\r\n\
         \r\n\
         It was bright yesterday.\r\n"
    )
}

pub fn envelope(mail_from: &str) -> Envelope {
    Envelope {
        helo: "mx.corp.example".to_owned(),
        ..arrival::envelope(mail_from, &[])
    }
}

/// An envelope for which the MTA reported the client by XFORWARD.
pub fn forwarded(mail_from: &str, address: &str, helo: &str) -> Envelope {
    Envelope {
        client: Some(ForwardedClient {
            name: None,
            address: Some(address.parse().expect("an address")),
            helo: Some(helo.to_owned()),
        }),
        ..envelope(mail_from)
    }
}

pub struct Harness {
    pub dns: Dns,
    pub checker: Checker,
}

impl Harness {
    pub async fn new(zone: &str) -> Self {
        Self::with_timeout(zone, Duration::from_mins(1)).await
    }

    pub async fn with_timeout(zone: &str, timeout: Duration) -> Self {
        let dns = Dns::start(&format!("{}{zone}", *KEYS)).await;
        let checker = checker(dns.address, timeout);
        Self { dns, checker }
    }

    /// Checks a message with `mail_from` in its envelope.
    pub async fn check(&self, raw: &str, mail_from: &str, from: &str) -> Authentication {
        self.check_in(raw, &envelope(mail_from), from).await
    }

    pub async fn check_in(&self, raw: &str, envelope: &Envelope, from: &str) -> Authentication {
        let from = Domain::parse(from).expect("a domain");
        self.checker
            .check(raw.as_bytes(), envelope, Some(&from), None)
            .await
    }
}

/// A checker that uses this DNS server.
pub fn checker(resolver: SocketAddr, timeout: Duration) -> Checker {
    let settings = config::AuthenticationConfig {
        mode: Enforcement::Enforce,
        authserv_id: None,
        resolvers: vec![resolver],
        timeout,
        trusted_arc_sealers: vec![Domain::parse("trusted.example").expect("a domain")],
    };
    let ours = ["10.0.0.0/8".parse().expect("a network")];
    Checker::new(&settings, &ours).expect("a checker")
}

pub fn details(found: &Authentication, method: AuthenticationMethod) -> Vec<&AuthenticationDetail> {
    found
        .details
        .iter()
        .filter(|detail| detail.method == method)
        .collect()
}

/// The only finding of a method, as text: result and reason.
pub fn said(found: &Authentication, method: AuthenticationMethod) -> String {
    let details = details(found, method);
    assert_eq!(details.len(), 1, "{details:?}");
    format!(
        "{}: {}",
        details[0].result.as_str(),
        details[0].reason.as_deref().unwrap_or("no reason")
    )
}
