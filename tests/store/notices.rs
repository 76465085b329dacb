//! Notices to senders whose mail is not taken: once a day, within a share of their own.

use vestibule::access::AccessSettings;
use vestibule::config::LetterLimits;
use vestibule::domain::{DomainPattern, Reason, Timestamp};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{Arrival, Notice};

use crate::house::{DAY, House, LIMITS, address, at, mail, operator, settings, start};

async fn told() -> House {
    let house = House::open().await;
    let mut settings: AccessSettings = settings();
    settings.site.external.restrict_domains = true;
    settings.site.external.allowed_domains =
        vec![DomainPattern::parse("partner.example").expect("a pattern")];
    settings.site.external.tell_refused = true;
    let changed = house
        .store
        .change_access(1, settings, operator("root"), start());
    changed.await.expect("changed");
    house
}

fn authenticated(from: &str, id: &str, now: Timestamp) -> Arrival {
    let mut message = mail(from, id, now);
    message.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    message
}

async fn claim(house: &House, limits: LetterLimits, now: Timestamp) -> Vec<Notice> {
    let claimed = house.store.claim_notices(100, limits, now).await;
    claimed.expect("a claim").notices
}

#[tokio::test]
async fn one_a_day_and_never_twice() {
    let house = told().await;
    for id in ["1@x", "2@x"] {
        let entry = house
            .accept(authenticated("eve@evil.example", id, start()))
            .await;
        assert_eq!(entry.reason, Reason::DomainNotAllowed);
    }
    let claimed = claim(&house, LIMITS, start()).await;
    let [notice] = claimed.as_slice() else {
        panic!("{claimed:?}");
    };
    assert_eq!(notice.address, address("eve@evil.example"));
    assert_eq!(notice.in_reply_to.as_deref(), Some("1@x"));
    // Whoever claimed it and crashed may have sent it.
    assert!(claim(&house, LIMITS, at(DAY / 2)).await.is_empty());
    for (from, after) in [
        ("eve@evil.example", DAY / 2),
        ("eve+a@evil.example", DAY / 2),
    ] {
        house.accept(authenticated(from, "3@x", at(after))).await;
        assert!(claim(&house, LIMITS, at(after)).await.is_empty(), "{from}");
    }
    house
        .accept(authenticated("eve@evil.example", "4@x", at(DAY + DAY / 2)))
        .await;
    assert_eq!(claim(&house, LIMITS, at(DAY + DAY / 2)).await.len(), 1);
    // One that was surely not sent is tried again, and is not worth sending a day late.
    house
        .accept(authenticated("fay@evil.example", "5@x", at(3 * DAY)))
        .await;
    let id = claim(&house, LIMITS, at(3 * DAY)).await[0].id;
    for (after, expected) in [(3 * DAY + DAY / 2, 1), (5 * DAY, 0)] {
        let retried = house.store.retry_notice(id, at(after)).await;
        retried.expect("retried");
        assert_eq!(claim(&house, LIMITS, at(after)).await.len(), expected);
    }
}

#[tokio::test]
async fn a_flood_takes_a_share_of_its_own_and_none_of_verification_mail() {
    let house = told().await;
    for n in 0..30 {
        let from = format!("eve{n}@evil.example");
        house
            .accept(authenticated(&from, &format!("{n}@x"), start()))
            .await;
    }
    let limits = LetterLimits {
        per_domain_hour: 50,
        total_hour: 100,
        ..LIMITS
    };
    assert_eq!(
        claim(&house, limits, start()).await.len(),
        5,
        "a tenth of a domain's"
    );
    house.accept(mail("ann@corp.example", "a@x", start())).await;
    let letter = house.letter(start()).await;
    assert!(letter.is_some(), "verification mail waits for none of them");
}

#[tokio::test]
async fn only_who_wrote_is_told() {
    let house = told().await;
    house.accept(mail("eve@evil.example", "1@x", start())).await;
    let mut fails = mail("eve@evil.example", "2@x", start());
    fails.facts.authentication.dmarc = Some(AuthenticationResult::Fail);
    house.accept(fails).await;
    house
        .accept(authenticated("noreply@evil.example", "3@x", start()))
        .await;
    let mut null = authenticated("eve@evil.example", "4@x", start());
    null.envelope.reverse_path = vestibule::domain::ReversePath::Null;
    house.accept(null).await;
    house
        .accept(authenticated("bob@partner.example", "5@x", start()))
        .await;
    assert!(claim(&house, LIMITS, start()).await.is_empty());
}
