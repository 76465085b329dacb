//! Claimed verification mail: nobody gets a second one because a worker came late, and each counts once.

use vestibule::config::LetterLimits;
use vestibule::domain::Proof;
use vestibule::store::{Choice, Letter, LetterCause, LetterOutcome, Settled};

use crate::house::{House, LIMITS, address, mail, operator, start};
use crate::letters::{claim, minutes};

/// A claim whose worker hangs, and the moment at which its lease is over.
async fn hung(house: &House) -> (Letter, jiff::Timestamp) {
    house.accept(mail("ann@corp.example", "1@x", start())).await;
    let (letter, _) = house.letter(start()).await.expect("a letter");
    (letter, minutes(15))
}

/// Two an hour, so that one more than was counted is seen.
const TWO_AN_HOUR: LetterLimits = LetterLimits {
    per_address_hour: 2,
    per_address_day: 10,
    ..LIMITS
};

/// How many more mails the limits let out to Ann now.
async fn room(house: &House, now: jiff::Timestamp) -> usize {
    let mut sent = 0;
    loop {
        let ann = address("ann@corp.example");
        let renewed = house.store.renew_link(ann, LetterCause::Resend, now);
        renewed.await.expect("asked");
        let claimed = claim(&house.store, TWO_AN_HOUR, now).await;
        let Some(letter) = claimed.letters.first() else {
            return sent;
        };
        let settled = house.store.settle_letter(letter, LetterOutcome::Sent, now);
        assert_eq!(settled.await.expect("settled"), Settled::Recorded);
        sent += 1;
    }
}

async fn settled(house: &House, letter: &Letter, outcome: LetterOutcome) -> Settled {
    let settled = house.store.settle_letter(letter, outcome, minutes(16));
    let settled = settled.await.expect("settled");
    let violations = house.store.check_invariants().await.expect("checked");
    assert!(violations.is_empty(), "{violations:?}");
    settled
}

fn later(cause: &str) -> LetterOutcome {
    LetterOutcome::Retry {
        at: minutes(16),
        cause: cause.to_owned(),
    }
}

#[tokio::test]
async fn a_late_success_ends_a_letter_that_nobody_holds() {
    let house = House::open().await;
    let (letter, _) = hung(&house).await;
    assert_eq!(
        settled(&house, &letter, LetterOutcome::Sent).await,
        Settled::Recorded
    );
    let claimed = claim(&house.store, TWO_AN_HOUR, minutes(16)).await;
    assert!(claimed.letters.is_empty(), "she has it");
    assert_eq!(room(&house, minutes(16)).await, 1, "it counts once");
    // Heard of again.
    assert_eq!(
        settled(&house, &letter, LetterOutcome::Sent).await,
        Settled::ClaimLost
    );
}

#[tokio::test]
async fn a_late_success_keeps_whoever_took_the_letter_over_from_sending_it() {
    let house = House::open().await;
    let (first, over) = hung(&house).await;
    let claimed = claim(&house.store, TWO_AN_HOUR, over).await;
    let second = &claimed.letters[0];
    assert_eq!(second.id, first.id);
    assert!(second.number() > first.number());
    let confirm = async |letter| {
        let confirmed = house.store.confirm_letter(letter, minutes(15));
        confirmed.await.expect("an answer")
    };
    assert!(
        !confirm(&first).await,
        "one who comes too late sends nothing"
    );
    assert!(confirm(second).await);

    assert_eq!(
        settled(&house, &first, LetterOutcome::Sent).await,
        Settled::Recorded
    );
    assert!(!confirm(second).await, "she has it");
    assert_eq!(
        settled(&house, second, later("not mine")).await,
        Settled::ClaimLost
    );
    assert_eq!(room(&house, minutes(16)).await, 1, "it counts once");
}

