//! The whole path with real mail servers on both sides: one Postfix is the MTA in front and delivers the
//! verification mail to the person's mailbox, another one is the help desk's.

use std::process::Command;

use crate::postfix::Postfix;
use crate::support::client::http;
use crate::support::harness::{Harness, STANDARD, link_in, wait_for};
use crate::support::port::Port;

#[test]
fn a_message_goes_from_one_postfix_through_vestibule_to_another() {
    let help_desk = Postfix::start(&["queue@desk.example"], "");
    // The MTA needs to know Vestibule's port, and Vestibule the MTA's: Vestibule starts first, and the MTA on
    // the port that was reserved.
    let edge = Port::reserve();
    let configuration = STANDARD
        .replace(
            "type = \"file\"\ndir = \"letters\"",
            &format!("type = \"smtp\"\nurl = \"smtp://{}\"", edge.address),
        )
        .replace(
            "[destination.desk]",
            &format!(
                "[[portal]]\nname = \"hr\"\ntitle = \"HR\"\naddresses = [\"hr@corp.example\"]\n\
                 destination = \"queue\"\n\n[destination.queue]\ntype = \"smtp\"\n\
                 url = \"smtp://{}\"\nrecipient = \"queue@desk.example\"\n\n[destination.desk]",
                help_desk.smtp
            ),
        );
    let harness = Harness::start(&configuration);
    let next_hop = format!("smtp:[127.0.0.1]:{}", harness.smtp.port());
    let edge = Postfix::start_on(
        edge,
        &[
            "ann@corp.example",
            "it-help@corp.example",
            "hr@corp.example",
        ],
        &format!(
            "transport_maps = inline:{{ {{ it-help@corp.example = {next_hop} }}, \
             {{ hr@corp.example = {next_hop} }} }}\nsmtp_send_xforward_command = yes\n"
        ),
    );

    for portal in ["it-help@corp.example", "hr@corp.example"] {
        let output = Command::new("swaks")
            .args([
                "--server",
                &edge.smtp.to_string(),
                "--timeout",
                "5m",
                "--from",
                "ann@corp.example",
            ])
            .args([
                "--to",
                portal,
                "--header",
                &format!("Subject: For {portal}"),
            ])
            .args(["--body", "A line.\n.A dot.\nThe end."])
            .output()
            .expect("swaks is installed by tests/run");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let verification_mail = wait_for("the verification mail in the person's mailbox", || {
        edge.mail("ann@corp.example").pop()
    });
    wait_for("both requests", || {
        (harness.json(&["requests", "list", "--state", "held"]).len() == 2).then_some(())
    });
    assert!(
        verification_mail.contains("Auto-Submitted: auto-replied"),
        "{verification_mail}"
    );
    assert!(
        verification_mail.contains("Return-Path: <>"),
        "{verification_mail}"
    );
    assert!(
        !verification_mail.contains("For it-help"),
        "nothing of the sender's is in it"
    );
    let link = link_in(&verification_mail).expect("a link");

    let (status, page) = http(harness.http, "POST", &link, &[("action", "confirm")]);
    assert_eq!(status, 200, "{page}");
    let in_maildir = wait_for("the request in the Maildir", || harness.delivered().pop());
    let at_help_desk = wait_for("the request at the second server", || {
        help_desk.mail("queue@desk.example").pop()
    });
    for (message, portal) in [
        (
            String::from_utf8_lossy(&in_maildir).into_owned(),
            "it-help@corp.example",
        ),
        // Postfix stores mail with the line endings of its host.
        (at_help_desk.replace('\n', "\r\n"), "hr@corp.example"),
    ] {
        assert!(
            message.contains(&format!("Subject: For {portal}\r\n")),
            "{message}"
        );
        assert!(
            message.contains("A line.\r\n.A dot.\r\nThe end.\r\n"),
            "{message}"
        );
        assert!(
            message.contains("X-Vestibule-Account: internal\r\n"),
            "{message}"
        );
        assert!(message.contains("X-Vestibule-Verified: link "), "{message}");
    }
}
