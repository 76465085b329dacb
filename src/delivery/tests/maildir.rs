//! The Maildir destination: files, permissions, repeats, and a full disk.

use std::fs;
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
        maildir(&path).attempt(Arc::clone(&outgoing)).await,
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
    let attempt = Maildir::new(&config, &hostname()).attempt(outgoing()).await;
    assert_eq!(attempt, Attempt::Delivered);
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
        maildir.attempt(Arc::clone(&outgoing)).await,
        Attempt::Delivered
    );

    // The crash happened before the attempt was recorded.
    assert_eq!(
        maildir.attempt(Arc::clone(&again)).await,
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
        maildir.attempt(Arc::clone(&again)).await,
        Attempt::Delivered
    );
    assert!(files(&new).is_empty());

    // The crash happened while the message was being written.
    fs::remove_file(cur.join(format!("{name}:2,S"))).expect("removed");
    fs::write(tmp.join(&name), "From: An").expect("half a message");
    assert_eq!(maildir.attempt(again).await, Attempt::Delivered);
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
        assert_eq!(maildir.attempt(outgoing()).await, Attempt::Delivered);
        let folder = home.path().join(missing);
        fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(
            maildir.attempt(repeat(&outgoing())).await,
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
        let attempt = maildir(&path).attempt(Arc::clone(&outgoing)).await;
        if let Some(found) = case.expected.differs_from(&attempt) {
            wrong.push(format!("{}: {found}", case.name));
        }
        match attempt {
            Attempt::Delivered => assert_eq!(files(&path.join("new")).len(), 1),
            // No partial file remains that would take space.
            _ if path.join("tmp").is_dir() => assert!(files(&path.join("tmp")).is_empty()),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_a_time() {
    const MESSAGES: usize = 200;
    let home = tempfile::tempdir().expect("a folder");
    let maildir = maildir(home.path());
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..MESSAGES {
        let maildir = maildir.clone();
        running.spawn(async move { maildir.attempt(outgoing()).await });
    }
    assert_eq!(running.join_all().await, vec![Attempt::Delivered; MESSAGES]);
    assert_eq!(files(&home.path().join("new")).len(), MESSAGES);
}
