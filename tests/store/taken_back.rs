//! "This was not me", taken back: by the person, while a link is valid, and what ends it besides.

use std::time::Duration;

use vestibule::domain::{Actor, Proof, RequestId, RequestState, Status, TokenHash};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{
    Arrival, Choice, Entry, LetterCause, Link, Proved, Refused, StoreError, TakenBack,
};

use crate::house::{DAY, House, LIMITS, address, at, mail, operator, start, token};

const ANN: &str = "ann@corp.example";

const HOLD_FOR: Duration = Duration::from_hours(14 * 24);

fn authenticated(message_id: &str, after: Duration) -> Arrival {
    let mut message = mail(ANN, message_id, at(after));
    message.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    message
}

/// A held message that was refused; with the link.
async fn refused(house: &House, message: Arrival) -> (Entry, TokenHash) {
    let entry = house.accept(message).await;
    let link = house.sent(start()).await;
    let refused = house.store.refuse(link, 30 * DAY, start()).await;
    assert!(matches!(refused, Ok(Refused::Now { .. })), "{refused:?}");
    (entry, link)
}

async fn take_back(house: &House, link: TokenHash, after: Duration) -> TakenBack {
    let taken = house.store.take_back_refusal(link, HOLD_FOR, at(after));
    taken.await.expect("an answer")
}

async fn state(house: &House, request: RequestId) -> RequestState {
    let found = house.store.request(request).await.expect("read");
    found.expect("there").state
}

async fn release(house: &House, request: RequestId, after: Duration) -> Result<(), StoreError> {
    let release = operator("root");
    let released = house.store.release_request(request, release, at(after));
    released.await.map(drop)
}

async fn invariants_hold(house: &House) {
    let violations = house.store.check_invariants().await.expect("checked");
    assert!(violations.is_empty(), "{violations:?}");
}

#[tokio::test]
async fn what_was_discarded_is_held_again_and_only_the_person_can() {
    let house = House::open().await;
    let (entry, link) = refused(&house, mail(ANN, "1@x", start())).await;
    let request = entry.request.expect("a request");
    let refusal = release(&house, request, DAY)
        .await
        .expect_err("the person's");
    assert!(refusal.to_string().contains("only they can"), "{refusal}");
    // Looking changes nothing.
    for _ in 0..2 {
        let looked = house.store.look_at_link(link, at(DAY)).await.expect("read");
        let Link::Refused {
            quiet_until,
            valid_until,
            ..
        } = looked
        else {
            panic!("{looked:?}");
        };
        assert_eq!(quiet_until, Some(at(30 * DAY)));
        assert_eq!(valid_until, Some(at(7 * DAY)));
    }
    // What is settled is forgotten at once here, and this is not settled yet.
    let forgotten = house.store.forget_content(at(6 * DAY), Duration::ZERO, 10);
    assert_eq!(forgotten.await.expect("a step").done, 0);
    let TakenBack::Now { restored, .. } = take_back(&house, link, 6 * DAY).await else {
        panic!("not taken back");
    };
    assert_eq!(restored, [request]);
    assert_eq!(state(&house, request).await, RequestState::Held);
    let again = take_back(&house, link, 6 * DAY).await;
    assert!(matches!(again, TakenBack::Before), "{again:?}");
    let account = house.store.customer(&address(ANN)).await.expect("read");
    assert_eq!(account.expect("there").quiet_until, None);
    invariants_hold(&house).await;
    let proved = house
        .store
        .prove(Proof::Link(link), None, Choice::All, at(6 * DAY));
    let Ok(Proved::Now { released, .. }) = proved.await else {
        panic!("not proved");
    };
    assert_eq!(released.len(), 1);
    let late = take_back(&house, link, 6 * DAY).await;
    assert!(matches!(late, TakenBack::Before), "{late:?}");
}

