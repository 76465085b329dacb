//! Any key and any body: another implementation accepts our signature, and rejects it for another body, id or
//! time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use standardwebhooks::Webhook;
use vestibule::outbound::webhook_signature::sign;

fuzz_target!(|input: (String, &[u8], u32)| {
    let (secret, body, at) = input;
    let ours = sign(&SecretString::from(secret.clone()), "01ID", i64::from(at), body);
    let Ok(theirs) = Webhook::new(secret.trim()) else {
        return;
    };
    let signature = theirs.sign("01ID", i64::from(at), body);
    match (&ours, signature) {
        (Some(ours), Ok(theirs)) => assert_eq!(*ours, theirs),
        // The other implementation signs text only.
        (Some(_), Err(_)) => assert!(std::str::from_utf8(body).is_err()),
        (None, _) => panic!("a key that others can use"),
    }
    let secret = SecretString::from(secret);
    assert_ne!(ours, sign(&secret, "01IE", i64::from(at), body));
    assert_ne!(ours, sign(&secret, "01ID", i64::from(at) + 1, body));
    assert_ne!(ours, sign(&secret, "01ID", i64::from(at), &[body, b"."].concat()));
});
