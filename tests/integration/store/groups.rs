//! Groups of an account: replaced as a whole, recorded once, and carried by every request.

use vestibule::domain::{GroupName, VerificationMethod};
use vestibule::store::{Choice, StoreError, VerificationOutcome};

use super::harness::{Harness, address, mail, operator, start};

const BOB: &str = "bob@shop.example";

fn groups(names: &[&str]) -> Vec<GroupName> {
    let parse = |name: &&str| GroupName::parse(name).expect(name);
    names.iter().map(parse).collect()
}

#[tokio::test]
async fn requests_carry_the_groups_of_their_account() {
    let harness = Harness::open().await;
    harness.accept(mail(BOB, "1@x", start())).await;
    let account = harness.store.customer(&address(BOB)).await.expect("read");
    let id = account.expect("an account").id;
    for _ in 0..2 {
        let set = harness.store.set_groups(
            id,
            groups(&["staff", "Domain Users", "staff"]),
            operator("root"),
            start(),
        );
        let account = set.await.expect("set");
        assert_eq!(account.groups, ["Domain Users", "staff"]);
    }
    let claims = harness.claim(start()).await;
    assert_eq!(claims[0].groups, ["Domain Users", "staff"]);

    let history = harness.store.history_of(id, 10).await.expect("read");
    let changes: Vec<_> = history
        .iter()
        .filter(|event| event.event == "account.groups_changed")
        .map(|event| event.detail.as_deref())
        .collect();
    assert_eq!(changes, [Some("Domain Users, staff")]);
}

#[tokio::test]
async fn too_many_groups_change_nothing() {
    let harness = Harness::open().await;
    harness.accept(mail(BOB, "1@x", start())).await;
    let account = harness.store.customer(&address(BOB)).await.expect("read");
    let id = account.expect("an account").id;
    let many: Vec<_> = (0..=GroupName::MAX_PER_ACCOUNT)
        .map(|n| format!("g{n}"))
        .collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let set = harness
        .store
        .set_groups(id, groups(&many), operator("root"), start());
    let refused = set.await.expect_err("too many");
    assert!(matches!(refused, StoreError::NotAllowed(_)), "{refused}");
    let account = harness.store.customer(&address(BOB)).await.expect("read");
    assert_eq!(account.expect("there").groups, Vec::<String>::new());
}

#[tokio::test]
async fn a_sign_in_adds_groups_up_to_the_limit() {
    let harness = Harness::open().await;
    harness
        .accept(mail("ann@corp.example", "1@x", start()))
        .await;
    let token = harness.sent(start()).await;
    let mut named = vec!["staff".to_owned(), "desk-users".to_owned()];
    named.extend((0..GroupName::MAX_PER_ACCOUNT).map(|n| format!("g{n}")));
    let method = VerificationMethod::Sso(token, named);
    let verification = harness
        .store
        .verify_account(method, None, Choice::All, start())
        .await;
    assert!(
        matches!(verification, Ok(VerificationOutcome::Verified { .. })),
        "{verification:?}"
    );
    let account = harness.store.customer(&address("ann@corp.example")).await;
    let groups = account.expect("read").expect("an account").groups;
    assert_eq!(groups.len(), GroupName::MAX_PER_ACCOUNT);
    // The account had one of them before.
    for (name, count) in [("staff", 1), ("desk-users", 1), ("g97", 1), ("g98", 0)] {
        let found = groups.iter().filter(|group| *group == name).count();
        assert_eq!(found, count, "{name}");
    }
}
