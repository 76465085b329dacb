//! Operators and their keys.

use std::time::Duration;

use vestibule::domain::{
    Actor, Interface, OperatorName, PasswordHash, Role, SecondFactorCode, Token, TokenHash,
    TokenScope, TotpKey,
};
use vestibule::store::{
    AnswerKey, Claimed, DirectoryIdentity, KeptAnswer, KeyKind, NameReuse, OperatorKey, Page,
    PasswordOutcome, StoreError, TokenTerms,
};

use super::harness::{Harness, operator, start};

const HOUR: Duration = Duration::from_hours(1);

fn ann() -> OperatorName {
    OperatorName::parse("ann").expect("a name")
}

fn hash() -> TokenHash {
    Token::generate()
        .unwrap_or_else(|error| panic!("{error}"))
        .hash()
}

fn by() -> Actor {
    operator("root")
}

async fn add(harness: &Harness, role: Role) {
    let password = PasswordHash::from_stored("$argon2id$".to_owned());
    let added =
        harness
            .store
            .add_operator(ann(), role, password, NameReuse::Refused, by(), start());
    added.await.expect("added");
}

/// A key for Ann, created at the start and valid for an hour.
async fn key(harness: &Harness, kind: KeyKind, role: Role) -> TokenHash {
    let key = OperatorKey {
        hash: hash(),
        kind,
        role,
        expires_at: start() + HOUR,
    };
    let terms = TokenTerms::default();
    let made = harness.store.make_key(ann(), key, terms, by(), start());
    made.await.expect("made");
    key.hash
}

#[tokio::test]
async fn a_key_has_the_role_of_its_operator_until_it_expires() {
    let harness = Harness::open().await;
    add(&harness, Role::Agent).await;
    let token = key(&harness, KeyKind::Token, Role::Viewer).await;
    let session = key(&harness, KeyKind::Session, Role::Admin).await;
    let holder = |hash, kind, at| harness.store.key_holder(hash, kind, None, at);
    for (hash, kind, later, role) in [
        (token, KeyKind::Token, Duration::ZERO, Some(Role::Viewer)),
        // A role above the operator's has no effect.
        (session, KeyKind::Session, Duration::ZERO, Some(Role::Agent)),
        // A key of one kind is invalid as the other.
        (token, KeyKind::Session, Duration::ZERO, None),
        (session, KeyKind::Token, Duration::ZERO, None),
        (session, KeyKind::Session, HOUR, None),
        (self::hash(), KeyKind::Session, Duration::ZERO, None),
    ] {
        let found = holder(hash, kind, start() + later).await.expect("read");
        let found = found.map(|holder| (holder.name, holder.role));
        assert_eq!(found, role.map(|role| (ann(), role)), "{kind:?} {later:?}");
    }
}

#[tokio::test]
async fn a_token_is_never_without_its_terms() {
    let harness = Harness::open().await;
    add(&harness, Role::Admin).await;
    let key = OperatorKey {
        hash: hash(),
        kind: KeyKind::Token,
        role: Role::Admin,
        expires_at: start() + HOUR,
    };
    let terms = TokenTerms {
        scope: Some(TokenScope::Scim),
        note: Some("the directory".to_owned()),
    };
    let made = harness.store.make_key(ann(), key, terms, by(), start());
    made.await.expect("made");
    let holder = harness
        .store
        .key_holder(key.hash, KeyKind::Token, None, start());
    let holder = holder.await.expect("read").expect("valid");
    assert_eq!(holder.scope, Some(TokenScope::Scim));
    let tokens = harness.store.tokens(None, start()).await.expect("read");
    assert_eq!(tokens[0].note.as_deref(), Some("the directory"));
}

