//! Mail to addresses of our own: a person's is kept, and recovered for a portal that an operator names.

use vestibule::domain::{LedgerId, Reason, Recipient, RecipientRole};
use vestibule::mail::{
    Evidence, Facts, ListAuthor, Report, ReportKind, ReportedRecipient, Sender, SenderFault,
};
use vestibule::operations::explain_entry;
use vestibule::store::{
    Arrival, ArrivalPart, LedgerEntry, NamedPortal, Recovered, ReplyAnswer, StoreError, Terms,
};

use super::dropped::TERMS;
use super::harness::{DAY, Harness, address, at, mail, operator, portal, start};
use crate::support::arrival::{address_of, plain_circumstances};

const CONFIRM: &str = "confirm@corp.example";

/// An answer to a verification mail that confirms nothing.
fn answer(from: &str, id: &str) -> Arrival {
    let mut answer = mail(from, id, start());
    answer.envelope.recipients = vec![Recipient {
        address: CONFIRM.to_owned(),
        role: RecipientRole::Confirmation,
    }];
    answer.parts = vec![ArrivalPart::Confirmation {
        recipient: CONFIRM.to_owned(),
        token: None,
        answer: ReplyAnswer::Other,
    }];
    answer
}

/// The portal `it`, as an operator names it.
fn named() -> NamedPortal {
    NamedPortal {
        circumstances: plain_circumstances("it"),
        recipient: address_of("it"),
    }
}

/// Terms of a recovery for the portal `it`.
fn terms() -> Terms {
    Terms {
        portal: Some(named()),
        ..TERMS
    }
}

async fn entry(harness: &Harness, ledger: LedgerId) -> LedgerEntry {
    let entry = harness.store.ledger_entry(ledger).await.expect("read");
    entry.expect("an entry")
}

/// The detail of the audit record of a recovery.
async fn recovery(harness: &Harness, ledger: LedgerId) -> String {
    let events = harness.store.events(ledger).await.expect("read");
    let recovery = events
        .into_iter()
        .find(|one| one.event == "request.recovered");
    recovery.and_then(|one| one.detail).expect("a detail")
}

fn evidence(field: &str, value: &str) -> Evidence {
    Evidence {
        field: field.to_owned(),
        value: value.to_owned(),
    }
}

#[tokio::test]
async fn an_answer_to_a_verification_mail_is_kept_and_recovered_for_a_named_portal() {
    let harness = Harness::open().await;
    let store = &harness.store;
    let one = answer("ann@corp.example", "1@x");
    let raw = one.raw.clone();
    let one = harness.accept(one).await;
    assert_eq!(one.reason, Reason::Confirmation);
    let kept = store.raw(one.ledger).await.expect("read");
    assert_eq!(kept, Some(raw));

    let by = || operator("root");
    let unnamed = store.recover(one.ledger, TERMS, by(), at(DAY)).await;
    assert!(
        matches!(&unnamed, Err(StoreError::NotAllowed(why)) if why.contains("--portal")),
        "{unnamed:?}"
    );
    let recovered = store.recover(one.ledger, terms(), by(), at(DAY)).await;
    let Ok(Recovered::Request { reason, .. }) = recovered else {
        panic!("{recovered:?}");
    };
    assert_eq!(reason, Reason::InternalAccountCreated);
    assert_eq!(
        recovery(&harness, one.ledger).await,
        "dropped earlier as confirmation by revision 1; the operator named the portal it; it came \
         for confirm@corp.example"
    );

    let two = harness.accept(answer("ann@corp.example", "2@x")).await;
    let released = store.release_dropped(two.ledger, None, Some(named()), by(), at(DAY));
    let released = released.await;
    assert!(
        matches!(released, Ok(Recovered::Forced { .. })),
        "{released:?}"
    );
    assert_eq!(
        recovery(&harness, two.ledger).await,
        "dropped as confirmation by revision 1, but released anyway; the operator named the portal \
         it; it came for confirm@corp.example"
    );
    for ledger in [one.ledger, two.ledger] {
        let entry = entry(&harness, ledger).await;
        assert_eq!(entry.portal, Some(portal("it")));
        assert_eq!(entry.recipient, address_of("it"));
        assert_eq!(entry.envelope.recipients[0].address, CONFIRM);
        assert!(entry.circumstances.is_some() && entry.request.is_some());
        assert_eq!(entry.account, Some(address("ann@corp.example")));
    }
    harness.assert_sound().await;

    let three = harness.accept(answer("ann@corp.example", "3@x")).await;
    harness.delete_expired_content(at(8 * DAY), 30 * DAY).await;
    let kept = store.raw(three.ledger).await.expect("read");
    assert_eq!(kept, None, "it expires like other dropped content");
    // Naming a portal would not help.
    for terms in [TERMS, terms()] {
        let expired = store.recover(three.ledger, terms, by(), at(8 * DAY)).await;
        assert!(
            matches!(&expired, Err(StoreError::NotAllowed(why)) if why.contains("was erased")),
            "{expired:?}"
        );
    }
}

