//! Limit of dropped content: a flood erases its own.

use vestibule::access::AccessSettings;
use vestibule::domain::Reason;
use vestibule::mail::{AuthenticationResult, Sender, SenderFault};
use vestibule::store::{Arrival, ArrivalOutcome};

use super::harness::{DAY, Harness, at, mail, operator, settings, start};

const LIMIT: u64 = 100_000;
const MESSAGE: usize = 5_000;

async fn harness() -> Harness {
    let harness = Harness::open().await;
    let mut closed: AccessSettings = settings();
    closed.site.external.restrict_domains = true;
    let by = operator("root");
    let changed = harness.store.change_access(1, closed, by, start());
    changed.await.expect("changed");
    harness
}

fn message(from: &str, id: &str, octets: usize) -> Arrival {
    let mut message = mail(from, id, start());
    message.raw.resize(octets, b'x');
    message.max_dropped = LIMIT;
    message
}

async fn send(harness: &Harness, from: &str, count: usize, octets: usize) -> Vec<ArrivalOutcome> {
    let mut entries = Vec::new();
    for number in 0..count {
        let from = from.replace('#', &number.to_string());
        let id = format!("{number}.{from}");
        let entry = harness.accept(message(&from, &id, octets)).await;
        assert_eq!(entry.reason, Reason::DomainNotAllowed);
        entries.push(entry);
    }
    entries
}

async fn kept(harness: &Harness, entries: &[ArrivalOutcome]) -> usize {
    let mut kept = 0;
    for entry in entries {
        let found = harness.store.ledger_entry(entry.ledger).await;
        kept += usize::from(found.expect("read").expect("the entry stays").content_kept);
    }
    kept
}

async fn octets(harness: &Harness) -> u64 {
    harness.assert_sound().await;
    let sql = "SELECT coalesce(sum(length(raw)), 0) FROM content";
    u64::try_from(harness.database.number(sql)).expect("a size")
}

#[tokio::test]
async fn a_flood_of_any_kind_erases_only_its_own() {
    for flood in [
        "someone@evil.example",
        "someone#@evil.example",
        "someone@sub#.evil.example",
        "someone@evil#.example",
    ] {
        let harness = harness().await;
        let before = send(&harness, "bob@shop.example", 4, MESSAGE).await;
        let others = send(&harness, "eva@partner#.example", 3, MESSAGE).await;
        let flooded = send(&harness, flood, 100, MESSAGE).await;
        assert_eq!(kept(&harness, &before).await, 4, "{flood}");
        assert_eq!(kept(&harness, &others).await, 3, "{flood}");
        assert!(octets(&harness).await <= LIMIT, "{flood}");
        assert!(
            kept(&harness, &flooded[..50]).await < 15,
            "the oldest go: {flood}"
        );
        // Later senders are not affected.
        let after = send(&harness, "zoe@late.example", 2, MESSAGE).await;
        assert_eq!(kept(&harness, &after).await, 2, "{flood}");
        assert!(octets(&harness).await <= LIMIT, "{flood}");
    }
}

#[tokio::test]
async fn authenticated_content_is_not_erased_for_forgeries_of_its_domain() {
    let harness = harness().await;
    let mut real = Vec::new();
    for number in 0..3 {
        let mut message = message("bob@shop.example", &format!("real{number}@x"), MESSAGE);
        message.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
        real.push(harness.accept(message).await);
    }
    send(&harness, "forged#@shop.example", 100, MESSAGE).await;
    assert_eq!(kept(&harness, &real).await, 3);
    assert!(octets(&harness).await <= LIMIT);
}

#[tokio::test]
async fn messages_without_a_sender_count_as_one_sender() {
    let harness = harness().await;
    let before = send(&harness, "bob@shop.example", 3, MESSAGE).await;
    for number in 0..60 {
        let mut message = message("x@evil.example", &format!("{number}@x"), MESSAGE);
        message.facts.sender = Sender::Unusable {
            fault: SenderFault::Missing,
            written: None,
        };
        let entry = harness.accept(message).await;
        assert_eq!(entry.reason, Reason::SenderUnusable);
    }
    assert_eq!(kept(&harness, &before).await, 3);
    assert!(octets(&harness).await <= LIMIT);
}

#[tokio::test]
async fn a_message_larger_than_the_limit_is_not_kept() {
    let harness = harness().await;
    let before = send(&harness, "bob@shop.example", 3, MESSAGE).await;
    let large = send(&harness, "eve@evil.example", 1, 150_000).await;
    assert_eq!(
        (kept(&harness, &before).await, kept(&harness, &large).await),
        (3, 0)
    );
}

#[tokio::test]
async fn a_message_for_which_too_many_others_would_have_to_go_is_not_kept() {
    let harness = harness().await;
    let before = send(&harness, "bob@shop.example", 225, 400).await;
    let large = send(&harness, "eve@evil.example", 1, 60_000).await;
    // One transaction erases 64 messages at most.
    assert_eq!(
        (kept(&harness, &before).await, kept(&harness, &large).await),
        (225 - 64, 0)
    );
    assert!(octets(&harness).await <= LIMIT);
}

#[tokio::test]
async fn a_lower_limit_is_enforced_in_steps_and_expiry_lowers_the_counts() {
    let harness = harness().await;
    send(&harness, "eve@evil.example", 10, MESSAGE).await;
    let kept_by = send(&harness, "bob@shop.example", 2, MESSAGE).await;
    let mut steps = 0;
    loop {
        let step = harness
            .store
            .trim_dropped_content(20_000, 3)
            .await
            .expect("a step");
        steps += 1;
        assert!(step.done <= 3);
        if !step.more {
            break;
        }
    }
    assert!(steps > 1);
    assert_eq!(octets(&harness).await, 20_000);
    assert_eq!(kept(&harness, &kept_by).await, 2);
    harness.delete_expired_content(at(8 * DAY), DAY).await;
    assert_eq!(octets(&harness).await, 0);
}

#[tokio::test]
async fn held_requests_do_not_count() {
    let harness = harness().await;
    for number in 0..15 {
        let message = message("ann@corp.example", &format!("{number}@x"), MESSAGE * 2);
        let entry = harness.accept(message).await;
        assert!(entry.request.is_some());
    }
    let dropped = send(&harness, "bob@shop.example", 5, MESSAGE).await;
    assert_eq!(kept(&harness, &dropped).await, 5);
    octets(&harness).await;
}
