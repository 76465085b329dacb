//! `docs/recipes/mailbox.md`: a Maildir that Dovecot serves, as another user of the same group.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{ask, config_with_desk, delivered};
use crate::support::harness::Harness;

const IMAP: &str = "/usr/lib/dovecot/imap";

/// Users that Debian creates: `nobody`, and the group `mail`.
const READER: (u32, u32) = (65534, 8);

/// Dovecot's answers to these commands, logged in as the reader.
fn imap(home: &Path, commands: &str) -> String {
    assert!(
        Path::new(IMAP).exists(),
        "{IMAP} is missing; install dovecot-imapd"
    );
    let owner = std::fs::metadata(home).expect("a folder").uid();
    let configuration = home.join("dovecot.conf");
    let arguments = [Path::new("-c"), &configuration];
    // Only root can change the user; Dovecot itself never serves root.
    let mut command = if owner == 0 {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", READER.0))
            .arg(format!("--regid={}", READER.1))
            .args(["--clear-groups", IMAP]);
        command
    } else {
        Command::new(IMAP)
    };
    let mut dovecot = command
        .args(arguments)
        .env("HOME", home.join("reader"))
        .env("USER", "nobody")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Dovecot starts");
    let mut stdin = dovecot.stdin.take().expect("a pipe");
    stdin.write_all(commands.as_bytes()).expect("written");
    drop(stdin);
    let output = dovecot.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn dovecot_shows_a_verified_request() {
    let config = config_with_desk("type = \"maildir\"\npath = \"desk/Maildir\"\ngroup = true");
    let harness = Harness::start_with(&config, |folder| {
        let mode = |path: &Path, mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path, permissions).expect("a mode");
        };
        mode(folder, 0o755);
        let (help_desk, reader) = (folder.join("desk"), folder.join("reader"));
        for path in [&help_desk, &reader] {
            std::fs::create_dir(path).expect("a folder");
        }
        if std::fs::metadata(folder).expect("a folder").uid() == 0 {
            chown(&help_desk, None, Some(READER.1)).expect("a group");
            chown(&reader, Some(READER.0), Some(READER.1)).expect("an owner");
        }
        mode(&help_desk, 0o2770);
        let configuration = format!(
            "mail_location = maildir:{}/Maildir\nfirst_valid_uid = 1\nbase_dir = {}/run\n\
             log_path = {}/log\n",
            help_desk.display(),
            reader.display(),
            reader.display()
        );
        std::fs::write(folder.join("dovecot.conf"), configuration).expect("a file");
    });
    let request = ask(&harness, "ann@corp.example", "printer");
    delivered(&harness, &request);

    let home = harness.folder.path();
    let said = imap(
        home,
        "a SELECT INBOX\r\nb FETCH 1 (BODY[])\r\nc STORE 1 +FLAGS (\\Seen)\r\nd LOGOUT\r\n",
    );
    for part in [
        "* 1 EXISTS",
        "Subject: About printer",
        "X-Vestibule-Account: internal",
        "c OK",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    // Even if the first message was read and moved by then, it remains one message beside the next.
    let next = ask(&harness, "bob@corp.example", "toner");
    delivered(&harness, &next);
    let said = imap(home, "a SELECT INBOX\r\nb UID SEARCH SEEN\r\nc LOGOUT\r\n");
    assert!(
        said.contains("* 2 EXISTS") && said.contains("* SEARCH 1\r\n"),
        "{said}"
    );

    // FreeScout asks for unread messages, GLPI moves fetched ones to an archive, Zammad and Znuny delete them.
    let said = imap(
        home,
        "a CREATE Archive\r\nb SELECT INBOX\r\nc UID SEARCH UNSEEN\r\nd UID MOVE 1 Archive\r\n\
         e UID STORE 2 +FLAGS (\\Deleted)\r\nf LOGOUT\r\n",
    );
    for part in ["* SEARCH 2\r\n", "d OK", "e OK"] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let said = imap(
        home,
        "a SELECT INBOX\r\nb EXPUNGE\r\nc STATUS Archive (MESSAGES)\r\nd LOGOUT\r\n",
    );
    for part in ["* 1 EXPUNGE", "(MESSAGES 1)"] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let last = ask(&harness, "carol@corp.example", "mouse");
    delivered(&harness, &last);
    let said = imap(home, "a SELECT INBOX\r\nb FETCH 1 (BODY[])\r\nc LOGOUT\r\n");
    for part in [
        "* 1 EXISTS",
        "Subject: About mouse",
        "X-Vestibule-Verified: link ",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
}
