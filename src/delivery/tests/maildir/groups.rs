//! Tests of messages that are delivered to a Maildir together.

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::*;
use crate::delivery::outgoing_message::Links;
use crate::domain::Timestamp;
use crate::store::{Arrival, PIECE, Store};
use crate::verification::tests::sample;

/// A group of this many messages whose third hangs in the middle of its body, because the store does not return the
/// rest of it until the permit is dropped.
async fn hanging_group(
    home: &Path,
    count: usize,
) -> (Vec<Arc<OutgoingMessage>>, OwnedSemaphorePermit) {
    // More than is read together with the claim.
    const BODY: usize = 1 << 20;
    let store = Store::open(&home.join("vestibule.db")).expect("a database");
    let config = sample::config("");
    let seeded = store.seed_access(config.access.clone(), Timestamp::now());
    seeded.await.expect("settings");
    let mut raw = RAW.to_vec();
    raw.resize(RAW.len() + BODY, b'a');
    let arrival = Arrival {
        raw,
        ..sample::arrival(&config)
    };
    let entries = store.accept(arrival).await.expect("accepted");
    let content = store.content(entries[0].ledger, PIECE).await.expect("read");
    let links = Links {
        store: store.clone(),
        public_url: String::new(),
    };
    let claim = Claim::for_testing();
    let long = OutgoingMessage::open(claim, content.expect("kept"), &links, &hostname()).await;
    let mut group: Vec<_> = (0..count).map(|_| outgoing()).collect();
    group[2] = Arc::new(long.expect("read"));
    (group, store.stall_reads())
}

