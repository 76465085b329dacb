//! Signatures with elliptic-curve keys, and the claims of a token, at their bounds.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use serde_json::{Map, Value, json};

use super::claims::Claims;
use super::jwt::SignedToken;
use super::keys::KeySet;
use super::{SignedIn, SsoError};
use crate::config::Sso;
use crate::domain::{Domain, Role, Timestamp};

fn encode(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// The part of a token that is signed.
fn message(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    )
}

struct EllipticKey {
    pair: EcdsaKeyPair,
    jwk: Value,
}

fn elliptic(curve: &str, algorithm: &'static EcdsaSigningAlgorithm) -> EllipticKey {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("a key");
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    let jwk = json!({"kty": "EC", "crv": curve, "kid": curve, "x": encode(x), "y": encode(y)});
    EllipticKey { pair, jwk }
}

impl EllipticKey {
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let random = SystemRandom::new();
        let signature = self.pair.sign(&random, message.as_bytes()).expect("signed");
        format!("{message}.{}", encode(signature))
    }
}

fn set(keys: &[Value]) -> KeySet {
    let body = json!({ "keys": keys }).to_string();
    KeySet::parse(body.as_bytes()).expect("a set")
}

fn verify(token: &str, keys: &KeySet) -> Result<Map<String, Value>, SsoError> {
    let token = SignedToken::parse(token)?;
    let claims = keys.verify(&token).cloned();
    claims.ok_or(SsoError::Token("no key has signed it"))
}

#[test]
fn a_signature_needs_a_key_of_its_kind() {
    let p256 = elliptic("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING);
    let p384 = elliptic("P-384", &ECDSA_P384_SHA384_FIXED_SIGNING);
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let edwards = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a key");
    let x = encode(edwards.public_key());
    let edwards_jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "Ed25519", "x": x});
    let all = set(&[p256.jwk.clone(), p384.jwk.clone(), edwards_jwk]);
    let claims = json!({"sub": "ann"});

    let good = p256.sign(&json!({"alg": "ES256", "kid": "P-256"}), &claims);
    for token in [
        good.clone(),
        p256.sign(&json!({"alg": "ES256"}), &claims),
        p384.sign(&json!({"alg": "ES384", "typ": "jwt"}), &claims),
    ] {
        assert_eq!(verify(&token, &all).expect(&token)["sub"], "ann");
    }
    let by_edwards = message(&json!({"alg": "EdDSA", "kid": "Ed25519"}), &claims);
    let by_edwards = format!(
        "{by_edwards}.{}",
        encode(edwards.sign(by_edwards.as_bytes()))
    );
    assert!(verify(&by_edwards, &all).is_ok());

    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let (header, payload) = signed.split_once('.').expect("three parts");
    let of_another = encode(json!({"sub": "root"}).to_string());
    for token in [
        // Another key's name, another algorithm than the key's.
        p256.sign(&json!({"alg": "ES256", "kid": "P-384"}), &claims),
        p256.sign(&json!({"alg": "ES384"}), &claims),
        p256.sign(&json!({"alg": "RS256"}), &claims),
        p384.sign(&json!({"alg": "ES256"}), &claims),
        // Algorithms that are not accepted.
        p256.sign(&json!({"alg": "none"}), &claims),
        p256.sign(&json!({"alg": "HS256"}), &claims),
        p256.sign(&json!({"alg": "es256"}), &claims),
        p256.sign(&json!({"alg": ["ES256"]}), &claims),
        p256.sign(&json!({}), &claims),
        // Tokens for something else.
        p256.sign(&json!({"alg": "ES256", "typ": "logout+jwt"}), &claims),
        p256.sign(&json!({"alg": "ES256", "crit": ["exp"]}), &claims),
        p256.sign(&json!({"alg": "ES256"}), &json!(["sub"])),
        // Changed, truncated, or assembled differently.
        format!("{header}.{of_another}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}="),
        format!("{good}."),
        format!("{header}.{payload}.x.{signature}"),
        format!(" {good}"),
        String::new(),
        ".".repeat(2),
        format!("{good}{}", "A".repeat(70_000)),
    ] {
        assert!(verify(&token, &all).is_err(), "{token:.200}");
    }
}

