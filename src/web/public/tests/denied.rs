//! The pages of a link whose address is on the deny list.

use super::*;
use crate::access::Key;
use crate::domain::{Actor, DomainPattern, Interface};

async fn deny(harness: &Harness, address: &str) {
    let base = harness.store.access().await.expect("read");
    let pattern = DomainPattern::parse_denied(address).expect("a pattern");
    let denied = base.settings.with_domains(None, Key::Denied, &[pattern]);
    let by = Actor::operator("root", Interface::CommandLine);
    let changed = harness
        .store
        .change_access(base.number, denied, by, Timestamp::now());
    changed.await.expect("changed");
}

#[tokio::test]
async fn a_denied_person_is_not_told_that_mail_is_passed_on() {
    let harness = Harness::open().await;
    let entry = harness.mail("ann@corp.example", "mine").await;
    let held = entry.request.expect("held");
    let link = harness.link().await;
    deny(&harness, "ann@corp.example").await;
    let pressed = harness.post(&link, "action=confirm").await.body;
    assert_eq!(harness.state(held).await, "released");
    assert!(pressed.contains("Your address is confirmed."), "{pressed}");
    assert!(!pressed.contains("From now on"), "{pressed}");
    for page in [
        harness.get(&link).await.body,
        harness.post(&link, "action=confirm").await.body,
    ] {
        assert!(page.contains("already confirmed"), "{page}");
        assert!(!page.contains("All is well"), "{page}");
    }
    let objected = harness.post(&link, "action=not-me").await.body;
    assert!(objected.contains("stays confirmed"), "{objected}");
    assert!(!objected.contains("passed on"), "{objected}");
}
