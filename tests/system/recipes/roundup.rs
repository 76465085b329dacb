//! `docs/recipes/roundup.md`: Roundup takes requests through `roundup-mailgw`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{ask, config_with_desk, delivered, installed, output};
use crate::support::harness::Harness;

/// A tracker with the changes that the recipe requires.
fn tracker(home: &Path) {
    let settings = format!(
        "admin_email=admin@corp.example,tracker_email=it-help@corp.example,\
         tracker_web=http://127.0.0.1:9/,mail_domain=corp.example,mail_host=127.0.0.1,mail_debug={},\
         mailgw_keep_real_from=yes",
        home.join("mail").display()
    );
    output(
        Command::new(installed("roundup-admin"))
            .arg("-i")
            .arg(home)
            .args(["install", "classic", "anydbm", &settings]),
    );
    let schema = home.join("schema.py");
    let text = fs::read_to_string(&schema).expect("a schema");
    let line = "db.security.addPermissionToRole('Anonymous', 'Email Access')";
    assert!(
        text.contains(&format!("#{line}")),
        "the recipe's line is there"
    );
    fs::write(&schema, text.replace(&format!("#{line}"), line)).expect("written");
    admin(home, &["initialise", "secret"]);
}

fn admin(home: &Path, args: &[&str]) -> String {
    output(
        Command::new(installed("roundup-admin"))
            .arg("-i")
            .arg(home)
            .args(args),
    )
}

#[test]
fn an_employee_has_an_issue_in_roundup() {
    let config = config_with_desk(&format!(
        "type = \"command\"\nprogram = \"{}\"\nargs = [\"tracker\"]\nconcurrency = 1",
        installed("roundup-mailgw").display()
    ));
    let mut harness = Harness::at_rest(&config);
    let home = harness.path("tracker");
    fs::create_dir(&home).expect("a folder");
    tracker(&home);
    // The program runs in the daemon's working folder, which is that of the configuration here.
    harness.restart();

    let first = ask(&harness, "Ann Example <ann@corp.example>", "printer");
    delivered(&harness, &first);
    // Roundup asks Bob for nothing: he verifies his address with Vestibule, too, and writes about the same issue.
    let second = ask(&harness, "bob@corp.example", "toner");
    delivered(&harness, &second);

    let issues = admin(&home, &["table", "issue", "title,creator"]);
    let users = admin(&home, &["table", "user", "id,username,address"]);
    let id_of = |address: &str| {
        let line = users.lines().find(|line| line.contains(address));
        let id = line.and_then(|line| line.split_whitespace().next());
        id.unwrap_or_else(|| panic!("{address} in {users}"))
            .to_owned()
    };
    for (title, author) in [
        ("About printer", id_of("ann@corp.example")),
        ("About toner", id_of("bob@corp.example")),
    ] {
        let issue = issues.lines().find(|line| line.contains(title));
        let issue = issue.unwrap_or_else(|| panic!("{title} in {issues}"));
        assert!(issue.trim_end().ends_with(&author), "{author} in {issue}");
    }
    let message = admin(&home, &["get", "content", "msg1"]);
    assert!(message.contains("The body of printer."), "{message}");
    // Roundup sent no error mail.
    let complaints = fs::read_to_string(home.join("mail")).unwrap_or_default();
    assert!(
        !complaints.contains("Failed issue tracker submission"),
        "{complaints}"
    );
}
