//! Tests of the intake: parsing at the same time, and replies to verification mail.

use super::*;
use crate::mail::{Authentication, AuthenticationFault, DmarcPolicy, ListAuthor};
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

#[test]
fn the_list_whose_address_is_in_from_comes_before_the_others() {
    let it = PortalName::parse("it").expect("a name");
    let hr = PortalName::parse("hr").expect("a name");
    let mut config = sample::config("");
    for portal in &mut config.portals {
        if portal.name == it {
            portal.list_ids = vec!["one.example".to_owned(), "two.example".to_owned()];
            portal.automatic_mail = true;
        }
    }
    let mut facts = sample::facts("list@groups.example", "Printer on fire");
    facts.list_ids = ["foreign.example", "one.example", "two.example"]
        .map(str::to_owned)
        .to_vec();
    // The author is an address of ours, but counts only behind a list of the portal's own.
    for (in_from, own_list, sender_is_ours) in [
        (None, Some("one.example"), false),
        (Some("two.example"), Some("two.example"), true),
        (Some("foreign.example"), Some("one.example"), false),
    ] {
        facts.author_behind_list = in_from.map(|list| ListAuthor {
            list: list.to_owned(),
            author: sample::facts("hr@corp.example", "").sender,
            field: "Reply-To".to_owned(),
        });
        let of_it = circumstances(&config, &it, &facts);
        assert_eq!(of_it.own_list.as_deref(), own_list, "{in_from:?}");
        assert_eq!(of_it.sender_is_ours, sender_is_ours, "{in_from:?}");
        assert!(of_it.takes_automatic);
        let of_hr = circumstances(&config, &hr, &facts);
        assert_eq!((of_hr.own_list, of_hr.sender_is_ours), (None, false));
        assert!(!of_hr.takes_automatic);
    }
}

#[test]
fn a_message_has_one_part_for_each_mailbox() {
    let config = sample::config("");
    let mut envelope = sample::arrival(&config).envelope;
    let portal = |name: &str| RecipientRole::Portal(PortalName::parse(name).expect("a name"));
    envelope.recipients = [
        ("it-help@corp.example", portal("it")),
        ("hr@corp.example", portal("hr")),
        ("it-help+1@corp.example", portal("it")),
        ("confirm+x@corp.example", RecipientRole::Confirmation),
        ("confirm@corp.example", RecipientRole::Confirmation),
    ]
    .map(|(address, role)| Recipient {
        address: address.to_owned(),
        role,
    })
    .to_vec();
    let facts = sample::facts("ann@corp.example", "Printer on fire");
    let parts = parts(&config, &envelope, &facts, &ReplyAnswer::Other);
    let recipients: Vec<_> = parts
        .iter()
        .map(|part| match part {
            ArrivalPart::Portal { recipient, .. }
            | ArrivalPart::Bounce { recipient }
            | ArrivalPart::Confirmation { recipient, .. } => recipient.as_str(),
        })
        .collect();
    let expected = [
        "it-help@corp.example",
        "hr@corp.example",
        "confirm@corp.example",
    ];
    assert_eq!(recipients, expected);
    let without = without_tokens(envelope).recipients;
    assert_eq!(without[2].address, "it-help+1@corp.example");
    assert_eq!(without[3].address, "confirm@corp.example");
}

#[tokio::test]
async fn a_message_after_the_store_is_closed_is_refused_for_now() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
    let config = sample::config("");
    let mut envelope = sample::arrival(&config).envelope;
    envelope.recipients = vec![Recipient {
        address: "it-help@corp.example".to_owned(),
        role: RecipientRole::Portal(PortalName::parse("it").expect("a name")),
    }];
    let (_config, configs) = watch::channel(Arc::new(config));
    let (_checker, checkers) = watch::channel(None);
    let intake = Intake::new(configs, checkers, store.clone(), ConfirmingWords::default());
    let raw = b"From: ann@corp.example\r\n\r\nbody\r\n".to_vec();
    let stored = intake.receive(envelope.clone(), raw.clone()).await;
    assert!(matches!(stored, DataOutcome::Stored(_)), "{stored:?}");
    store.close().await;
    let refused = intake.receive(envelope, raw).await;
    assert_eq!(refused, DataOutcome::TryLater(TryLater::ShuttingDown));
}
