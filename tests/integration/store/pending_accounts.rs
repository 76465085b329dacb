//! Accounts that nobody verifies expire, unless something keeps them.

use std::time::Duration;

use vestibule::domain::{AccountId, EmailAddress, GroupName, LedgerId, Reason, TokenHash, Verdict};
use vestibule::mail::Evidence;
use vestibule::store::{
    ArrivalPart, CustomerFilter, LanguageWish, LedgerFilter, Link, ListOrder, NewDirectoryUser,
    Refused, RequestFilter, Store,
};

use super::harness::{DAY, Harness, address, at, mail, operator, start, to};

const KEEP: Duration = Duration::from_hours(90 * 24);

/// Expires accounts on this day, in steps. Returns their addresses.
pub async fn expire(harness: &Harness, day: u32) -> Vec<String> {
    const STEP: usize = 2;
    let mut expired = Vec::new();
    loop {
        let step = harness
            .store
            .expire_pending_accounts(at(day * DAY), KEEP, STEP);
        let step = step.await.expect("a step");
        assert!(step.done.len() <= STEP, "a step is bounded");
        expired.extend(
            step.done
                .into_iter()
                .map(|(_, address)| address.to_string()),
        );
        if !step.more {
            break;
        }
    }
    expired.sort();
    expired
}

/// The requests held since the start expire, and their content is deleted.
pub async fn end_holds(harness: &Harness) {
    harness.expire_holds(at(14 * DAY)).await;
    harness.delete_expired_content(at(45 * DAY), 30 * DAY).await;
}

/// Holds a message of this sender and sends the verification mail. Returns the account and the link.
pub async fn hold(harness: &Harness, who: &str) -> (AccountId, TokenHash) {
    let entry = harness.accept(mail(who, who, start())).await;
    let (account, _) = entry.account.expect("an account");
    (account, harness.sent(start()).await)
}

/// Entries of a sender, newest first.
pub async fn entries_of(store: &Store, sender: &EmailAddress) -> Vec<LedgerId> {
    let filter = LedgerFilter {
        sender: Some(sender.clone()),
        ..LedgerFilter::default()
    };
    let entries = store.ledger(filter).await.expect("read").rows;
    entries.iter().map(|entry| entry.ledger).collect()
}

/// Requests of an address, newest first.
pub async fn requests_of(store: &Store, account: &EmailAddress) -> Vec<LedgerId> {
    let filter = RequestFilter {
        account: Some(account.clone()),
        ..RequestFilter::default()
    };
    let requests = store.requests(filter).await.expect("read").rows;
    requests.iter().map(|request| request.ledger).collect()
}

/// Addresses of all accounts, listed in each order.
async fn list_accounts(store: &Store) -> Vec<String> {
    let mut lists = Vec::new();
    for order in [
        None,
        Some(ListOrder::NewestFirst),
        Some(ListOrder::OldestFirst),
    ] {
        let filter = CustomerFilter {
            order,
            ..CustomerFilter::default()
        };
        let accounts = store.customers(filter).await.expect("read").rows;
        let mut addresses: Vec<_> = accounts
            .iter()
            .map(|account| account.address.to_string())
            .collect();
        addresses.sort();
        lists.push(addresses);
    }
    assert!(
        lists.windows(2).all(|lists| lists[0] == lists[1]),
        "{lists:?}"
    );
    lists.remove(0)
}

#[tokio::test]
async fn an_expired_account_counts_as_none_and_its_entry_is_found_by_its_sender() {
    const ANN: &str = "ann@corp.example";
    let harness = Harness::open().await;
    let store = &harness.store;
    let (account, link) = hold(&harness, ANN).await;
    let ann = address(ANN);
    let first = entries_of(store, &ann).await;
    end_holds(&harness).await;
    // The hold ended on day 14.
    assert_eq!(expire(&harness, 104).await, [""; 0]);
    assert_eq!(list_accounts(store).await, [ANN]);
    assert_eq!(expire(&harness, 105).await, [ANN]);

    assert!(store.customer(&ann).await.expect("read").is_none());
    let by_id = store.customer_by_id(account).await.expect("read");
    assert!(by_id.is_none(), "{by_id:?}");
    assert_eq!(list_accounts(store).await, [""; 0]);
    let found = store.look_at_link(link, at(105 * DAY)).await;
    assert!(matches!(found, Ok(Link::Unknown)), "{found:?}");
    assert_eq!(first.len(), 1);
    assert_eq!(entries_of(store, &ann).await, first);
    assert_eq!(requests_of(store, &ann).await, first);
    let events = store.events(first[0]).await.expect("read");
    assert!(
        events.iter().any(|event| event.event == "account.expired"),
        "{events:?}"
    );
    harness.assert_sound().await;

    let again = harness.accept(mail(ANN, "again", at(106 * DAY))).await;
    assert_eq!(again.reason, Reason::InternalAccountCreated);
    let (new, _) = again.account.expect("an account");
    assert!(again.account_created && new != account);
    harness.sent(at(106 * DAY)).await;
    let there = store.customer(&ann).await.expect("read").expect("there");
    assert_eq!((there.id, there.created_at), (new, at(106 * DAY)));
    assert_eq!(there.groups, ["desk-users"]);
    assert_eq!(list_accounts(store).await, [ANN]);
    assert_eq!(entries_of(store, &ann).await, [again.ledger, first[0]]);
    assert_eq!(requests_of(store, &ann).await, [again.ledger, first[0]]);
    let history = store.history_of(new, 10).await.expect("read");
    let names: Vec<_> = history.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(names, ["verification.sent", "account.created"]);
    harness.assert_sound().await;
}