/// Waits until all that is in memory of a message of [`hanging_group`] is in its file: then its thread hangs.
async fn wait_for_hanging<T>(attempt: &JoinHandle<T>, home: &Path, outgoing: &OutgoingMessage) {
    let part = home.join("tmp").join(format!("{}.1", name(outgoing)));
    while fs::metadata(&part).map_or(0, |part| part.len()) < PIECE {
        assert!(!attempt.is_finished(), "it does not hang");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_in_groups_at_a_time() {
    const GROUPS: usize = 4;
    const MESSAGES: usize = 64;
    let home = tempfile::tempdir().expect("a folder");
    let maildir = maildir(home.path());
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..GROUPS {
        let maildir = maildir.clone();
        let group = (0..MESSAGES).map(|_| outgoing()).collect();
        running.spawn(async move { attempt_all(&maildir, group).await });
    }
    let attempts: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    assert_eq!(
        attempts,
        vec![Some(AttemptOutcome::Delivered); GROUPS * MESSAGES]
    );
    assert_eq!(files(&home.path().join("new")).len(), GROUPS * MESSAGES);
    assert!(files(&home.path().join("tmp")).is_empty());
}

/// Messages before the first failure are delivered, and those after it are not.
#[tokio::test]
async fn a_group_is_delivered_up_to_the_first_failure() {
    let home = tempfile::tempdir().expect("a folder");
    let maildir = maildir(home.path());
    assert_eq!(
        attempt(&maildir, outgoing()).await,
        AttemptOutcome::Delivered
    );
    let [tmp, new] = ["tmp", "new"].map(|folder| home.path().join(folder));
    for (folder, obstacle) in [(&tmp, 2), (&new, 1)] {
        let group: Vec<_> = (0..4).map(|_| outgoing()).collect();
        // A folder in place of the file can be neither written nor replaced.
        let of_attempt = if folder == &tmp { ".1" } else { "" };
        let place = format!("{}{of_attempt}", name(&group[obstacle]));
        fs::create_dir(folder.join(place)).expect("a folder");
        let attempts = attempt_all(&maildir, group.clone()).await;
        let (delivered, rest) = attempts.split_at(obstacle);
        assert!(
            delivered
                .iter()
                .all(|attempt| *attempt == Some(AttemptOutcome::Delivered)),
            "{attempts:?}"
        );
        assert!(
            matches!(rest[0], Some(AttemptOutcome::Retry(_))),
            "{attempts:?}"
        );
        assert!(rest[1..].iter().all(Option::is_none), "{attempts:?}");
        for outgoing in &group[obstacle + 1..] {
            assert!(!tmp.join(format!("{}.1", name(outgoing))).exists());
            assert!(!new.join(name(outgoing)).exists());
        }
    }
}

/// A claim for a message of an account, before its first attempt.
fn of_account(account: crate::domain::AccountId) -> Claim {
    let mut claim = Claim::for_testing();
    claim.account = account;
    claim
}

#[tokio::test]
async fn a_panic_concerns_one_message_and_the_later_ones_of_its_account() {
    let home = tempfile::tempdir().expect("a folder");
    let [ann, bob] = [(); 2].map(|()| crate::domain::AccountId::new());
    let group = vec![
        in_memory(of_account(ann)),
        Arc::new(OutgoingMessage::panicking(of_account(ann))),
        in_memory(of_account(bob)),
        in_memory(of_account(ann)),
        in_memory(of_account(bob)),
    ];
    let attempts = attempt_all(&maildir(home.path()), group.clone()).await;
    let [
        Some(AttemptOutcome::Delivered),
        Some(AttemptOutcome::Unknown(cause)),
        Some(AttemptOutcome::Delivered),
        None,
        Some(AttemptOutcome::Delivered),
    ] = &attempts[..]
    else {
        panic!("{attempts:?}");
    };
    assert_eq!(cause.scope, Scope::Internal);
    let new = home.path().join("new");
    for (place, outgoing) in group.iter().enumerate() {
        let is_there = new.join(name(outgoing)).exists();
        assert_eq!(is_there, [0, 2, 4].contains(&place), "{place}");
    }
}

#[tokio::test]
async fn repeats_of_a_group_are_looked_for_in_new_and_cur() {
    let home = tempfile::tempdir().expect("a folder");
    let maildir = maildir(home.path());
    let [new, cur] = ["new", "cur"].map(|folder| home.path().join(folder));
    let group: Vec<_> = (0..6).map(|_| outgoing()).collect();
    let before = attempt_all(&maildir, group[..4].to_vec()).await;
    assert_eq!(before, vec![Some(AttemptOutcome::Delivered); 4]);
    for (outgoing, flags) in [(&group[0], ":2,S"), (&group[1], ",S=9:2,")] {
        let name = name(outgoing);
        fs::rename(new.join(&name), cur.join(format!("{name}{flags}"))).expect("moved");
    }
    let repeats = group.iter().map(|outgoing| repeat(outgoing)).collect();
    let attempts = attempt_all(&maildir, repeats).await;
    assert_eq!(attempts, vec![Some(AttemptOutcome::Delivered); 6]);
    assert_eq!(files(&cur).len(), 2);
    for outgoing in &group[2..] {
        assert!(new.join(name(outgoing)).exists());
    }
    assert_eq!(files(&new).len(), 4);
}

#[tokio::test]
async fn undelivered_messages_of_a_stopped_group_are_not_attempted() {
    let home = tempfile::tempdir().expect("a folder");
    let (group, stalled) = hanging_group(home.path(), 4).await;
    let maildir = maildir(home.path());
    let stop = CancellationToken::new();
    let attempt = tokio::spawn({
        let (maildir, group, stop) = (maildir.clone(), group.clone(), stop.clone());
        let deadline = Instant::now() + Duration::from_mins(5);
        async move { maildir.attempt(group, deadline, &stop).await }
    });
    wait_for_hanging(&attempt, home.path(), &group[2]).await;
    stop.cancel();
    drop(stalled);
    let attempts = attempt.await.expect("no panic");
    assert_eq!(attempts, vec![None; 4]);
    assert!(files(&home.path().join("new")).is_empty());

    let attempts = attempt_all(&maildir, group).await;
    assert_eq!(attempts, vec![Some(AttemptOutcome::Delivered); 4]);
    assert!(files(&home.path().join("tmp")).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_stopped_while_it_is_published_reports_published_messages() {
    const MESSAGES: usize = 128;
    let home = tempfile::tempdir().expect("a folder");
    let new = home.path().join("new");
    fs::create_dir(&new).expect("a folder");
    let maildir = maildir(home.path());
    let group: Vec<_> = (0..MESSAGES).map(|_| outgoing()).collect();
    let (stop, deadline) = (
        CancellationToken::new(),
        Instant::now() + Duration::from_mins(5),
    );
    let attempt = tokio::spawn({
        let (maildir, group, stop) = (maildir.clone(), group.clone(), stop.clone());
        async move { maildir.attempt(group, deadline, &stop).await }
    });
    while files(&new).is_empty() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    let attempts = attempt.await.expect("no panic");
    let delivered = attempts.iter().take_while(|one| one.is_some()).count();
    assert_eq!(files(&new).len(), delivered);
    for (place, (outgoing, attempt)) in group.iter().zip(&attempts).enumerate() {
        let expected = (place < delivered).then_some(AttemptOutcome::Delivered);
        assert_eq!(*attempt, expected, "{place}");
        assert_eq!(new.join(name(outgoing)).exists(), place < delivered);
    }
}

#[tokio::test]
async fn a_hung_group_publishes_nothing_later_and_no_other_starts_meanwhile() {
    let home = tempfile::tempdir().expect("a folder");
    let (group, stalled) = hanging_group(home.path(), 4).await;
    let timeout = Duration::from_mins(5);
    let attempt = tokio::spawn({
        let (before, group) = (maildir(home.path()), group.clone());
        let (deadline, stop) = (Instant::now() + timeout, CancellationToken::new());
        async move { before.attempt(group, deadline, &stop).await }
    });
    wait_for_hanging(&attempt, home.path(), &group[2]).await;
    tokio::time::pause();
    tokio::time::advance(timeout).await;
    tokio::time::resume();
    let attempts = attempt.await.expect("no panic");
    assert!(
        matches!(&attempts[..], [Some(late), None, None, None] if late.destination_failure().is_some()),
        "{attempts:?}"
    );
    // A reload creates a new client for the same Maildir.
    let maildir = maildir(home.path());
    let repeats: Vec<_> = std::iter::once(repeat(&group[0]))
        .chain(group[1..].iter().cloned())
        .collect();
    let attempts = attempt_all(&maildir, repeats.clone()).await;
    let [Some(AttemptOutcome::Retry(cause)), None, None, None] = &attempts[..] else {
        panic!("{attempts:?}");
    };
    assert!(cause.text.contains("an earlier attempt"), "{cause:?}");
    assert!(files(&home.path().join("new")).is_empty());

    drop(stalled);
    let begin = Instant::now();
    let mut attempts = attempts;
    while attempts[1].is_none() {
        assert!(begin.elapsed() < Duration::from_mins(5), "{attempts:?}");
        tokio::task::yield_now().await;
        attempts = attempt_all(&maildir, repeats.clone()).await;
    }
    assert_eq!(attempts, vec![Some(AttemptOutcome::Delivered); 4]);
    assert_eq!(files(&home.path().join("new")).len(), 4);
    assert!(files(&home.path().join("tmp")).is_empty());
}
