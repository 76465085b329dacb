//! Verification by an operator's file or the directory: never of a person who objected or whom the access settings
//! refuse, and without a decision about messages that wait for the person.

use std::time::Duration;

use vestibule::access::Key;
use vestibule::config::Quota;
use vestibule::domain::{AccountStatus, DomainPattern};
use vestibule::mail::AuthenticationResult;
use vestibule::store::{
    Arrival, DirectoryUser, NewDirectoryUser, Person, PersonChange, PersonOutcome, PersonRefusal,
    Refused, UserRefusal,
};

use super::harness::{DAY, Harness, address, at, mail, operator, start};

const ANN: &str = "ann@corp.example";

/// The directory creates Ann; returns her user.
async fn provision(harness: &Harness, now: Duration) -> DirectoryUser {
    let new = NewDirectoryUser {
        user_name: ANN.to_owned(),
        external_id: None,
        emails: Vec::new(),
        roles: Vec::new(),
        active: Some(true),
        address: address(ANN),
    };
    let made = harness.store.create_user(new, operator("root"), at(now));
    made.await.expect("written").expect("created")
}

/// The directory removes the user, but not in a version that it does not have.
async fn remove(harness: &Harness, user: &DirectoryUser, now: Duration) {
    let other = user.version + 1;
    let refused = harness
        .store
        .remove_user(user.id, other, operator("root"), at(now));
    let refused = refused.await.expect("read");
    assert_eq!(refused, Err(UserRefusal::Changed));
    let removed = harness
        .store
        .remove_user(user.id, user.version, operator("root"), at(now));
    removed.await.expect("written").expect("removed");
}

/// Imports a file that says that Ann is verified, first as a dry run.
async fn import(harness: &Harness, now: Duration) -> PersonOutcome {
    let mut outcomes = Vec::new();
    for dry_run in [true, false] {
        let ann = Person {
            address: address(ANN),
            kind: None,
            groups: None,
            verified: true,
        };
        let put = harness
            .store
            .put_people(vec![ann], dry_run, operator("root"), at(now));
        outcomes.extend(put.await.expect("put"));
    }
    assert_eq!(outcomes[0], outcomes[1], "a dry run says what is done");
    outcomes.remove(1)
}

async fn status(harness: &Harness) -> AccountStatus {
    let ann = harness.store.customer(&address(ANN)).await.expect("read");
    ann.expect("there").status
}

/// Ann says "This was not me" to a message.
async fn object(harness: &Harness) {
    harness.accept(mail(ANN, "1@x", start())).await;
    let link = harness.sent(start()).await;
    let refused = harness.store.refuse(link, 30 * DAY, start()).await;
    assert!(
        matches!(refused, Ok(Refused::Recorded { .. })),
        "{refused:?}"
    );
}

async fn deny(harness: &Harness) {
    let base = harness.store.access().await.expect("read");
    let pattern = DomainPattern::parse_denied("corp.example").expect("a pattern");
    let denied = base.settings.with_domains(None, Key::Denied, &[pattern]);
    let changed = harness
        .store
        .change_access(base.number, denied, operator("root"), start());
    changed.await.expect("changed");
}

#[tokio::test]
async fn an_import_and_a_directory_verify_nobody_who_objected() {
    let harness = Harness::open().await;
    object(&harness).await;
    // During the quiet time and after it: it ends, the objection does not.
    for now in [DAY, 60 * DAY] {
        let refused = PersonOutcome::Refused(PersonRefusal::Objected);
        assert_eq!(import(&harness, now).await, refused);
        let user = provision(&harness, now).await;
        assert_eq!(user.account.status, AccountStatus::Pending);
        assert!(user.account.refused_at.is_some(), "the objection stays");
        remove(&harness, &user, now).await;
        assert_eq!(status(&harness).await, AccountStatus::Blocked);
        let back = provision(&harness, now).await;
        assert_eq!(back.account.status, AccountStatus::Pending);
        remove(&harness, &back, now).await;
        let by = operator("root");
        let unblocked = harness.store.unblock_customer(user.account.id, by, at(now));
        unblocked.await.expect("unblocked");
    }
    harness.assert_sound().await;
}