#[tokio::test]
async fn an_account_stays_while_something_waits_or_an_operator_decided_about_it() {
    let harness = Harness::open().await;
    let store = &harness.store;
    hold(&harness, "ann@corp.example").await;
    // Her silence lasts for 90 days.
    let (_, link) = hold(&harness, "eve@corp.example").await;
    let refused = store.refuse(link, 90 * DAY, start()).await;
    assert!(
        matches!(refused, Ok(Refused::Recorded { .. })),
        "{refused:?}"
    );
    let (gus, _) = hold(&harness, "gus@corp.example").await;
    let groups = vec![GroupName::parse("staff").expect("a name")];
    let set = store.set_groups(gus, groups, operator("root"), start());
    set.await.expect("set");
    hold(&harness, "dan@corp.example").await;
    let user = NewDirectoryUser {
        user_name: "dan@corp.example".to_owned(),
        external_id: None,
        emails: Vec::new(),
        roles: Vec::new(),
        active: Some(true),
        address: address("dan@corp.example"),
    };
    let user = store.create_user(user, operator("root"), start());
    user.await.expect("written").expect("created");
    let (bea, _) = hold(&harness, "bea@corp.example").await;
    let blocked = store.block_customer(bea, operator("root"), start());
    blocked.await.expect("blocked");
    harness
        .accept(mail("bob@shop.example", "bob", start()))
        .await;
    end_holds(&harness).await;
    // Nothing but a mail that is due.
    let client = "192.0.2.7".parse().expect("an address");
    let sam = address("sam@corp.example");
    let signed_up = store.sign_up(sam, None, client, LanguageWish::default(), start());
    signed_up.await.expect("signed up");

    assert_eq!(expire(&harness, 104).await, [""; 0]);
    assert_eq!(expire(&harness, 105).await, ["ann@corp.example"]);
    assert_eq!(expire(&harness, 180).await, [""; 0]);
    assert_eq!(expire(&harness, 181).await, ["eve@corp.example"]);
    // The mail is sent, with a link that is valid for a week.
    harness.sent(at(182 * DAY)).await;
    assert_eq!(expire(&harness, 279).await, [""; 0]);
    assert_eq!(expire(&harness, 280).await, ["sam@corp.example"]);
    assert_eq!(expire(&harness, 2000).await, [""; 0]);
    let left = [
        "bea@corp.example",
        "bob@shop.example",
        "dan@corp.example",
        "gus@corp.example",
    ];
    assert_eq!(list_accounts(store).await, left);
    // Requests refer to two of the expired accounts.
    let rows = harness.database.number("SELECT count(*) FROM account");
    assert_eq!(rows, 4 + 2);
    harness.assert_sound().await;
}

#[tokio::test]
async fn content_that_is_kept_keeps_the_account() {
    const ANN: &str = "ann@corp.example";
    let harness = Harness::open().await;
    hold(&harness, ANN).await;
    harness.expire_holds(at(14 * DAY)).await;
    assert_eq!(expire(&harness, 105).await, [""; 0]);
    harness
        .delete_expired_content(at(106 * DAY), 30 * DAY)
        .await;
    // It is examined again after a day.
    assert_eq!(expire(&harness, 106).await, [""; 0]);
    assert_eq!(expire(&harness, 107).await, [ANN]);
}

