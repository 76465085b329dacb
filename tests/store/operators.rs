//! Operators and their keys.

use std::time::Duration;

use vestibule::domain::{OperatorName, PasswordHash, Role, Token, TokenHash};
use vestibule::store::{Key, KeyKind, Page, StoreError};

use crate::house::{House, start};

const HOUR: Duration = Duration::from_hours(1);

fn ann() -> OperatorName {
    OperatorName::parse("ann").expect("a name")
}

fn hash() -> TokenHash {
    Token::generate()
        .unwrap_or_else(|error| panic!("{error}"))
        .hash()
}

fn by() -> String {
    "operator:root".to_owned()
}

async fn add(house: &House, role: Role) {
    let password = PasswordHash::stored("$argon2id$".to_owned());
    let added = house
        .store
        .add_operator(ann(), role, password, by(), start());
    added.await.expect("added");
}

/// A key that Ann got at the start and that is valid for an hour.
async fn key(house: &House, kind: KeyKind, role: Role) -> TokenHash {
    let key = Key {
        hash: hash(),
        kind,
        role,
        expires_at: start() + HOUR,
    };
    let made = house.store.make_key(ann(), key, by(), start());
    made.await.expect("made");
    key.hash
}

#[tokio::test]
async fn a_key_is_worth_what_its_operator_may_and_for_a_time() {
    let house = House::open().await;
    add(&house, Role::Agent).await;
    let token = key(&house, KeyKind::Token, Role::Viewer).await;
    let session = key(&house, KeyKind::Session, Role::Admin).await;
    let holder = |hash, kind, at| house.store.key_holder(hash, kind, at);
    for (hash, kind, later, role) in [
        (token, KeyKind::Token, Duration::ZERO, Some(Role::Viewer)),
        // More than the operator is worth no more.
        (session, KeyKind::Session, Duration::ZERO, Some(Role::Agent)),
        // Neither opens the other's door.
        (token, KeyKind::Session, Duration::ZERO, None),
        (session, KeyKind::Token, Duration::ZERO, None),
        (session, KeyKind::Session, HOUR, None),
        (self::hash(), KeyKind::Session, Duration::ZERO, None),
    ] {
        let found = holder(hash, kind, start() + later).await.expect("read");
        assert_eq!(found, role.map(|role| (ann(), role)), "{kind:?} {later:?}");
    }
}

#[tokio::test]
async fn keys_end_one_by_one_all_together_and_with_their_operator() {
    let house = House::open().await;
    add(&house, Role::Admin).await;
    let opens = async |hash| {
        let found = house.store.key_holder(hash, KeyKind::Session, start());
        found.await.expect("read").is_some()
    };
    let (one, two) = (
        key(&house, KeyKind::Session, Role::Admin).await,
        key(&house, KeyKind::Session, Role::Admin).await,
    );
    house.store.end_key(one).await.expect("ended");
    assert!(!opens(one).await && opens(two).await);
    let ended = house.store.end_keys_of(ann(), by(), start());
    assert_eq!(ended.await.expect("ended"), 1);
    assert!(!opens(two).await);

    let three = key(&house, KeyKind::Session, Role::Admin).await;
    let new = PasswordHash::stored("$argon2id$new".to_owned());
    let changed = house
        .store
        .change_password(ann(), new.clone(), by(), start());
    changed.await.expect("changed");
    assert!(!opens(three).await);
    let found = house.store.password_of(ann()).await.expect("read");
    assert_eq!(found, Some(new));

    let four = key(&house, KeyKind::Session, Role::Admin).await;
    let removed = house.store.remove_operator(ann(), by(), start());
    removed.await.expect("removed");
    assert!(!opens(four).await);
    let again = house.store.remove_operator(ann(), by(), start()).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn what_operators_do_is_in_the_audit_newest_first() {
    let house = House::open().await;
    add(&house, Role::Admin).await;
    let password = PasswordHash::stored(String::new());
    let again = house
        .store
        .add_operator(ann(), Role::Viewer, password, by(), start());
    assert!(matches!(again.await, Err(StoreError::NotAllowed(_))));
    key(&house, KeyKind::Token, Role::Viewer).await;
    let part = async |after| {
        let page = Page { limit: 1, after };
        let listed = house.store.audit(page).await.expect("read");
        let shown: Vec<_> = listed
            .rows
            .into_iter()
            .map(|row| (row.event, row.actor, row.detail.unwrap_or_default()))
            .collect();
        (shown, listed.next)
    };
    let line = |event: &str, detail: &str| (event.to_owned(), by(), detail.to_owned());
    let (first, next) = part(None).await;
    assert_eq!(first, [line("operator.token_made", "ann, viewer")]);
    let (second, end) = part(next).await;
    assert_eq!(second, [line("operator.added", "ann, admin")]);
    assert_eq!(end, None);
    let operators = house.store.operators(start()).await.expect("read");
    assert_eq!(operators.len(), 1);
    assert_eq!((operators[0].tokens, operators[0].sessions), (1, 0));
}
