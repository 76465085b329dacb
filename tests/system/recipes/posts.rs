//! `docs/recipes/action-mailbox.md` and `docs/recipes/discourse.md`: help desks that accept a message by
//! POST. The servers are stand-ins that require what the real ones document, and refuse everything else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::stand_in::StandIn;
use super::{ask, config_with_desk, delivered};
use crate::support::harness::Harness;

fn start(help_desk: &str, secret: (&str, &str)) -> Harness {
    Harness::start_with(&config_with_desk(help_desk), |folder| {
        std::fs::write(folder.join(secret.0), secret.1).expect("a secret");
    })
}

#[test]
fn action_mailbox_accepts_a_verified_request() {
    let login = format!("Basic {}", STANDARD.encode("actionmailbox:correct horse"));
    let rails = StandIn::start(move |asked| {
        let field = |name: &str| asked.fields.get(name).map(String::as_str);
        if field("authorization") != Some(&login) {
            ("401 Unauthorized", "")
        } else if field("content-type") != Some("message/rfc822") {
            ("415 Unsupported Media Type", "")
        } else {
            ("204 No Content", "")
        }
    });
    let harness = start(
        &format!(
            "type = \"webhook\"\nurl = \"http://{}/rails/action_mailbox/relay/inbound_emails\"\n\
             username = \"actionmailbox\"\npassword_file = \"ingress\"\nallow_private = true",
            rails.address
        ),
        ("ingress", "correct horse\n"),
    );
    let request = ask(&harness, "ann@corp.example", "printer");
    delivered(&harness, &request);
    let asked = rails.next();
    assert_eq!(
        asked.line,
        "POST /rails/action_mailbox/relay/inbound_emails HTTP/1.1"
    );
    let message = String::from_utf8_lossy(&asked.body);
    assert!(
        message.contains("Message-ID: <printer@client.example>"),
        "{message}"
    );
}

#[test]
fn discourse_accepts_a_verified_request() {
    let discourse = StandIn::start(|asked| {
        let field = |name: &str| asked.fields.get(name).map(String::as_str);
        let may = field("api-key") == Some("k3y") && field("api-username") == Some("system");
        if may {
            (
                "200 OK",
                "email has been received and is queued for processing",
            )
        } else {
            ("403 Forbidden", "")
        }
    });
    let harness = start(
        &format!(
            "type = \"webhook\"\nurl = \"http://{}/admin/email/handle_mail\"\nformat = \"form\"\n\
             field = \"email_encoded\"\nheaders = {{ Api-Username = \"system\" }}\n\
             header_files = {{ Api-Key = \"key\" }}\nallow_private = true",
            discourse.address
        ),
        ("key", "k3y\n"),
    );
    let request = ask(&harness, "ann@corp.example", "printer");
    delivered(&harness, &request);
    let asked = discourse.next();
    assert_eq!(asked.line, "POST /admin/email/handle_mail HTTP/1.1");
    let fields: Vec<_> = url::form_urlencoded::parse(&asked.body).collect();
    assert_eq!(fields.len(), 1);
    assert_eq!(fields[0].0, "email_encoded");
    let message = STANDARD.decode(fields[0].1.as_bytes()).expect("base64");
    let message = String::from_utf8_lossy(&message);
    assert!(message.contains("The body of printer."), "{message}");
}
