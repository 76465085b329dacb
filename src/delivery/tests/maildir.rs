//! The Maildir destination: files, permissions, repeats, and a full disk.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;
use crate::config::{MaildirDestination, Retry};
use crate::delivery::destinations::maildir::Maildir;

fn maildir(path: &Path) -> Maildir {
    let config = MaildirDestination {
        path: path.to_owned(),
        group: false,
        retry: Retry::default(),
    };
    Maildir::new(&config, &hostname())
}

/// Delivers one message.
async fn attempt(maildir: &Maildir, outgoing: Arc<OutgoingMessage>) -> Attempt {
    let attempts = maildir.attempt(vec![outgoing]).await;
    let [Some(attempt)] = &attempts[..] else {
        panic!("{attempts:?}");
    };
    attempt.clone()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// A later attempt at the same request.
fn repeat(of: &OutgoingMessage) -> Arc<OutgoingMessage> {
    let mut claim = of.claim().clone();
    claim.attempt += 1;
    Arc::new(OutgoingMessage::in_memory(claim, RAW.to_vec(), &hostname()))
}

#[tokio::test]
async fn a_message_lies_in_new_and_nowhere_else() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("desk").join("Maildir");
    let outgoing = outgoing();
    assert_eq!(
        attempt(&maildir(&path), Arc::clone(&outgoing)).await,
        Attempt::Delivered
    );

    let new = files(&path.join("new"));
    assert_eq!(new.len(), 1);
    let name = new[0]
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    assert!(
        name.contains(&outgoing.claim().request().to_string()),
        "{name}"
    );
    assert_eq!(
        fs::read(&new[0]).expect("the message"),
        whole(&outgoing).await
    );
    assert!(files(&path.join("tmp")).is_empty());

    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&new[0]), 0o600);
    for folder in [
        &path,
        &path.join("new"),
        &path.join("cur"),
        &path.join("tmp"),
    ] {
        assert_eq!(mode(folder), 0o700);
    }
}

#[tokio::test]
async fn a_group_may_read_and_take_what_is_meant_for_it() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("Maildir");
    let config = MaildirDestination {
        path: path.clone(),
        group: true,
        retry: Retry::default(),
    };
    let outcome = attempt(&Maildir::new(&config, &hostname()), outgoing()).await;
    assert_eq!(outcome, Attempt::Delivered);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
    assert_eq!(mode(&files(&path.join("new"))[0]), 0o660);
    for folder in [
        &path,
        &path.join("new"),
        &path.join("cur"),
        &path.join("tmp"),
    ] {
        assert_eq!(mode(folder), 0o2770);
    }
}

#[tokio::test]
async fn a_repeat_after_a_crash_makes_no_second_message() {
    let home = tempfile::tempdir().expect("a folder");
    let [tmp, new, cur] = ["tmp", "new", "cur"].map(|folder| home.path().join(folder));
    let maildir = maildir(home.path());
    let outgoing = outgoing();
    let again = repeat(&outgoing);
    assert_eq!(
        attempt(&maildir, Arc::clone(&outgoing)).await,
        Attempt::Delivered
    );

    // The crash happened before the attempt was recorded.
    assert_eq!(
        attempt(&maildir, Arc::clone(&again)).await,
        Attempt::Delivered
    );
    assert_eq!(files(&new).len(), 1);

    // The message was read in between.
    let name = files(&new)[0]
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    fs::rename(new.join(&name), cur.join(format!("{name}:2,S"))).expect("moved");
    assert_eq!(
        attempt(&maildir, Arc::clone(&again)).await,
        Attempt::Delivered
    );
    assert!(files(&new).is_empty());

    // The crash happened while the message was being written, or the storage still holds that attempt up. What
    // it writes is never read.
    fs::remove_file(cur.join(format!("{name}:2,S"))).expect("removed");
    let late = tmp.join(format!("{name}.1"));
    let mut file = fs::File::create(&late).expect("a file");
    file.write_all(b"From: An").expect("half a message");
    assert_eq!(attempt(&maildir, again).await, Attempt::Delivered);
    file.write_all(b"n").expect("more of it");
    fs::rename(&late, new.join(&name)).expect_err("the file is gone");
    assert_eq!(
        fs::read(new.join(&name)).expect("whole"),
        whole(&outgoing).await
    );
    assert!(files(&tmp).is_empty());
}