#[tokio::test]
async fn keys_end_one_by_one_all_together_and_with_their_operator() {
    let harness = Harness::open().await;
    add(&harness, Role::Admin).await;
    let opens = async |hash| {
        let found = harness
            .store
            .key_holder(hash, KeyKind::Session, None, start());
        found.await.expect("read").is_some()
    };
    let (one, two) = (
        key(&harness, KeyKind::Session, Role::Admin).await,
        key(&harness, KeyKind::Session, Role::Admin).await,
    );
    harness.store.end_key(one).await.expect("ended");
    assert!(!opens(one).await && opens(two).await);
    let ended = harness.store.end_keys_of(ann(), by(), start());
    assert_eq!(ended.await.expect("ended"), 1);
    assert!(!opens(two).await);

    let three = key(&harness, KeyKind::Session, Role::Admin).await;
    let new = PasswordHash::from_stored("$argon2id$new".to_owned());
    let changed = harness
        .store
        .change_password(ann(), new.clone(), by(), start());
    changed.await.expect("changed");
    assert!(!opens(three).await);
    let found = harness.store.password_of(ann()).await.expect("read");
    assert_eq!(found.map(|found| found.hash), Some(new));

    let four = key(&harness, KeyKind::Session, Role::Admin).await;
    let removed = harness.store.remove_operator(ann(), by(), start());
    removed.await.expect("removed");
    assert!(!opens(four).await);
    let again = harness.store.remove_operator(ann(), by(), start()).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn the_audit_lists_actions_of_operators_newest_first() {
    let harness = Harness::open().await;
    add(&harness, Role::Admin).await;
    let password = PasswordHash::from_stored(String::new());
    let again = harness.store.add_operator(
        ann(),
        Role::Viewer,
        password,
        NameReuse::Refused,
        by(),
        start(),
    );
    assert!(matches!(again.await, Err(StoreError::NotAllowed(_))));
    key(&harness, KeyKind::Token, Role::Viewer).await;
    let part = async |after| {
        let page = Page { limit: 1, after };
        let listed = harness.store.audit(page).await.expect("read");
        let shown: Vec<_> = listed
            .rows
            .into_iter()
            .map(|row| (row.event, row.actor, row.detail.unwrap_or_default()))
            .collect();
        (shown, listed.next)
    };
    let line = |event: &str, detail: &str| (event.to_owned(), by().to_string(), detail.to_owned());
    let (first, next) = part(None).await;
    assert_eq!(first, [line("operator.token_made", "ann, viewer")]);
    let (second, end) = part(next).await;
    assert_eq!(second, [line("operator.added", "ann, admin")]);
    assert_eq!(end, None);
    let operators = harness.store.operators(start()).await.expect("read");
    assert_eq!(operators.len(), 1);
    assert_eq!((operators[0].tokens, operators[0].sessions), (1, 0));
}

#[tokio::test]
async fn the_audit_records_the_origin_of_an_action() {
    let harness = Harness::open().await;
    let by_api = || Actor::operator("root", Interface::Api);
    let password = PasswordHash::from_stored("$argon2id$".to_owned());
    let added = harness.store.add_operator(
        ann(),
        Role::Admin,
        password,
        NameReuse::Refused,
        by_api(),
        start(),
    );
    added.await.expect("added");
    // A failed operation does not affect the others in its transaction.
    let again = PasswordHash::from_stored(String::new());
    let failed = harness.store.add_operator(
        ann(),
        Role::Admin,
        again,
        NameReuse::Refused,
        by_api(),
        start(),
    );
    assert!(failed.await.is_err());
    key(&harness, KeyKind::Token, Role::Viewer).await;
    let page = Page::default();
    let rows = harness.store.audit(page).await.expect("read").rows;
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (row.event.as_str(), row.origin.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("operator.token_made", Some("command line")),
            ("operator.added", Some("api"))
        ]
    );
}

