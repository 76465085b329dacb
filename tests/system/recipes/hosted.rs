//! Help desks that only run as a service, or that cannot be installed here, and take requests through their API:
//! `examples/open-ticket`, and the webhook for osTicket. The servers are stand-ins that require what the real ones
//! document, and refuse everything else.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::stand_in::{Asked, StandIn};
use super::{ask, config_with_desk, delivered};
use crate::support::harness::Harness;

const OPEN_TICKET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/open-ticket");

fn basic(login: &str) -> String {
    format!("Basic {}", STANDARD.encode(login))
}

fn field<'a>(asked: &'a Asked, name: &str) -> &'a str {
    asked.fields.get(name).map_or("", String::as_str)
}

/// Starts a daemon whose requests `open-ticket` opens as tickets, with its secret in the file `token`.
fn start(desk: &StandIn, arguments: &[&str]) -> Harness {
    let url = format!("http://{}", desk.address);
    let arguments = [arguments, &["--url", &url, "--secret-file", "token"]].concat();
    let help_desk = format!("type = \"command\"\nprogram = {OPEN_TICKET:?}\nargs = {arguments:?}");
    Harness::start_with(&config_with_desk(&help_desk), |folder| {
        fs::write(folder.join("token"), "s3cret\n").expect("a secret");
    })
}

fn body(asked: &Asked) -> Value {
    serde_json::from_slice(&asked.body).expect("JSON")
}

const TAGS: [&str; 3] = ["vestibule", "vestibule-internal", "vestibule-verified"];

