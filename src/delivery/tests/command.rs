//! Tests of the command destination: the program's input and environment, and the meaning of its exit status.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::*;
use crate::config::{CommandDestination, RetrySchedule};
use crate::delivery::destinations::command::CommandRunner;

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    script: String,
    #[serde(default)]
    hangs: bool,
    #[serde(flatten)]
    expected: Expected,
}

fn shell(script: &str) -> CommandDestination {
    CommandDestination {
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".to_owned(), script.to_owned()],
        environment: BTreeMap::new(),
        timeout: Duration::from_mins(5),
        concurrency: 1,
        retry: RetrySchedule::default(),
    }
}

#[tokio::test]
async fn every_end_of_a_program_has_its_outcome() {
    let table: Table<Case> =
        toml::from_str(include_str!("../../../testdata/faults/command.toml")).expect("a table");
    let mut wrong = Vec::new();
    for case in &table.case {
        let mut config = shell(&case.script);
        if case.hangs {
            config.timeout = Duration::from_millis(200);
        }
        let attempt = CommandRunner::new(&config).attempt(&outgoing()).await;
        if let Some(found) = case.expected.differs_from(&attempt) {
            wrong.push(format!("{}: {found}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_missing_program_fails_no_request() {
    let mut config = shell("");
    config.program = PathBuf::from("/no/such/program");
    let command = CommandRunner::new(&config);
    match command.attempt(&outgoing()).await {
        AttemptOutcome::Retry(cause) => {
            assert_eq!(cause.scope, Scope::Destination);
            assert!(
                cause.text.starts_with("/no/such/program: "),
                "{}",
                cause.text
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_program_gets_the_message_and_the_facts_and_nothing_else() {
    let home = tempfile::tempdir().expect("a folder");
    let mut config = shell("cat >message; env >facts");
    config.environment = BTreeMap::from([("QUEUE".to_owned(), "it help".to_owned())]);
    config.args[1] = format!("cd \"$0\"; {}", config.args[1]);
    config.args.push(home.path().display().to_string());
    let outgoing = outgoing();
    assert_eq!(
        CommandRunner::new(&config).attempt(&outgoing).await,
        AttemptOutcome::Delivered
    );

    let read = |name: &str| fs::read(home.path().join(name)).expect("written");
    assert_eq!(read("message"), whole(&outgoing).await);
    let facts = String::from_utf8(read("facts")).expect("UTF-8");
    let mut names: Vec<&str> = facts
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name))
        // Variables that the shell sets by itself.
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "PATH",
            "QUEUE",
            "VESTIBULE_ACCOUNT",
            "VESTIBULE_ATTEMPT",
            "VESTIBULE_AUTHENTICATED",
            "VESTIBULE_GROUPS",
            "VESTIBULE_LEDGER",
            "VESTIBULE_MESSAGE_ID",
            "VESTIBULE_PORTAL",
            "VESTIBULE_RECIPIENT",
            "VESTIBULE_REQUEST",
            "VESTIBULE_SENDER",
            "VESTIBULE_SENDER_BY",
            "VESTIBULE_VERIFIED",
        ]
    );
    for line in [
        format!("VESTIBULE_REQUEST={}", outgoing.claim().request()),
        "VESTIBULE_SENDER=ann@corp.example".to_owned(),
        "VESTIBULE_VERIFIED=link 2026-11-23T10:05:00Z".to_owned(),
        "QUEUE=it help".to_owned(),
    ] {
        assert!(
            facts.lines().any(|found| found == line),
            "{line} in {facts}"
        );
    }
}

/// Scripts pass the values on as arguments, and anyone can choose a Message-ID.
#[tokio::test]
async fn no_message_id_can_be_taken_for_an_option() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("id");
    let mut config = shell("printf %s \"$VESTIBULE_MESSAGE_ID\" >\"$0\"");
    config.args.push(file.display().to_string());
    for (id, expected) in [
        (Some("1-2@corp.example"), "1-2@corp.example"),
        (Some("-oQ/tmp/x@evil.example"), ""),
        (Some("--help"), ""),
        (Some("\u{1}-x@evil.example"), ""),
        (None, ""),
    ] {
        let mut claim = Claim::for_testing();
        claim.message_id = id.map(str::to_owned);
        let outgoing = OutgoingMessage::in_memory(claim, RAW.to_vec(), &hostname());
        let attempt = CommandRunner::new(&config).attempt(&outgoing).await;
        assert_eq!(attempt, AttemptOutcome::Delivered);
        assert_eq!(fs::read_to_string(&file).expect("written"), expected);
    }
}

/// Processes of the group of `leader`, as the kernel lists them; zombies do not count.
fn living_members(leader: &str) -> usize {
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter(|stat| {
            let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            let fields: Vec<&str> = behind_name.split(' ').collect();
            fields.get(2) == Some(&leader) && fields[0] != "Z"
        })
        .count()
}

#[tokio::test]
async fn the_whole_group_is_killed_after_the_timeout() {
    let home = tempfile::tempdir().expect("a folder");
    // The child ignores SIGTERM and has closed the pipes to its parent.
    let mut config =
        shell("(trap '' TERM; echo $$ >\"$0\"; exec sleep 600) </dev/null >/dev/null 2>&1 & wait");
    let file = home.path().join("leader");
    config.args.push(file.display().to_string());
    let leader = || {
        fs::read_to_string(&file)
            .ok()?
            .strip_suffix('\n')
            .map(str::to_owned)
    };
    let hangs = async {
        while leader().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (command, outgoing) = (CommandRunner::new(&config), outgoing());
    match leave_hanging(command.attempt(&outgoing), hangs).await {
        AttemptOutcome::Retry(cause) => assert!(
            cause.text.contains("not finished within 300 s"),
            "{}",
            cause.text
        ),
        other => panic!("{other:?}"),
    }
    let leader = leader().expect("written");
    let deadline = Instant::now() + Duration::from_mins(5);
    while living_members(&leader) > 0 {
        assert!(Instant::now() < deadline, "still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