#[tokio::test]
async fn an_answer_is_kept_for_its_operator_its_request_and_a_time() {
    let harness = Harness::open().await;
    add(&harness, Role::Admin).await;
    let asked = |key: &str, request| AnswerKey {
        operator: ann(),
        key: key.to_owned(),
        request: [request; 32],
    };
    let claim = async |asked, at| {
        let claimed = harness.store.claim_answer(asked, at + HOUR, at);
        claimed.await.expect("claimed")
    };
    let answer = KeptAnswer {
        status: 201,
        head: vec![("location".to_owned(), "/here".to_owned())],
        body: b"{}".to_vec(),
    };
    assert_eq!(claim(asked("a", 1), start()).await, Claimed::New);
    assert_eq!(claim(asked("a", 1), start()).await, Claimed::Underway);
    assert_eq!(claim(asked("a", 2), start()).await, Claimed::Other);
    assert_eq!(claim(asked("b", 2), start()).await, Claimed::New);
    let kept = harness
        .store
        .keep_answer(asked("a", 1), answer.clone(), start() + 2 * HOUR);
    kept.await.expect("kept");
    let given_up = harness.store.give_up_answer(asked("b", 2));
    given_up.await.expect("given up");
    assert_eq!(claim(asked("b", 3), start()).await, Claimed::New);
    // A stored answer cannot be given up any more.
    let late = harness.store.give_up_answer(asked("a", 1));
    late.await.expect("nothing to do");
    for (later, expected) in [
        (HOUR, Claimed::Answered(answer)),
        (2 * HOUR, Claimed::New),
        // The request that claimed the key did not return.
        (3 * HOUR, Claimed::New),
    ] {
        assert_eq!(claim(asked("a", 1), start() + later).await, expected);
    }
}

#[tokio::test]
async fn a_login_counts_only_if_nothing_changed_while_the_password_was_compared() {
    let harness = Harness::open().await;
    let store = &harness.store;
    add(&harness, Role::Admin).await;
    let read = async || {
        let found = store.password_of(ann()).await.expect("read");
        found.expect("an operator")
    };
    let log_in = async |checked| {
        let key = OperatorKey {
            hash: hash(),
            kind: KeyKind::Session,
            role: Role::Admin,
            expires_at: start() + HOUR,
        };
        let path = "/".to_owned();
        let outcome =
            store.log_in_with_password(ann(), checked, key, path, start() + HOUR, start());
        (outcome.await.expect("written"), key.hash)
    };
    let opens = async |hash| {
        let found = store.key_holder(hash, KeyKind::Session, None, start());
        found.await.expect("read").is_some()
    };
    let (outcome, session) = log_in(read().await).await;
    assert_eq!(outcome, PasswordOutcome::SignedIn);
    assert!(opens(session).await);

    let checked = read().await;
    let revoked = store.end_keys_of(ann(), by(), start());
    revoked.await.expect("revoked");
    let (outcome, after) = log_in(checked).await;
    assert_eq!(outcome, PasswordOutcome::Outdated, "revoked");
    assert!(!opens(after).await);

    let checked = read().await;
    let new = PasswordHash::from_stored("$argon2id$new".to_owned());
    let changed = store.change_password(ann(), new, by(), start());
    changed.await.expect("changed");
    let (outcome, after) = log_in(checked).await;
    assert_eq!(outcome, PasswordOutcome::Outdated, "another password");
    assert!(!opens(after).await);

    let checked = read().await;
    let totp = TotpKey::generate().unwrap_or_else(|error| panic!("{error}"));
    let code = SecondFactorCode::parse(&totp.code_at(start())).expect("a code");
    let begun = store.begin_second_factor(ann(), totp);
    begun.await.expect("begun");
    let confirmed = store.confirm_second_factor(ann(), code, vec![], session, by(), start());
    assert!(confirmed.await.expect("confirmed"));
    let (outcome, attempt) = log_in(checked.clone()).await;
    assert_eq!(outcome, PasswordOutcome::AwaitsCode);
    assert!(!opens(attempt).await);
    let awaited = store.awaited_operator(attempt, start()).await;
    assert_eq!(awaited.expect("read"), Some(ann()));

    let removed = store.remove_operator(ann(), by(), start());
    removed.await.expect("removed");
    assert_eq!(
        log_in(checked).await.0,
        PasswordOutcome::Outdated,
        "removed"
    );
}

