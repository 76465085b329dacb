//! What a clock that was wrong for a while left behind.

use std::time::Duration;

use vestibule::domain::{Proof, Timestamp};
use vestibule::store::{Choice, Plans, Settlement};

use crate::house::{DAY, House, at, mail, portal, start};

const PLANS: Plans = Plans {
    hold_for: DAY.saturating_mul(14),
    token_ttl: DAY.saturating_mul(7),
    keep_dropped: DAY.saturating_mul(7),
};

/// A year ahead of the start, where the clock stood by mistake.
fn wrong() -> Timestamp {
    at(365 * DAY)
}

async fn mended(house: &House) -> usize {
    let mended = house.store.mend_times(start(), PLANS, 2).await;
    mended.expect("mended")
}

#[tokio::test]
async fn letters_go_out_although_others_went_out_in_the_future() {
    let house = House::open().await;
    house.accept(mail("ann@corp.example", "1@x", wrong())).await;
    house.sent(wrong()).await;
    house.accept(mail("ann@corp.example", "2@x", wrong())).await;
    assert!(
        house.letter(start()).await.is_none(),
        "not due, over the limit"
    );
    assert!(mended(&house).await > 0);
    // For all we know it was sent a moment ago.
    assert!(house.letter(start()).await.is_none(), "within the hour");
    let hour = at(Duration::from_mins(61));
    let (letter, _) = house.letter(hour).await.expect("due after an hour");
    assert_eq!(letter.waiting, 2);
    assert_eq!(
        letter.expires_at,
        Some(at(14 * DAY)),
        "held no longer than others"
    );
    assert!(house.letter(hour).await.is_none(), "once");
}

#[tokio::test]
async fn a_delivery_put_off_into_the_future_is_tried_now_and_one_in_work_is_left_alone() {
    let house = House::open().await;
    for sender in ["bob@shop.example", "eve@shop.example"] {
        house.accept(mail(sender, sender, wrong())).await;
    }
    let claim = |now, limit| {
        let portals = vec![portal("it")];
        house.store.claim_deliveries(portals, limit, now + DAY, now)
    };
    let put_off = Settlement::Retry {
        at: wrong() + DAY,
        cause: "451 later".to_owned(),
    };
    let claims = claim(wrong(), 2).await.expect("claims");
    let [first, in_work] = &claims[..] else {
        panic!("two are due");
    };
    let settled = house.store.settle_delivery(first, put_off, wrong());
    settled.await.expect("settled");
    assert!(claim(start(), 2).await.expect("claims").is_empty());
    mended(&house).await;
    let due = claim(start(), 2).await.expect("claims");
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].ledger, first.ledger);
    assert_ne!(due[0].ledger, in_work.ledger);
}

#[tokio::test]
async fn a_day_back_changes_no_account_and_releases_nothing_twice() {
    let house = House::open().await;
    let held = house.accept(mail("ann@corp.example", "1@x", at(DAY))).await;
    let token = house.sent(at(DAY)).await;
    mended(&house).await;
    let prove = || {
        house
            .store
            .prove(Proof::Link(token), None, Choice::All, start())
    };
    prove().await.expect("proved");
    prove().await.expect("again");
    let claimed = house
        .store
        .claim_deliveries(vec![portal("it")], 10, at(DAY), start());
    let claims = claimed.await.expect("claims");
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].ledger, held.ledger);
    let violations = house.store.check_invariants().await.expect("read");
    assert!(violations.is_empty(), "{violations:?}");
}