#[test]
fn keys_for_other_purposes_are_not_used() {
    let key = elliptic("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING);
    let token = key.sign(&json!({"alg": "ES256"}), &json!({}));
    let with = |name: &str, value: Value| {
        let mut jwk = key.jwk.clone();
        jwk[name] = value;
        jwk
    };
    for (jwk, is_of_use) in [
        (key.jwk.clone(), true),
        (with("use", json!("sig")), true),
        (with("key_ops", json!(["verify"])), true),
        (with("alg", json!("ES256")), true),
        (with("use", json!("enc")), false),
        (with("key_ops", json!(["encrypt"])), false),
        (with("alg", json!("ES384")), false),
        (with("alg", json!("ECDH-ES")), false),
        (with("kty", json!("oct")), false),
        (with("crv", json!("P-384")), false),
        (with("x", json!("AA")), false),
        (with("x", json!(1)), false),
        (json!("a text"), false),
    ] {
        let keys = set(std::slice::from_ref(&jwk));
        assert_eq!(verify(&token, &keys).is_ok(), is_of_use, "{jwk}");
    }
    assert!(KeySet::parse(b"{}").is_err());
    let many = json!({ "keys": vec![key.jwk.clone(); 101] }).to_string();
    assert!(KeySet::parse(many.as_bytes()).is_err());
}

#[test]
fn a_key_that_was_replaced_under_the_same_id_is_noticed() {
    let generate = || elliptic("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING);
    let (before, after) = (generate(), generate());
    for header in [
        json!({"alg": "ES256", "kid": "P-256"}),
        json!({"alg": "ES256"}),
    ] {
        let text = after.sign(&header, &json!({"sub": "ann"}));
        let token = SignedToken::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        assert!(
            set(std::slice::from_ref(&before.jwk))
                .verify(&token)
                .is_none(),
            "{header}"
        );
        let both = set(&[before.jwk.clone(), after.jwk.clone()]);
        assert!(both.verify(&token).is_some(), "{header}");
    }
}

pub(crate) fn sso() -> Sso {
    let role = |group: &str, role| (group.to_owned(), role);
    Sso {
        issuer: "https://id.example".to_owned(),
        client_id: "vestibule".to_owned(),
        client_secret: "secret".into(),
        domains: vec![Domain::parse("corp.example").expect("a domain")],
        role_claim: "realm.roles".to_owned(),
        groups_claim: "groups".to_owned(),
        scopes: Vec::new(),
        roles: [role("admins", Role::Admin), role("readers", Role::Viewer)].into(),
    }
}

const NOW: i64 = 1_800_000_000;

fn base() -> Value {
    json!({
        "iss": "https://id.example", "aud": "vestibule", "sub": "1",
        "exp": NOW + 600, "iat": NOW, "nonce": "n",
    })
}

fn check(claims: Value) -> Result<Claims, SsoError> {
    let Value::Object(claims) = claims else {
        panic!("{claims}")
    };
    Claims::check(claims, &sso(), "n", now())
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time")
}

fn changed(name: &str, value: Value) -> Value {
    let mut claims = base();
    match value {
        Value::Null => {
            claims.as_object_mut().expect("an object").remove(name);
        }
        value => claims[name] = value,
    }
    claims
}

#[test]
fn claims_count_up_to_their_bounds() {
    for (name, value, is_valid) in [
        ("aud", json!(["vestibule"]), true),
        ("aud", json!([]), false),
        ("aud", json!("Vestibule"), false),
        ("aud", json!(1), false),
        ("azp", json!("vestibule"), true),
        ("azp", json!("other"), false),
        ("azp", json!(["vestibule"]), false),
        ("iss", json!("https://id.example/"), false),
        ("iss", Value::Null, false),
        ("sub", json!(7), false),
        ("sub", json!("x".repeat(256)), false),
        ("sub", json!("a\nb"), false),
        ("exp", json!(NOW - 59), true),
        ("exp", json!(NOW - 60), false),
        ("exp", json!(1e300), true),
        ("exp", json!("1900000000"), false),
        ("exp", Value::Null, false),
        ("iat", json!(NOW + 60), true),
        ("iat", json!(NOW + 61), false),
        ("iat", json!(NOW - 660), true),
        ("iat", json!(NOW - 661), false),
        ("iat", json!(-1e300), false),
        ("iat", Value::Null, false),
        ("nbf", json!(NOW + 60), true),
        ("nbf", json!(NOW + 61), false),
        ("nbf", json!("now"), false),
        ("nonce", json!("N"), false),
        ("nonce", json!(""), false),
        ("nonce", Value::Null, false),
    ] {
        let shown = format!("{name}: {value}");
        assert_eq!(check(changed(name, value)).is_ok(), is_valid, "{shown}");
    }
}

fn person(claims: Value, userinfo: Option<Value>) -> SignedIn {
    let mut claims = check(claims).unwrap_or_else(|error| panic!("{error}"));
    if let Some(Value::Object(more)) = userinfo {
        claims.add(more).unwrap_or_else(|error| panic!("{error}"));
    }
    claims.person(&sso(), now())
}

#[test]
fn only_the_token_says_when_the_person_signed_in() {
    let max_age = SignedDuration::from_mins(10);
    for (auth_time, said, is_recent) in [
        (json!(NOW), Some(NOW), true),
        (json!(NOW - 660), Some(NOW - 660), true),
        (json!(NOW - 661), Some(NOW - 661), false),
        (json!(NOW + 60), Some(NOW + 60), true),
        (json!(NOW + 61), None, false),
        (json!(1e300), None, false),
        (json!(-1e300), None, false),
        (json!("1800000000"), None, false),
        (Value::Null, None, false),
    ] {
        let shown = auth_time.to_string();
        let claims = changed("auth_time", auth_time);
        let userinfo = json!({"sub": "1", "auth_time": NOW});
        let found = person(claims.clone(), Some(userinfo)).authenticated_at;
        assert_eq!(found.map(Timestamp::as_second), said, "{shown}");
        let claims = check(claims).unwrap_or_else(|error| panic!("{error}"));
        let checked = claims.check_age(max_age, now());
        assert_eq!(checked.is_ok(), is_recent, "{shown}");
        let is_explained = matches!(checked, Ok(()) | Err(SsoError::NotRecent(_)));
        assert!(is_explained, "{shown}: {checked:?}");
    }
}

#[test]
fn an_address_counts_only_if_its_source_says_it_is_verified() {
    let claims = |more: Value| {
        let mut all = base();
        for (name, value) in more.as_object().expect("an object") {
            all[name] = value.clone();
        }
        all
    };
    let ann = "ann@corp.example";
    for (own, userinfo, is_verified) in [
        (json!({"email": ann, "email_verified": true}), None, true),
        (json!({"email": ann, "email_verified": "true"}), None, false),
        (json!({"email": ann, "email_verified": 1}), None, false),
        (json!({"email": ann, "email_verified": false}), None, false),
        (json!({"email": ann}), None, false),
        (json!({"email": [ann], "email_verified": true}), None, false),
        (json!({"email": "ann", "email_verified": true}), None, false),
        (
            json!({}),
            Some(json!({"sub": "1", "email": ann, "email_verified": true})),
            true,
        ),
        // `email_verified` of one address does not apply to another.
        (
            json!({"email": ann}),
            Some(json!({"sub": "1", "email_verified": true})),
            false,
        ),
        (
            json!({"email": ann}),
            Some(json!({"sub": "1", "email": "eve@corp.example", "email_verified": true})),
            false,
        ),
        (
            json!({"email": ann}),
            Some(json!({"sub": "1", "email": ann, "email_verified": true})),
            true,
        ),
        (
            json!({"email_verified": true}),
            Some(json!({"sub": "1", "email": ann})),
            false,
        ),
        // The signed token takes precedence.
        (
            json!({"email": ann, "email_verified": false}),
            Some(json!({"sub": "1", "email": ann, "email_verified": true})),
            false,
        ),
    ] {
        let shown = format!("{own} {userinfo:?}");
        let found = person(claims(own), userinfo);
        assert_eq!(found.verified_address.is_some(), is_verified, "{shown}");
    }
    let mut other = check(base()).unwrap_or_else(|error| panic!("{error}"));
    let Value::Object(of_another) = json!({"sub": "2", "email": ann}) else {
        unreachable!()
    };
    assert!(other.add(of_another).is_err(), "userinfo of another person");
}

#[test]
fn the_highest_role_of_the_groups_counts() {
    for (roles, role) in [
        (json!({"roles": ["readers", "admins"]}), Some(Role::Admin)),
        (json!({"roles": "readers"}), Some(Role::Viewer)),
        (
            json!({"roles": ["Admins", "admins ", 1, null, ["admins"]]}),
            None,
        ),
        (json!({"roles": {"admins": true}}), None),
        (json!({"roles": "readers admins"}), None),
        (json!({}), None),
        (json!(["admins"]), None),
    ] {
        let mut claims = base();
        claims["realm"] = roles.clone();
        assert_eq!(person(claims, None).role, role, "{roles}");
    }
    // A claim of exactly that name comes before the path.
    let mut claims = base();
    claims["realm"] = json!({"roles": "admins"});
    claims["realm.roles"] = json!("readers");
    assert_eq!(person(claims, None).role, Some(Role::Viewer));
}