#[tokio::test]
async fn keys_of_the_directory_count_while_its_issuer_is_the_configured_one() {
    let harness = Harness::open().await;
    let store = &harness.store;
    let person = DirectoryIdentity {
        issuer: "https://sso.example.org".to_owned(),
        subject: "7".to_owned(),
    };
    let session = OperatorKey {
        hash: hash(),
        kind: KeyKind::Session,
        role: Role::Admin,
        expires_at: start() + HOUR,
    };
    let signed_in =
        store.sign_in_from_directory(person, ann(), Role::Agent, session, None, start());
    assert_eq!(signed_in.await.expect("signed in"), ann());
    let token = key(&harness, KeyKind::Token, Role::Viewer).await;
    for (issuer, counts) in [
        (Some("https://sso.example.org"), true),
        (Some("https://sso.example.com"), false),
        // Operators do not sign in at a provider any more.
        (None, false),
    ] {
        for (hash, kind) in [(session.hash, KeyKind::Session), (token, KeyKind::Token)] {
            let issuer = issuer.map(str::to_owned);
            let found = store.key_holder(hash, kind, issuer.clone(), start()).await;
            assert_eq!(
                found.expect("read").is_some(),
                counts,
                "{kind:?} {issuer:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_name_at_the_provider_does_not_imitate_an_operator() {
    let harness = Harness::open().await;
    add(&harness, Role::Admin).await;
    for (subject, base, name) in [
        ("7", "Ann", "Ann-2"),
        ("8", "ANN", "ANN-3"),
        ("9", "Bob", "Bob"),
        // The name of a removed operator is not given to somebody else.
        ("10", "bob", "bob-2"),
        ("11", "BOB", "BOB-3"),
    ] {
        let person = DirectoryIdentity {
            issuer: "https://sso.example.org".to_owned(),
            subject: subject.to_owned(),
        };
        let session = OperatorKey {
            hash: hash(),
            kind: KeyKind::Session,
            role: Role::Admin,
            expires_at: start() + HOUR,
        };
        let base = OperatorName::parse(base).expect("a name");
        let store = &harness.store;
        let signed_in =
            store.sign_in_from_directory(person, base, Role::Viewer, session, None, start());
        let signed_in = signed_in.await.expect("signed in");
        assert_eq!(signed_in.as_str(), name);
        if name == "Bob" {
            let removed = store.remove_operator(signed_in, by(), start());
            removed.await.expect("removed");
        }
    }
}

#[tokio::test]
async fn the_name_of_a_removed_operator_is_for_the_same_person_only() {
    let harness = Harness::open().await;
    let add = |name: &str, reuse| {
        let name = OperatorName::parse(name).expect("a name");
        let password = PasswordHash::from_stored("$argon2id$".to_owned());
        harness
            .store
            .add_operator(name, Role::Agent, password, reuse, by(), start())
    };
    add("ann", NameReuse::Refused).await.expect("added");
    let removed = harness.store.remove_operator(ann(), by(), start());
    removed.await.expect("removed");
    for name in ["ann", "Ann"] {
        let refused = add(name, NameReuse::Refused).await;
        assert!(
            matches!(&refused, Err(StoreError::NotAllowed(why)) if why.contains("removed operator")),
            "{refused:?}"
        );
    }
    add("ann", NameReuse::SamePerson).await.expect("added");
    for name in ["ann", "Ann", "ANN"] {
        for reuse in [NameReuse::Refused, NameReuse::SamePerson] {
            let twice = add(name, reuse).await;
            assert!(
                matches!(&twice, Err(StoreError::NotAllowed(why)) if why == "an operator ann already exists"),
                "{twice:?}"
            );
        }
    }
    let operators = harness.store.operators(start()).await.expect("read");
    assert_eq!(operators.len(), 1);
}
