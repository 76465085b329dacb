//! The ways out of the quiet time after "This was not me", as an account shows them to operators.

use vestibule::domain::{Account, Actor, Verdict};
use vestibule::mail::{AuthenticationResult, ListAuthor};
use vestibule::store::{ArrivalPart, Page, RequestFilter};

use super::harness::{DAY, Harness, address, at, mail, minutes, operator, start};

const ANN: &str = "ann@corp.example";

async fn account(harness: &Harness) -> Account {
    let account = harness.store.customer(&address(ANN)).await.expect("read");
    account.expect("there")
}

/// Refuses a held message. The link is valid for 7 days, the quiet time lasts 30.
async fn refused(harness: &Harness) {
    harness.accept(mail(ANN, "1@x", start())).await;
    let link = harness.sent(start()).await;
    assert_eq!(account(harness).await.link_valid_until, None);
    let refused = harness.store.refuse(link, 30 * DAY, start());
    refused.await.expect("refused");
}

#[tokio::test]
async fn the_person_has_a_link_and_then_one_request_for_another() {
    let harness = Harness::open().await;
    refused(&harness).await;
    let before = account(&harness).await;
    assert_eq!(before.can_withdraw_until(minutes(1)), Some(at(7 * DAY)));
    assert!(before.may_request_link(minutes(1)));
    assert_eq!(before.can_withdraw_until(at(7 * DAY)), None);
    assert!(before.may_request_link(at(7 * DAY)));
    assert!(!before.may_request_link(at(30 * DAY)), "mail resumes");

    let renewed = harness
        .store
        .renew_link(address(ANN), Actor::Person, at(8 * DAY));
    renewed.await.expect("queued");
    assert!(!account(&harness).await.may_request_link(at(8 * DAY)));
    harness.sent(at(8 * DAY)).await;
    let after = account(&harness).await;
    assert_eq!(after.can_withdraw_until(at(9 * DAY)), Some(at(15 * DAY)));
    assert!(!after.may_request_link(at(9 * DAY)));
    assert_eq!(after.can_withdraw_until(at(15 * DAY)), None);
}

#[tokio::test]
async fn the_audit_says_which_operator_ended_it() {
    let harness = Harness::open().await;
    refused(&harness).await;
    let store = &harness.store;
    for by in [Actor::Person, operator("root"), operator("ada")] {
        let renewed = store.renew_link(address(ANN), by, at(DAY));
        renewed.await.expect("queued");
    }
    let mut audit = store.audit(Page::default()).await.expect("read").rows;
    audit.retain(|action| action.event == "verification.requested");
    audit.reverse();
    let found: Vec<_> = audit
        .iter()
        .map(|action| (action.actor.as_str(), action.detail.as_deref()))
        .collect();
    let objected = "the person had said \"This was not me\"";
    assert_eq!(
        found,
        [("operator:root", Some(objected)), ("operator:ada", None)]
    );
    assert!(
        audit
            .iter()
            .all(|action| action.account == Some(address(ANN)))
    );
}

#[tokio::test]
async fn a_blocked_account_has_no_way_out() {
    let harness = Harness::open().await;
    refused(&harness).await;
    let id = account(&harness).await.id;
    let blocked = harness
        .store
        .block_customer(id, operator("root"), minutes(1));
    blocked.await.expect("blocked");
    let blocked = account(&harness).await;
    assert_eq!(blocked.can_withdraw_until(minutes(1)), None);
    assert!(!blocked.may_request_link(minutes(1)));
    let requests = harness.store.requests(RequestFilter::default()).await;
    let request = requests.expect("read").rows.remove(0).id;
    let released = harness
        .store
        .release_request(request, operator("root"), minutes(1));
    let refusal = released.await.expect_err("the person's").to_string();
    assert!(
        refusal.contains("once the account is unblocked"),
        "{refusal}"
    );
    assert!(!refusal.contains("resend"), "{refusal}");
}

/// DMARC says that the list passed the message on, and not that the person behind it wrote it.
#[tokio::test]
async fn a_message_through_a_list_that_passes_dmarc_does_not_end_it() {
    let harness = Harness::open().await;
    refused(&harness).await;
    let mut listed = mail("it@groups.example", "2@x", at(DAY));
    listed.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    listed.facts.author_behind_list = Some(ListAuthor {
        list: "it.groups.example".to_owned(),
        author: mail(ANN, "2@x", at(DAY)).facts.sender,
        field: "X-Original-From".to_owned(),
    });
    for part in &mut listed.parts {
        if let ArrivalPart::Portal { circumstances, .. } = part {
            circumstances.own_list = Some("it.groups.example".to_owned());
        }
    }
    let listed = harness.accept(listed).await;
    assert_eq!(
        (listed.verdict, listed.sender),
        (Verdict::Held, Some(address(ANN)))
    );
    assert_eq!(account(&harness).await.quiet_until, Some(at(30 * DAY)));

    let mut own = mail(ANN, "3@x", at(DAY));
    own.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    harness.accept(own).await;
    assert_eq!(account(&harness).await.quiet_until, None);
}