#[test]
fn zendesk_opens_a_ticket_with_tags_and_the_whole_message() {
    let login = basic("gate@corp.example/token:s3cret");
    let zendesk = StandIn::start(move |asked| {
        if field(asked, "authorization") != login {
            ("401 Unauthorized", "{}")
        } else if asked
            .line
            .starts_with("POST /api/v2/uploads.json?filename=")
        {
            ("201 Created", r#"{"upload": {"token": "t0ken"}}"#)
        } else if asked.line == "POST /api/v2/tickets.json HTTP/1.1"
            && field(asked, "content-type") == "application/json"
        {
            ("201 Created", r#"{"ticket": {"id": 1}}"#)
        } else {
            ("404 Not Found", "{}")
        }
    });
    let harness = start(&zendesk, &["zendesk", "--user", "gate@corp.example"]);
    let request = ask(&harness, "ann@corp.example", "printer");
    delivered(&harness, &request);
    let upload = zendesk.next();
    assert_eq!(field(&upload, "content-type"), "application/binary");
    let message = String::from_utf8_lossy(&upload.body);
    assert!(message.contains("X-Vestibule-Verified: link "), "{message}");
    let created = zendesk.next();
    assert_eq!(field(&created, "idempotency-key"), request);
    let ticket = &body(&created)["ticket"];
    assert_eq!(ticket["requester"]["email"], "ann@corp.example");
    assert_eq!(ticket["subject"], "About printer");
    assert_eq!(ticket["comment"]["uploads"], json!(["t0ken"]));
    assert_eq!(ticket["external_id"], json!(request));
    assert_eq!(ticket["tags"], json!(TAGS));
    let text = ticket["comment"]["body"].as_str().expect("a text");
    assert!(text.starts_with("The body of printer."), "{text}");
}

#[test]
fn freshdesk_opens_a_ticket_with_tags_and_the_whole_message() {
    let login = basic("s3cret:X");
    let freshdesk = StandIn::start(move |asked| {
        if field(asked, "authorization") != login {
            ("401 Unauthorized", "{}")
        } else if asked.line == "POST /api/v2/tickets HTTP/1.1"
            && field(asked, "content-type").starts_with("multipart/form-data; boundary=")
        {
            ("201 Created", r#"{"id": 1}"#)
        } else {
            ("404 Not Found", "{}")
        }
    });
    let harness = start(&freshdesk, &["freshdesk"]);
    let request = ask(&harness, "ann@corp.example", "printer");
    delivered(&harness, &request);
    let created = freshdesk.next();
    let form = String::from_utf8_lossy(&created.body).into_owned();
    let mut fields = vec![
        ("email", "ann@corp.example"),
        ("subject", "About printer"),
        ("status", "2"),
        ("priority", "1"),
    ];
    fields.extend(TAGS.map(|tag| ("tags[]", tag)));
    for (name, value) in fields {
        let part = format!("name=\"{name}\"\r\n\r\n{value}\r\n");
        assert!(form.contains(&part), "{part:?} in {form}");
    }
    assert!(form.contains("The body of printer.<br>"), "{form}");
    let file = "name=\"attachments[]\"; filename=\"request.eml\"";
    assert!(
        form.contains(file) && form.contains("X-Vestibule-Request: "),
        "{form}"
    );
}

#[test]
fn jira_raises_a_request_on_behalf_of_the_customer() {
    let login = basic("gate@corp.example:s3cret");
    let jira = StandIn::start(move |asked| {
        let multipart = field(asked, "content-type").starts_with("multipart/form-data; boundary=");
        let line = asked.line.trim_end_matches(" HTTP/1.1");
        match line {
            _ if field(asked, "authorization") != login => ("401 Unauthorized", "{}"),
            // Ann is a customer already.
            "POST /rest/servicedeskapi/customer?strictConflictStatusCode=true" => {
                ("409 Conflict", r#"{"errorMessage": "exists"}"#)
            }
            "GET /rest/api/3/user/search?query=ann%40corp.example" => (
                "200 OK",
                r#"[{"accountId": "qm:0", "emailAddress": "joann@corp.example"},
                    {"accountId": "qm:1", "emailAddress": "Ann@corp.example"}]"#,
            ),
            "POST /rest/servicedeskapi/servicedesk/5/attachTemporaryFile"
                if multipart && field(asked, "x-atlassian-token") == "no-check" =>
            {
                (
                    "201 Created",
                    r#"{"temporaryAttachments": [{"temporaryAttachmentId": "temp1"}]}"#,
                )
            }
            "POST /rest/servicedeskapi/request" => ("201 Created", r#"{"issueKey": "IT-1"}"#),
            "POST /rest/servicedeskapi/request/IT-1/attachment" => ("201 Created", "{}"),
            "PUT /rest/api/3/issue/IT-1" => ("204 No Content", ""),
            _ => ("404 Not Found", "{}"),
        }
    });
    let desk = ["--service-desk", "5", "--request-type", "20"];
    let arguments = [&["jira", "--user", "gate@corp.example"], &desk[..]].concat();
    let harness = start(&jira, &arguments);
    let request = ask(&harness, "ann@corp.example", "printer");
    delivered(&harness, &request);
    let mut asked = [(); 6].map(|()| jira.next());
    assert_eq!(body(&asked[0])["email"], "ann@corp.example");
    let raised = body(&asked[3]);
    assert_eq!(raised["raiseOnBehalfOf"], "qm:1");
    assert_eq!(
        (&raised["serviceDeskId"], &raised["requestTypeId"]),
        (&json!("5"), &json!("20"))
    );
    assert_eq!(raised["requestFieldValues"]["summary"], "About printer");
    asked[4..].sort_by(|a, b| a.line.cmp(&b.line));
    assert_eq!(body(&asked[4])["temporaryAttachmentIds"], json!(["temp1"]));
    let labels = TAGS.map(|tag| json!({ "add": tag }));
    assert_eq!(body(&asked[5])["update"]["labels"], json!(labels));
}

/// Exit status for each answer of the help desk: a refused message fails alone, a refused login or a redirect
/// concerns the destination, and no message makes the program crash.
#[test]
fn the_exit_status_of_open_ticket_is_one_that_the_destination_understands() {
    let mut answers = vec![
        ("503 Service Unavailable", 69),
        ("429 Too Many Requests", 69),
        ("401 Unauthorized", 69),
        ("302 Found", 69),
        ("500 Internal Server Error", 75),
        ("409 Conflict", 75),
        ("422 Unprocessable Entity", 65),
        ("400 Bad Request", 65),
    ]
    .into_iter();
    let expected: Vec<_> = answers.clone().map(|(_, status)| status).collect();
    let desk = StandIn::start(move |_| (answers.next().map_or("201 Created", |one| one.0), "{}"));
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    fs::write(&token, "s3cret").expect("a secret");
    for status in expected {
        assert_eq!(
            open(
                &format!("http://{}", desk.address),
                &token,
                b"Subject: a\r\n\r\nb"
            ),
            status
        );
    }
    let hostile: [&[u8]; 6] = [
        b"",
        b"\r\n\r\n",
        b"Subject: =?utf-8?q?=00=ff=ed=a0=80?=\r\n\r\n\x00\xff\xfe",
        b"Subject: \xff\xfe\r\nContent-Type: text/plain; charset=\"no such\"\r\n\r\n\xff",
        b"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\n----",
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!<![CDATA[",
    ];
    for message in hostile {
        let status = open(&format!("http://{}", desk.address), &token, message);
        assert_eq!(status, 0, "{}", String::from_utf8_lossy(message));
    }
    // The secret is sent in plain text only to this machine, and a help desk that is down is tried again.
    assert_eq!(open("http://192.0.2.1", &token, b"\r\n"), 69);
    assert_eq!(open("http://127.0.0.1:1", &token, b"\r\n"), 69);
    assert_eq!(
        open("http://127.0.0.1:1", &folder.path().join("none"), b"\r\n"),
        69
    );
}

fn open(url: &str, token: &Path, message: &[u8]) -> i32 {
    use std::io::Write;
    let mut program = Command::new(OPEN_TICKET)
        .args(["freshdesk", "--url", url, "--secret-file"])
        .arg(token)
        .env("VESTIBULE_REQUEST", "01J0000000000000000000000")
        .env("VESTIBULE_SENDER", "ann@corp.example")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3 runs it");
    // A program that ends without reading closes the pipe.
    let _ = program.stdin.take().expect("a pipe").write_all(message);
    program.wait().expect("it ends").code().expect("a status")
}

#[test]
fn osticket_accepts_a_verified_request() {
    let osticket = StandIn::start(|asked| {
        let key = field(asked, "x-api-key") == "BA00B76B";
        match asked.line.as_str() {
            _ if !key => ("401 Unauthorized", "API key not authorized"),
            "POST /api/tickets.email HTTP/1.1" => ("201 Created", "123456"),
            _ => ("404 Not Found", ""),
        }
    });
    let help_desk = format!(
        "type = \"webhook\"\nurl = \"http://{}/api/tickets.email\"\n\
         header_files = {{ X-API-Key = \"key\" }}\nallow_private = true",
        osticket.address
    );
    let harness = Harness::start_with(&config_with_desk(&help_desk), |folder| {
        fs::write(folder.join("key"), "BA00B76B\n").expect("a key");
    });
    let request = ask(&harness, "ann@corp.example", "printer");
    delivered(&harness, &request);
    let asked = osticket.next();
    let message = String::from_utf8_lossy(&asked.body);
    for part in [
        "From: ann@corp.example",
        "The body of printer.",
        "X-Vestibule-Account: internal",
    ] {
        assert!(message.contains(part), "{part:?} in {message}");
    }
}