#[tokio::test]
async fn the_rules_explain_an_answer_only_once_they_have_decided_about_it() {
    let harness = Harness::open().await;
    let store = &harness.store;
    let reasons = async |ledger| {
        let explained = explain_entry(store, entry(&harness, ledger).await).await;
        let rules = explained.expect("explained").rules;
        rules.last().map(|rule| rule.reason)
    };
    let one = harness
        .accept(answer("ann@corp.example", "1@x"))
        .await
        .ledger;
    let two = harness
        .accept(answer("bob@corp.example", "2@x"))
        .await
        .ledger;
    assert_eq!(reasons(one).await, None);
    let recovered = store.recover(one, terms(), operator("root"), at(DAY)).await;
    assert!(
        matches!(recovered, Ok(Recovered::Request { .. })),
        "{recovered:?}"
    );
    assert_eq!(reasons(one).await, Some(Reason::InternalAccountCreated));
    // A forced release leaves the verdict as it is.
    let released = store.release_dropped(two, None, Some(named()), operator("root"), at(DAY));
    let released = released.await;
    assert!(
        matches!(released, Ok(Recovered::Forced { .. })),
        "{released:?}"
    );
    assert_eq!(entry(&harness, two).await.reason, Reason::Confirmation);
    assert_eq!(reasons(two).await, None);

    // A rule has the reason of this verdict, but decided only about the message to the portal.
    let unusable = Some(Reason::SenderUnusable);
    for (mut arrival, portal, decided) in [
        (answer("eve@corp.example", "3@x"), Some(named()), None),
        (mail("eve@corp.example", "4@x", start()), None, unusable),
    ] {
        arrival.facts.sender = Sender::Unusable {
            fault: SenderFault::Missing,
            written: None,
        };
        let dropped = harness.accept(arrival).await;
        assert_eq!(dropped.reason, Reason::SenderUnusable);
        let sender = Some(address("eve@corp.example"));
        let by = operator("root");
        let released = store.release_dropped(dropped.ledger, sender, portal, by, at(DAY));
        let released = released.await;
        assert!(
            matches!(released, Ok(Recovered::Forced { .. })),
            "{released:?}"
        );
        assert_eq!(reasons(dropped.ledger).await, decided);
    }
}

#[tokio::test]
async fn an_answer_through_the_list_of_the_named_portal_is_its_authors() {
    let through_list = |mut arrival: Arrival| {
        let author = super::harness::facts("ann@corp.example", "1@x").sender;
        arrival.facts.author_behind_list = Some(ListAuthor {
            list: "it.groups.example".to_owned(),
            author,
            field: "X-Original-From".to_owned(),
        });
        arrival
    };
    let mut named = named();
    named.circumstances.own_list = Some("it.groups.example".to_owned());
    let harness = Harness::open().await;
    let answer = through_list(answer("it@groups.example", "1@x"));
    let answer = harness.accept(answer).await.ledger;
    let portal = ArrivalPart::Portal {
        recipient: named.recipient.clone(),
        circumstances: named.circumstances.clone(),
    };
    let by = operator("root");
    let released = harness
        .store
        .release_dropped(answer, None, Some(named), by, at(DAY));
    let released = released.await;
    assert!(
        matches!(released, Ok(Recovered::Forced { .. })),
        "{released:?}"
    );
    let ann = Some(address("ann@corp.example"));
    let entry = entry(&harness, answer).await;
    assert_eq!((&entry.sender, &entry.account), (&ann, &ann));

    let mut copy = through_list(mail("it@groups.example", "1@x", at(DAY)));
    copy.parts = vec![portal];
    assert_eq!(harness.accept(copy).await.reason, Reason::Duplicate);
    harness.assert_sound().await;
}

#[tokio::test]
async fn mail_to_our_own_addresses_is_kept_if_a_person_may_have_written_it() {
    type Row = (&'static str, fn(&mut Facts), Reason, bool);

    let harness = Harness::open().await;
    let to_return_address = |mut arrival: Arrival| {
        let recipient = "returns@corp.example".to_owned();
        arrival.parts = vec![ArrivalPart::Bounce { recipient }];
        arrival
    };
    let rows: [Row; 6] = [
        ("a person", |_| {}, Reason::Automatic, true),
        (
            "a sign that people's mail has, too",
            |facts| facts.presumed_automatic = Some(evidence("Subject", "Out of office")),
            Reason::Automatic,
            true,
        ),
        (
            "a report",
            |facts| {
                facts.report = Some(Report {
                    kind: ReportKind::Dsn,
                    evidence: evidence("Content-Type", "multipart/report"),
                    recipients: vec![ReportedRecipient {
                        address: "ann@corp.example".to_owned(),
                        action: Some("failed".to_owned()),
                        status: Some("5.1.1".to_owned()),
                        forwarded: false,
                    }],
                    original_message_id: None,
                });
            },
            Reason::Bounce,
            false,
        ),
        (
            "an absence note",
            |facts| facts.automatic = Some(evidence("Auto-Submitted", "auto-replied")),
            Reason::Automatic,
            false,
        ),
        (
            "a program without an address",
            |facts| {
                facts.automatic = Some(evidence("MAIL FROM", "<>"));
                facts.sender = Sender::Unusable {
                    fault: SenderFault::Missing,
                    written: None,
                };
            },
            Reason::SenderUnusable,
            false,
        ),
        (
            "a newsletter",
            |facts| facts.bulk = Some(evidence("Precedence", "bulk")),
            Reason::Bulk,
            false,
        ),
    ];
    for (place, (what, change, reason, is_kept)) in rows.into_iter().enumerate() {
        let mut returned = to_return_address(mail("ann@corp.example", "1@x", start()));
        returned.facts = super::harness::facts("ann@corp.example", &format!("{place}@x"));
        change(&mut returned.facts);
        let ledger = harness.accept(returned).await;
        assert_eq!(ledger.reason, reason, "{what}");
        let ledger = ledger.ledger;
        let kept = harness.store.raw(ledger).await.expect("read");
        assert_eq!(kept.is_some(), is_kept, "{what}");
        if !is_kept {
            let recovered = harness
                .store
                .recover(ledger, terms(), operator("root"), start());
            let recovered = recovered.await;
            assert!(
                matches!(&recovered, Err(StoreError::NotAllowed(why)) if why.contains("not kept")),
                "{what}: {recovered:?}"
            );
        }
    }
    harness.assert_sound().await;
}
