//! Tests of the Maildir destination: files, permissions, retries, and obstacles.

mod groups;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::{MaildirDestination, RetrySchedule};
use crate::delivery::destinations::maildir::Maildir;

fn maildir(path: &Path) -> Maildir {
    let config = MaildirDestination {
        path: path.to_owned(),
        group: false,
        retry: RetrySchedule::default(),
    };
    Maildir::new(&config, &hostname())
}

/// Delivers messages, without a stop.
async fn attempt_all(
    maildir: &Maildir,
    group: Vec<Arc<OutgoingMessage>>,
) -> Vec<Option<AttemptOutcome>> {
    let deadline = Instant::now() + Duration::from_mins(5);
    let stop = CancellationToken::new();
    maildir.attempt(group, deadline, &stop).await
}

/// Delivers one message.
async fn attempt(maildir: &Maildir, outgoing: Arc<OutgoingMessage>) -> AttemptOutcome {
    let attempts = attempt_all(maildir, vec![outgoing]).await;
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

/// The name of a message in a Maildir.
fn name(outgoing: &OutgoingMessage) -> String {
    let claim = outgoing.claim();
    let second = claim.received_at.as_second();
    format!("{second}.{}.{}", claim.request(), hostname())
}

/// A later attempt at the same request.
fn repeat(of: &OutgoingMessage) -> Arc<OutgoingMessage> {
    let mut claim = of.claim().clone();
    claim.attempt += 1;
    in_memory(claim)
}

fn in_memory(claim: Claim) -> Arc<OutgoingMessage> {
    Arc::new(OutgoingMessage::in_memory(claim, RAW.to_vec(), &hostname()))
}

#[tokio::test]
async fn a_message_is_in_new_and_nowhere_else() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("desk").join("Maildir");
    let outgoing = outgoing();
    assert_eq!(
        attempt(&maildir(&path), Arc::clone(&outgoing)).await,
        AttemptOutcome::Delivered
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
async fn a_group_may_read_and_remove_its_messages() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("Maildir");
    let config = MaildirDestination {
        path: path.clone(),
        group: true,
        retry: RetrySchedule::default(),
    };
    let outcome = attempt(&Maildir::new(&config, &hostname()), outgoing()).await;
    assert_eq!(outcome, AttemptOutcome::Delivered);
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
        AttemptOutcome::Delivered
    );

    // The crash happened before the attempt was recorded.
    assert_eq!(
        attempt(&maildir, Arc::clone(&again)).await,
        AttemptOutcome::Delivered
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
        AttemptOutcome::Delivered
    );
    assert!(files(&new).is_empty());

    // The crash happened while the message was being written, or the storage still blocks that attempt. Its file is
    // never read.
    fs::remove_file(cur.join(format!("{name}:2,S"))).expect("removed");
    let late = tmp.join(format!("{name}.1"));
    let mut file = fs::File::create(&late).expect("a file");
    file.write_all(b"From: An").expect("half a message");
    assert_eq!(attempt(&maildir, again).await, AttemptOutcome::Delivered);
    file.write_all(b"n").expect("more of it");
    fs::rename(&late, new.join(&name)).expect_err("the file is gone");
    assert_eq!(
        fs::read(new.join(&name)).expect("whole"),
        whole(&outgoing).await
    );
    assert!(files(&tmp).is_empty());
}

/// With `group`, another program can put something in the place of a message under `tmp`.
#[tokio::test]
async fn what_others_put_under_tmp_is_neither_opened_nor_changed() {
    let make_pipe = |_: &Path, place: &Path| {
        let made = std::process::Command::new("mkfifo").arg(place).status();
        assert!(made.expect("mkfifo").success());
    };
    let link = |file: &Path, place: &Path| {
        std::os::unix::fs::symlink(file, place).expect("a symbolic link");
    };
    let link_hard = |file: &Path, place: &Path| fs::hard_link(file, place).expect("a hard link");
    let puts: [fn(&Path, &Path); 3] = [make_pipe, link, link_hard];
    for put in puts {
        let home = tempfile::tempdir().expect("a folder");
        let [tmp, new, cur] = ["tmp", "new", "cur"].map(|folder| home.path().join(folder));
        for folder in [&tmp, &new, &cur] {
            fs::create_dir(folder).expect("a folder");
        }
        let outgoing = outgoing();
        let elsewhere = home.path().join("vestibule.db");
        fs::write(&elsewhere, "kept").expect("writable");
        put(&elsewhere, &tmp.join(format!("{}.1", name(&outgoing))));
        let config = MaildirDestination {
            path: home.path().to_owned(),
            group: true,
            retry: RetrySchedule::default(),
        };
        let before = fs::metadata(&elsewhere).expect("there").permissions();
        let outcome = attempt(&Maildir::new(&config, &hostname()), Arc::clone(&outgoing)).await;
        assert_eq!(outcome, AttemptOutcome::Delivered);
        let stored = fs::read(new.join(name(&outgoing))).expect("the message");
        assert_eq!(stored, whole(&outgoing).await);
        assert!(files(&tmp).is_empty());
        assert_eq!(fs::read(&elsewhere).expect("readable"), b"kept");
        let after = fs::metadata(&elsewhere).expect("there").permissions();
        assert_eq!(after, before);
    }
}

#[tokio::test]
async fn missing_folders_of_a_maildir_are_created() {
    for missing in ["tmp", "new", "cur"] {
        let home = tempfile::tempdir().expect("a folder");
        let maildir = maildir(home.path());
        assert_eq!(
            attempt(&maildir, outgoing()).await,
            AttemptOutcome::Delivered
        );
        let folder = home.path().join(missing);
        fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(
            attempt(&maildir, repeat(&outgoing())).await,
            AttemptOutcome::Delivered
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
        let status = std::process::Command::new("/bin/sh")
            .args(["-e", "-c", case.prepare.as_deref().unwrap_or("true")])
            .env("NAME", name(&outgoing))
            .current_dir(home.path())
            .status();
        assert!(status.expect("a shell").success(), "{}", case.name);
        let path = home.path().join(case.path.as_deref().unwrap_or("Maildir"));
        let outcome = attempt(&maildir(&path), Arc::clone(&outgoing)).await;
        if let Some(found) = case.expected.differs_from(&outcome) {
            wrong.push(format!("{}: {found}", case.name));
        }
        match outcome {
            AttemptOutcome::Delivered => assert_eq!(files(&path.join("new")).len(), 1),
            // No partial file remains that would take space.
            _ if path.join("tmp").is_dir() => assert!(files(&path.join("tmp")).is_empty()),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