#[tokio::test]
async fn missing_folders_of_a_maildir_are_created() {
    for missing in ["tmp", "new", "cur"] {
        let home = tempfile::tempdir().expect("a folder");
        let maildir = maildir(home.path());
        assert_eq!(attempt(&maildir, outgoing()).await, Attempt::Delivered);
        let folder = home.path().join(missing);
        fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(
            attempt(&maildir, repeat(&outgoing())).await,
            Attempt::Delivered
        );
    }
}

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    prepare: Option<String>,
    path: Option<String>,
    #[serde(flatten)]
    expected: Expected,
}

#[tokio::test]
async fn every_obstacle_has_its_outcome() {
    let table: Table<Case> =
        toml::from_str(include_str!("../../../testdata/faults/maildir.toml")).expect("a table");
    let mut wrong = Vec::new();
    for case in &table.case {
        let home = tempfile::tempdir().expect("a folder");
        let outgoing = outgoing();
        let name = format!(
            "{}.{}.{}",
            outgoing.claim().received_at.as_second(),
            outgoing.claim().request(),
            hostname()
        );
        let status = std::process::Command::new("/bin/sh")
            .args(["-e", "-c", case.prepare.as_deref().unwrap_or("true")])
            .env("NAME", &name)
            .current_dir(home.path())
            .status();
        assert!(status.expect("a shell").success(), "{}", case.name);
        let path = home.path().join(case.path.as_deref().unwrap_or("Maildir"));
        let outcome = attempt(&maildir(&path), Arc::clone(&outgoing)).await;
        if let Some(found) = case.expected.differs_from(&outcome) {
            wrong.push(format!("{}: {found}", case.name));
        }
        match outcome {
            Attempt::Delivered => assert_eq!(files(&path.join("new")).len(), 1),
            // No partial file remains that would take space.
            _ if path.join("tmp").is_dir() => assert!(files(&path.join("tmp")).is_empty()),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
        running.spawn(async move { maildir.attempt(group).await });
    }
    let attempts: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    assert_eq!(attempts, vec![Some(Attempt::Delivered); GROUPS * MESSAGES]);
    assert_eq!(files(&home.path().join("new")).len(), GROUPS * MESSAGES);
    assert!(files(&home.path().join("tmp")).is_empty());
}

/// What stands in the way of one message keeps the later ones back, and those before it are delivered.
#[tokio::test]
async fn a_group_is_delivered_up_to_the_first_failure() {
    let home = tempfile::tempdir().expect("a folder");
    let maildir = maildir(home.path());
    assert_eq!(attempt(&maildir, outgoing()).await, Attempt::Delivered);
    let name = |outgoing: &OutgoingMessage| {
        let claim = outgoing.claim();
        let second = claim.received_at.as_second();
        format!("{second}.{}.{}", claim.request(), hostname())
    };
    let [tmp, new] = ["tmp", "new"].map(|folder| home.path().join(folder));
    for (folder, obstacle) in [(&tmp, 2), (&new, 1)] {
        let group: Vec<_> = (0..4).map(|_| outgoing()).collect();
        // A folder in the place of the file: it can be neither written nor replaced.
        let of_attempt = if folder == &tmp { ".1" } else { "" };
        let place = format!("{}{of_attempt}", name(&group[obstacle]));
        fs::create_dir(folder.join(place)).expect("a folder");
        let attempts = maildir.attempt(group.clone()).await;
        let (delivered, rest) = attempts.split_at(obstacle);
        assert!(
            delivered
                .iter()
                .all(|attempt| *attempt == Some(Attempt::Delivered)),
            "{attempts:?}"
        );
        assert!(matches!(rest[0], Some(Attempt::Retry(_))), "{attempts:?}");
        assert!(rest[1..].iter().all(Option::is_none), "{attempts:?}");
        for outgoing in &group[obstacle + 1..] {
            assert!(!tmp.join(format!("{}.1", name(outgoing))).exists());
            assert!(!new.join(name(outgoing)).exists());
        }
    }
}
