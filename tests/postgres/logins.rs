//! Logins: certificates and passwords, against `PgBouncer` in place of the server.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use vestibule::config::{PostgresServer, Secret};
use vestibule::store::{StoreError, inspect_server};

use crate::pooler::Pooler;

/// An authority's certificate, and a certificate for `localhost` with its key, all as PEM.
fn certificates() -> [String; 3] {
    let mut made = CertificateParams::new(Vec::new()).expect("no names");
    made.distinguished_name
        .push(DnType::CommonName, "Test Authority");
    made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = made.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(made, key);
    let own = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let key = KeyPair::generate().expect("a key");
    let certificate = own.signed_by(&key, &issuer).expect("a certificate").pem();
    [authority, certificate, key.serialize_pem()]
}

#[test]
fn the_certificate_of_the_server_is_checked_as_sslmode_requires() {
    let [authority, certificate, key] = certificates();
    let pooler = Pooler::start_with(
        "auth_type = any
         client_tls_sslmode = require
         client_tls_key_file = key.pem
         client_tls_cert_file = certificate.pem",
        &[
            ("key.pem", key),
            ("certificate.pem", certificate),
            ("authority.pem", authority),
            ("other.pem", certificates()[0].clone()),
        ],
    );
    for (mode, host, file, accepted) in [
        ("verify-full", "localhost", Some("authority.pem"), true),
        ("verify-full", "127.0.0.1", Some("authority.pem"), false),
        ("verify-full", "localhost", Some("other.pem"), false),
        ("verify-full", "localhost", Some("key.pem"), false),
        // The system's authorities do not include it.
        ("verify-full", "localhost", None, false),
        ("verify-ca", "127.0.0.1", Some("authority.pem"), true),
        ("verify-ca", "127.0.0.1", Some("other.pem"), false),
        ("require", "127.0.0.1", None, true),
        // The server insists on TLS.
        ("disable", "127.0.0.1", None, false),
    ] {
        let url = format!("{}?sslmode={mode}", pooler.url_at(host));
        let mut place = PostgresServer::parse(&url).expect("a place");
        place.pooler = true;
        place.ca_file = file.map(|file| pooler.folder.path().join(file));
        let outcome = inspect_server(&place);
        let case = format!("{mode} {host} {file:?}: {outcome:?}");
        if accepted {
            outcome.expect(&case);
        } else {
            let is_refused = matches!(outcome, Err(StoreError::Refused(_)));
            // To the pooler, a client without TLS is one that breaks its protocol.
            let is_away = mode == "disable" && matches!(outcome, Err(StoreError::Away(_)));
            assert!(is_refused || is_away, "{case}");
        }
    }
}

#[test]
fn a_password_is_verified_without_being_sent() {
    let pooler = Pooler::start_with(
        "auth_type = scram-sha-256
         auth_file = users",
        &[("users", "\"vestibule\" \"correct horse\"\n".to_owned())],
    );
    for (password, accepted) in [
        ("correct horse", true),
        ("correct horse ", false),
        ("", false),
    ] {
        let url = pooler.url_at("127.0.0.1");
        let mut place = PostgresServer::parse(&url).expect("a place");
        place.pooler = true;
        place.password = Secret::from(password);
        match inspect_server(&place) {
            Ok(_) => assert!(accepted, "{password:?}"),
            Err(StoreError::Away(cause) | StoreError::Refused(cause)) => {
                assert!(!accepted, "{password:?}: {cause}");
                assert!(!cause.contains("horse"), "{cause}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}