#[tokio::test]
async fn a_late_failure_gives_its_share_back_and_leaves_the_letter_to_who_has_it() {
    let house = House::open().await;
    let (first, over) = hung(&house).await;
    let claimed = claim(&house.store, TWO_AN_HOUR, over).await;
    let second = &claimed.letters[0];
    for _ in 0..2 {
        assert_eq!(
            settled(&house, &first, later("451")).await,
            Settled::ClaimLost
        );
    }
    let refused = LetterOutcome::Refused {
        cause: "550".to_owned(),
    };
    assert_eq!(settled(&house, &first, refused).await, Settled::ClaimLost);
    assert_eq!(
        settled(&house, second, LetterOutcome::Sent).await,
        Settled::Recorded
    );
    assert_eq!(room(&house, minutes(16)).await, 1, "it counts once");
}

#[tokio::test]
async fn a_letter_that_may_have_been_sent_keeps_its_share() {
    let house = House::open().await;
    let (letter, _) = hung(&house).await;
    let unknown = LetterOutcome::Unknown {
        at: minutes(16),
        cause: "a fault".to_owned(),
    };
    assert_eq!(settled(&house, &letter, unknown).await, Settled::Recorded);
    assert_eq!(room(&house, minutes(16)).await, 1);
}

#[tokio::test]
async fn a_claim_that_waits_for_a_connection_is_kept_when_its_turn_comes() {
    let house = House::open().await;
    let (letter, _) = hung(&house).await;
    let confirmed = house.store.confirm_letter(&letter, minutes(14));
    assert!(confirmed.await.expect("an answer"));
    let claimed = claim(&house.store, TWO_AN_HOUR, minutes(28)).await;
    assert!(claimed.letters.is_empty(), "it is being sent");
    let claimed = claim(&house.store, TWO_AN_HOUR, minutes(29)).await;
    assert_eq!(claimed.letters.len(), 1, "whoever sent it is gone");
}

#[tokio::test]
async fn a_failed_claim_of_letters_is_given_back_with_its_share_of_the_limits() {
    let house = House::open().await;
    let (kept, _) = hung(&house).await;
    house.accept(mail("bea@corp.example", "2@x", start())).await;
    let (lost, _) = house.letter(start()).await.expect("a letter");
    let given = house.store.give_back_letters(kept.number(), start());
    given.await.expect("given back");
    assert_eq!(
        settled(
            &house,
            &lost,
            LetterOutcome::Refused {
                cause: "550".to_owned()
            }
        )
        .await,
        Settled::ClaimLost
    );
    // One an hour, which this one is.
    let (again, _) = house.letter(minutes(1)).await.expect("due at once");
    assert_eq!(again.address, lost.address);
    assert_eq!(
        settled(&house, &kept, LetterOutcome::Sent).await,
        Settled::Recorded
    );
    assert_eq!(
        settled(&house, &again, LetterOutcome::Sent).await,
        Settled::Recorded
    );
}

#[tokio::test]
async fn a_start_sends_what_the_last_one_left_within_the_limits() {
    let house = House::open().await;
    let (letter, _) = hung(&house).await;
    let restarted = house.again();
    restarted.end_leases(minutes(1)).await.expect("a start");
    assert!(
        claim(&restarted, LIMITS, minutes(1))
            .await
            .letters
            .is_empty(),
        "one an hour"
    );
    let again = claim(&restarted, LIMITS, minutes(60)).await;
    assert_eq!(again.letters[0].id, letter.id);
}

#[tokio::test]
async fn a_claimed_letter_that_nobody_needs_any_more_waits_for_nothing() {
    for is_settled in [true, false] {
        let house = House::open().await;
        let (letter, _) = hung(&house).await;
        let proof = Proof::Operator(operator("root"));
        let proved = house
            .store
            .prove(proof, Some(letter.account), Choice::All, minutes(1));
        proved.await.expect("proved");
        if is_settled {
            let outcome = settled(&house, &letter, later("451")).await;
            assert_eq!(outcome, Settled::Recorded);
        } else {
            let restarted = house.again();
            restarted.end_leases(minutes(16)).await.expect("a start");
        }
        let claimed = claim(&house.store, TWO_AN_HOUR, minutes(16)).await;
        assert!(claimed.letters.is_empty());
        assert_eq!(claimed.next_due, None);
        let violations = house.store.check_invariants().await.expect("checked");
        assert!(violations.is_empty(), "{violations:?}");
    }
}
