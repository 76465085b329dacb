//! Notices to senders whose mail is not accepted: once a day, within their own share of the limits.

use vestibule::access::AccessSettings;
use vestibule::config::MailLimits;
use vestibule::domain::{DomainPattern, Reason, Timestamp};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{Arrival, Notice, Settled, Settlement};

use super::harness::{DAY, Harness, LIMITS, address, at, mail, operator, settings, start};

async fn told() -> Harness {
    let harness = Harness::open().await;
    let mut settings: AccessSettings = settings();
    settings.site.external.restrict_domains = true;
    settings.site.external.allowed_domains =
        vec![DomainPattern::parse("partner.example").expect("a pattern")].into();
    settings.site.external.tell_refused = true;
    let changed = harness
        .store
        .change_access(1, settings, operator("root"), start());
    changed.await.expect("changed");
    harness
}

fn authenticated(from: &str, id: &str, now: Timestamp) -> Arrival {
    let mut message = mail(from, id, now);
    message.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    message
}

async fn claim(harness: &Harness, limits: MailLimits, now: Timestamp) -> Vec<Notice> {
    let claimed = harness
        .store
        .settle_and_claim_notices(Vec::new(), 100, limits, now)
        .await;
    claimed.expect("a claim").runs.concat()
}

#[tokio::test]
async fn a_sender_gets_at_most_one_notice_a_day() {
    let harness = told().await;
    for id in ["1@x", "2@x"] {
        let entry = harness
            .accept(authenticated("eve@evil.example", id, start()))
            .await;
        assert_eq!(entry.reason, Reason::DomainNotAllowed);
    }
    let claimed = claim(&harness, LIMITS, start()).await;
    let [notice] = claimed.as_slice() else {
        panic!("{claimed:?}");
    };
    assert_eq!(notice.address, address("eve@evil.example"));
    assert_eq!(notice.in_reply_to.as_deref(), Some("1@x"));
    // The worker that crashed may have sent it.
    assert!(claim(&harness, LIMITS, at(DAY / 2)).await.is_empty());
    for (from, after) in [
        ("eve@evil.example", DAY / 2),
        ("eve+a@evil.example", DAY / 2),
    ] {
        harness.accept(authenticated(from, "3@x", at(after))).await;
        assert!(
            claim(&harness, LIMITS, at(after)).await.is_empty(),
            "{from}"
        );
    }
    harness
        .accept(authenticated("eve@evil.example", "4@x", at(DAY + DAY / 2)))
        .await;
    assert_eq!(claim(&harness, LIMITS, at(DAY + DAY / 2)).await.len(), 1);
    // A notice that was certainly not sent is retried, but is not sent a day late.
    harness
        .accept(authenticated("fay@evil.example", "5@x", at(3 * DAY)))
        .await;
    let id = claim(&harness, LIMITS, at(3 * DAY)).await[0].id;
    for (after, expected) in [(3 * DAY + DAY / 2, 1), (5 * DAY, 0)] {
        let retry = Settlement::Retry {
            at: at(after),
            cause: "the relay was down".to_owned(),
        };
        let outcomes = vec![(id, retry, at(3 * DAY))];
        let retried = harness
            .store
            .settle_and_claim_notices(outcomes, 0, LIMITS, at(3 * DAY));
        assert_eq!(retried.await.expect("retried").settled, [Settled::Recorded]);
        assert_eq!(claim(&harness, LIMITS, at(after)).await.len(), expected);
    }
}

#[tokio::test]
async fn a_claim_skips_a_notice_that_is_too_late() {
    let harness = told().await;
    for (from, id, at) in [
        ("eve@evil.example", "1@x", start()),
        ("fay@evil.example", "2@x", at(DAY + DAY / 2)),
    ] {
        harness.accept(authenticated(from, id, at)).await;
    }
    let now = at(DAY + DAY / 2);
    let round = harness
        .store
        .settle_and_claim_notices(Vec::new(), 1, LIMITS, now)
        .await;
    let claimed = round.expect("a claim").runs.concat();
    let [notice] = claimed.as_slice() else {
        panic!("{claimed:?}");
    };
    assert_eq!(notice.address, address("fay@evil.example"));
}

#[tokio::test]
async fn a_flood_uses_a_share_of_its_own_and_none_of_verification_mail() {
    let harness = told().await;
    for n in 0..30 {
        let from = format!("eve{n}@evil.example");
        harness
            .accept(authenticated(&from, &format!("{n}@x"), start()))
            .await;
    }
    let limits = MailLimits {
        per_domain_hour: 50,
        total_hour: 100,
        ..LIMITS
    };
    assert_eq!(
        claim(&harness, limits, start()).await.len(),
        5,
        "a tenth of a domain's"
    );
    harness
        .accept(mail("ann@corp.example", "a@x", start()))
        .await;
    let verification_mail = harness.verification_mail(start()).await;
    assert!(
        verification_mail.is_some(),
        "verification mail waits for none of them"
    );
}

#[tokio::test]
async fn only_an_authenticated_author_gets_a_notice() {
    let harness = told().await;
    harness
        .accept(mail("eve@evil.example", "1@x", start()))
        .await;
    let mut fails = mail("eve@evil.example", "2@x", start());
    fails.facts.authentication.dmarc = Some(AuthenticationResult::Fail);
    harness.accept(fails).await;
    harness
        .accept(authenticated("noreply@evil.example", "3@x", start()))
        .await;
    let mut null = authenticated("eve@evil.example", "4@x", start());
    null.envelope.reverse_path = vestibule::domain::ReversePath::Null;
    harness.accept(null).await;
    harness
        .accept(authenticated("bob@partner.example", "5@x", start()))
        .await;
    assert!(claim(&harness, LIMITS, start()).await.is_empty());
}