#[tokio::test]
async fn after_the_link_nothing_is_taken_back_and_an_operator_can_release() {
    let house = House::open().await;
    let (entry, link) = refused(&house, mail(ANN, "1@x", start())).await;
    let request = entry.request.expect("a request");
    let late = take_back(&house, link, 7 * DAY).await;
    assert!(matches!(late, TakenBack::Expired), "{late:?}");
    assert_eq!(state(&house, request).await, RequestState::Discarded);
    release(&house, request, 7 * DAY).await.expect("released");
    let unknown = take_back(&house, token(), DAY).await;
    assert!(matches!(unknown, TakenBack::Unknown), "{unknown:?}");
    let open = house
        .store
        .look_at_link(link, at(31 * DAY))
        .await
        .expect("read");
    assert!(
        matches!(
            open,
            Link::Refused {
                quiet_until: None,
                valid_until: None,
                ..
            }
        ),
        "{open:?}"
    );
    invariants_hold(&house).await;
}

#[tokio::test]
async fn nothing_is_taken_back_past_an_operators_block() {
    let house = House::open().await;
    let (entry, link) = refused(&house, mail(ANN, "1@x", start())).await;
    let account = house.store.customer(&address(ANN)).await.expect("read");
    let id = account.expect("there").id;
    let by = || operator("root");
    house
        .store
        .block_customer(id, by(), start())
        .await
        .expect("blocked");
    let blocked = take_back(&house, link, DAY).await;
    assert!(matches!(blocked, TakenBack::Unknown), "{blocked:?}");
    let unblocked = house.store.unblock_customer(id, by(), start()).await;
    assert_eq!(unblocked.expect("unblocked").status, Status::Pending);
    let taken = take_back(&house, link, DAY).await;
    assert!(matches!(taken, TakenBack::Now { .. }), "{taken:?}");
    assert_eq!(
        state(&house, entry.request.expect("a request")).await,
        RequestState::Held
    );
}

#[tokio::test]
async fn a_living_copy_is_not_joined_by_what_is_taken_back() {
    let house = House::open().await;
    let (entry, link) = refused(&house, mail(ANN, "1@x", start())).await;
    let copy = house.accept(mail(ANN, "1@x", at(DAY))).await;
    assert_ne!(copy.request, None);
    let TakenBack::Now { restored, .. } = take_back(&house, link, DAY).await else {
        panic!("not taken back");
    };
    assert!(restored.is_empty(), "{restored:?}");
    assert_eq!(
        state(&house, entry.request.expect("a request")).await,
        RequestState::Discarded
    );
    invariants_hold(&house).await;
}

#[tokio::test]
async fn one_mail_goes_to_who_asks_and_its_link_takes_it_back() {
    let house = House::open().await;
    let (entry, old) = refused(&house, mail(ANN, "1@x", start())).await;
    // Mail that anybody may have written asks for nothing.
    house.accept(mail(ANN, "2@x", at(DAY))).await;
    assert!(house.letter(at(DAY)).await.is_none());
    let resend = async |after| {
        let renewed = house
            .store
            .renew_link(address(ANN), LetterCause::Resend, at(after));
        renewed.await.expect("an answer");
    };
    resend(10 * DAY).await;
    let (letter, link) = house.letter(at(10 * DAY)).await.expect("the one mail");
    assert_eq!(letter.cause, LetterCause::TakeBack);
    let outcome = vestibule::store::LetterOutcome::Sent;
    let settled = house.store.settle_letter(&letter, outcome, at(10 * DAY));
    settled.await.expect("settled");
    resend(11 * DAY).await;
    let added = house
        .store
        .add_customer(address(ANN), None, Actor::Person, at(12 * DAY));
    added.await.expect("an answer");
    assert!(house.letter(at(20 * DAY)).await.is_none(), "one is enough");
    let gone = take_back(&house, old, 12 * DAY).await;
    assert!(matches!(gone, TakenBack::Expired), "{gone:?}");
    // Confirming by that link does nothing: first it has to be taken back.
    let proved = house
        .store
        .prove(Proof::Link(link), None, Choice::All, at(12 * DAY));
    assert!(matches!(proved.await, Ok(Proved::Unknown)));
    let TakenBack::Now { restored, .. } = take_back(&house, link, 12 * DAY).await else {
        panic!("not taken back");
    };
    assert_eq!(Some(restored), entry.request.map(|request| vec![request]));
    invariants_hold(&house).await;
}