/// Statements that give Ann's account a reason to stay, each with one that ends it again.
const REASONS_TO_STAY: [(&str, &str); 7] = [
    (
        "UPDATE account SET takes_automatic = 1",
        "UPDATE account SET takes_automatic = 0",
    ),
    (
        "INSERT INTO offer (n, ledger, account, authenticated, octets, kept_otherwise_until)
         SELECT 1, ledger, account, 0, 1, 0 FROM request",
        "DELETE FROM offer",
    ),
    (
        "INSERT INTO hook_call (n, id, hook, account, event, payload, created_at, state, released_at,
             settled_at)
         SELECT 1, id, 'directory', n, 'account.created', '{}', 0, 'failed', 0, 0 FROM account",
        "UPDATE hook_call SET state = 'delivered'",
    ),
    (
        "INSERT INTO event (n, at, name, account, actor)
         SELECT 0, 0, 'account.groups_changed', n, 'operator:root' FROM account",
        "DELETE FROM event WHERE name = 'account.groups_changed'",
    ),
    (
        "INSERT INTO event (n, at, name, account, actor)
         SELECT 0, 0, 'account.made_internal', n, 'operator:root' FROM account",
        "DELETE FROM event WHERE name = 'account.made_internal'",
    ),
    (
        "UPDATE request SET kept = 1",
        "UPDATE request SET kept = 0",
    ),
    // It cannot be read.
    (
        "UPDATE account SET address = 'nobody'",
        "UPDATE account SET address = 'ann@corp.example'",
    ),
];

#[tokio::test]
async fn each_reason_to_stay_keeps_the_account_until_it_ends() {
    for (begin, end) in REASONS_TO_STAY {
        let harness = Harness::open().await;
        hold(&harness, "ann@corp.example").await;
        end_holds(&harness).await;
        harness.database.run(begin);
        assert_eq!(expire(&harness, 105).await, [""; 0], "{begin}");
        harness.database.run(end);
        let expired = expire(&harness, 107).await;
        assert_eq!(expired, ["ann@corp.example"], "{end}");
    }
}

/// A request that waits keeps the account, even if its content is lost.
#[tokio::test]
async fn a_waiting_request_keeps_the_account() {
    const ANN: &str = "ann@corp.example";
    let harness = Harness::open().await;
    let mut message = mail(ANN, "first", start());
    message.hold_for = 200 * DAY;
    harness.accept(message).await;
    harness.sent(start()).await;
    harness
        .database
        .run("UPDATE request SET kept = 0; DELETE FROM content");
    assert_eq!(expire(&harness, 105).await, [""; 0]);
    harness.expire_holds(at(200 * DAY)).await;
    assert_eq!(expire(&harness, 290).await, [""; 0]);
    assert_eq!(expire(&harness, 291).await, [ANN]);
}

/// As after an upgrade, when the last activity is not known yet; and an account that stands only for a message that
/// an operator released.
#[tokio::test]
async fn an_account_without_known_activity_and_a_placeholder_expire_by_their_last_activity() {
    const ANN: &str = "ann@corp.example";
    let harness = Harness::open().await;
    hold(&harness, ANN).await;
    end_holds(&harness).await;
    harness
        .database
        .run("UPDATE account SET last_active_at = 0, placeholder = 1");
    assert_eq!(expire(&harness, 104).await, [""; 0]);
    assert_eq!(expire(&harness, 105).await, [ANN]);
    harness.assert_sound().await;
}

/// One part of the message was held until the hold expired; the other was dropped, and its content is kept for longer.
#[tokio::test]
async fn content_that_only_a_dropped_part_keeps_keeps_the_account() {
    const ANN: &str = "ann@corp.example";
    let harness = Harness::open().await;
    harness.accept(mail(ANN, "first", start())).await;
    harness.sent(start()).await;
    let mut message = mail(ANN, "second", start());
    message.facts.bulk = Some(Evidence {
        field: "Precedence".to_owned(),
        value: "list".to_owned(),
    });
    message.keep_dropped = 200 * DAY;
    message.parts = vec![to("it"), to("hr")];
    if let ArrivalPart::Portal { circumstances, .. } = &mut message.parts[0] {
        circumstances.own_list = Some("it.groups.example".to_owned());
    }
    let entries = harness.store.accept(message).await.expect("accepted");
    let verdicts: Vec<_> = entries.iter().map(|entry| entry.verdict).collect();
    assert_eq!(verdicts, [Verdict::Held, Verdict::Dropped]);
    harness.sent(at(DAY)).await;
    end_holds(&harness).await;
    assert_eq!(expire(&harness, 105).await, [""; 0]);
    harness
        .delete_expired_content(at(201 * DAY), 30 * DAY)
        .await;
    assert_eq!(expire(&harness, 201).await, [ANN]);
    harness.assert_sound().await;
}