/// The directory deactivates a person by mistake, and corrects that before the first mail was sent.
#[tokio::test]
async fn a_directory_that_restores_access_restores_the_mail_for_what_is_held() {
    let harness = Harness::open().await;
    harness.accept(mail(ANN, "1@x", start())).await;
    let user = provision(&harness, Duration::ZERO).await;
    remove(&harness, &user, Duration::ZERO).await;
    assert!(harness.verification_mail(start()).await.is_none());
    let back = provision(&harness, DAY).await;
    assert_eq!(
        (back.account.status, back.account.held),
        (AccountStatus::Pending, 1)
    );
    harness.sent(at(DAY)).await;
    harness.assert_sound().await;
}

#[tokio::test]
async fn messages_that_the_person_can_restore_wait_for_them() {
    let harness = Harness::open().await;
    object(&harness).await;
    // An operator lets the person decide again; the message that they discarded can still be restored.
    let renewed = harness
        .store
        .renew_link(address(ANN), operator("root"), at(DAY));
    renewed.await.expect("asked again");
    let user = provision(&harness, DAY).await;
    assert_eq!(
        (user.account.status, user.account.refused_at),
        (AccountStatus::Pending, None)
    );
    harness.assert_sound().await;
}

#[tokio::test]
async fn messages_that_the_quota_dropped_wait_for_the_person() {
    let harness = Harness::open().await;
    for id in ["1@x", "2@x"] {
        let message = Arrival {
            quota: Quota {
                requests: 1,
                bytes: 1 << 20,
            },
            hold_for: Duration::from_hours(1),
            ..mail(ANN, id, start())
        };
        harness.accept(message).await;
    }
    harness.expire_holds(at(DAY)).await;
    let user = provision(&harness, DAY).await;
    assert_eq!(
        (user.account.status, user.account.held),
        (AccountStatus::Pending, 0)
    );
    harness.assert_sound().await;
}

#[tokio::test]
async fn an_import_and_a_directory_verify_nobody_whom_the_settings_refuse() {
    let harness = Harness::open().await;
    harness.accept(mail(ANN, "1@x", start())).await;
    harness.expire_holds(at(30 * DAY)).await;
    deny(&harness).await;
    let refused = PersonOutcome::Refused(PersonRefusal::Denied);
    assert_eq!(import(&harness, 30 * DAY).await, refused);
    let user = provision(&harness, 30 * DAY).await;
    assert_eq!(user.account.status, AccountStatus::Pending);
    harness.assert_sound().await;
}

#[tokio::test]
async fn an_import_verifies_a_person_whom_nothing_excludes() {
    let harness = Harness::open().await;
    harness.accept(mail(ANN, "1@x", start())).await;
    harness.expire_holds(at(30 * DAY)).await;
    let verified = PersonOutcome::Changed(vec![PersonChange::Verified { released: 0 }]);
    assert_eq!(import(&harness, 30 * DAY).await, verified);
    assert_eq!(status(&harness).await, AccountStatus::Active);
    // Later the settings refuse the address: the same file again changes nothing.
    deny(&harness).await;
    assert_eq!(import(&harness, 30 * DAY).await, PersonOutcome::Unchanged);
}

#[tokio::test]
async fn a_dry_run_counts_messages_that_the_quota_dropped() {
    let harness = Harness::open().await;
    for id in ["1@x", "2@x", "3@x", "3@x"] {
        let mut message = Arrival {
            quota: Quota {
                requests: 2,
                bytes: 1 << 20,
            },
            ..mail(ANN, id, start())
        };
        message.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
        harness.accept(message).await;
    }
    let verified = PersonOutcome::Changed(vec![PersonChange::Verified { released: 3 }]);
    assert_eq!(import(&harness, DAY).await, verified);
    harness.assert_sound().await;
}
