//! Tests of the intake: parsing at the same time, and replies to verification mail.

use super::*;
use crate::mail::{Authentication, AuthenticationFault, DmarcPolicy};
use crate::verification::tests::sample;

#[test]
fn messages_parsed_at_the_same_time_are_few_or_small() {
    const MIB: usize = 1024 * 1024;
    for (size, at_once) in [
        (READ_IN_PLACE + 1, 4),
        (8 * MIB, 4),
        (8 * MIB + 1, 2),
        (16 * MIB, 2),
        (16 * MIB + 1, 1),
        (32 * MIB, 1),
        (usize::MAX, 1),
    ] {
        let needed = usize::try_from(permits(size)).expect("a small number");
        assert_eq!(PERMITS / needed, at_once, "{size}");
    }
}

/// Anybody who sees the verification mail can answer it in the name of its recipient.
#[tokio::test]
async fn a_reply_that_its_domain_disowns_does_not_confirm() {
    use AuthenticationResult as R;

    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
    let mut config = sample::config("");
    let (_config, configs) = watch::channel(Arc::new(config.clone()));
    let (_checker, checkers) = watch::channel(None);
    let intake = Intake::new(configs, checkers, store, ConfirmingWords::default());
    let mut envelope = sample::arrival(&config).envelope;
    envelope.recipients = vec![Recipient {
        address: "confirm@corp.example".to_owned(),
        role: RecipientRole::Confirmation,
    }];
    let dmarc = |result| Authentication {
        dmarc: Some(result),
        ..Authentication::default()
    };
    let of_policy_none = Authentication {
        dmarc_policy: Some(DmarcPolicy::None),
        ..dmarc(R::Fail)
    };
    let faulty = Authentication {
        fault: Some(AuthenticationFault::Unreadable),
        ..Authentication::default()
    };
    for (mode, authentication, expected) in [
        (Enforcement::Off, dmarc(R::Fail), ReplyAnswer::Confirms),
        (
            Enforcement::Report,
            dmarc(R::Fail),
            ReplyAnswer::Unauthenticated,
        ),
        (
            Enforcement::Report,
            of_policy_none.clone(),
            ReplyAnswer::Unauthenticated,
        ),
        (Enforcement::Report, dmarc(R::Pass), ReplyAnswer::Confirms),
        (Enforcement::Report, dmarc(R::None), ReplyAnswer::Confirms),
        (
            Enforcement::Report,
            dmarc(R::TempError),
            ReplyAnswer::Confirms,
        ),
        (
            Enforcement::Report,
            Authentication::default(),
            ReplyAnswer::Confirms,
        ),
        (Enforcement::Report, faulty.clone(), ReplyAnswer::Confirms),
        (
            Enforcement::Enforce,
            dmarc(R::Fail),
            ReplyAnswer::Unauthenticated,
        ),
        (
            Enforcement::Enforce,
            of_policy_none,
            ReplyAnswer::Unauthenticated,
        ),
        (Enforcement::Enforce, faulty, ReplyAnswer::Unauthenticated),
        (Enforcement::Enforce, dmarc(R::Pass), ReplyAnswer::Confirms),
        (
            Enforcement::Enforce,
            Authentication::default(),
            ReplyAnswer::Confirms,
        ),
    ] {
        config.authentication.mode = mode;
        let mut facts = sample::facts("ann@corp.example", "Re: your request");
        facts.authentication = authentication;
        let raw = b"From: ann@corp.example\r\n\r\nYes\r\n";
        let answer = intake.answer(&config, &envelope, &facts, raw);
        assert_eq!(answer, expected, "{mode:?}: {:?}", facts.authentication);
    }
    envelope.recipients[0].role = RecipientRole::Bounces;
    let facts = sample::facts("ann@corp.example", "Re: your request");
    let answer = intake.answer(&config, &envelope, &facts, b"\r\nYes\r\n");
    assert_eq!(answer, ReplyAnswer::Other, "it is no reply to our mail");
}