#[tokio::test]
async fn another_spelling_of_the_mailbox_gets_that_mail_too_and_only_one() {
    let house = House::open().await;
    refused(&house, mail(ANN, "1@x", start())).await;
    for (spelling, after, expected) in [("ann+a", DAY, true), ("ann+b", 3 * DAY, false)] {
        let added = house.store.add_customer(
            address(&format!("{spelling}@corp.example")),
            None,
            Actor::Person,
            at(after),
        );
        added.await.expect("an answer");
        let letter = house.letter(at(after)).await;
        assert_eq!(letter.is_some(), expected, "{spelling}");
        if let Some((letter, _)) = letter {
            // Put off and tried again, it is the same mail.
            let retry = vestibule::store::LetterOutcome::Retry {
                at: at(after),
                cause: "451 later".to_owned(),
            };
            let settled = house.store.settle_letter(&letter, retry, at(after));
            settled.await.expect("settled");
            let (again, _) = house.letter(at(after + DAY)).await.expect("the same again");
            assert_eq!(again.id, letter.id);
            let sent = vestibule::store::LetterOutcome::Sent;
            let settled = house.store.settle_letter(&again, sent, at(after + DAY));
            settled.await.expect("settled");
        }
    }
}

#[tokio::test]
async fn who_cannot_be_reached_gets_no_mail_either_way() {
    let house = House::open().await;
    refused(&house, mail(ANN, "1@x", start())).await;
    let path = house.folder.path().join("vestibule.db");
    let database = rusqlite::Connection::open(path).expect("the database");
    database
        .execute("UPDATE account SET undeliverable = 1", [])
        .expect("marked");
    let renewed = house
        .store
        .renew_link(address(ANN), LetterCause::Resend, at(DAY));
    renewed.await.expect("an answer");
    assert!(house.letter(at(DAY)).await.is_none());
}

#[tokio::test]
async fn a_message_that_passes_dmarc_ends_the_quiet_time() {
    for (first, later, ends) in [
        (mail(ANN, "1@x", start()), authenticated("2@x", DAY), true),
        (mail(ANN, "1@x", start()), mail(ANN, "2@x", at(DAY)), false),
        // What was refused had passed, too: to pass proves nothing then.
        (
            authenticated("1@x", Duration::ZERO),
            authenticated("2@x", DAY),
            false,
        ),
    ] {
        let house = House::open().await;
        refused(&house, first).await;
        house.accept(later).await;
        let account = house.store.customer(&address(ANN)).await.expect("read");
        assert_eq!(account.expect("there").quiet_until.is_none(), ends);
        let claimed = house
            .store
            .claim_letters(vec![token()], LIMITS, 7 * DAY, at(DAY));
        let letters = claimed.await.expect("a claim").letters;
        assert_eq!(!letters.is_empty(), ends);
    }
}

#[tokio::test]
async fn only_a_message_that_is_held_ends_it() {
    let house = House::open().await;
    refused(&house, mail(ANN, "1@x", start())).await;
    let mut away = authenticated("2@x", DAY);
    away.facts.spam = Some(vestibule::mail::Evidence {
        field: "X-Spam-Flag".to_owned(),
        value: "YES".to_owned(),
    });
    let dropped = house.accept(away).await;
    assert_eq!(dropped.request, None);
    let other = house.accept(mail("bea@corp.example", "3@x", at(DAY))).await;
    assert_ne!(other.request, None);
    let account = house.store.customer(&address(ANN)).await.expect("read");
    assert!(account.expect("there").quiet_until.is_some());
}
