//! Addresses of the installation: mail from them is a mail loop and they never become customers; the
//! postmaster's mail arrives; and no sender is taken for an option of a program.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use url::form_urlencoded;

use crate::support::client::{Smtp, add_customer, http, message};
use crate::support::harness::{Harness, STANDARD, token, wait_for};

/// A configuration with every kind of address.
fn configuration() -> String {
    STANDARD
        .replace(
            "from = \"IT Help <no-reply@corp.example>\"",
            "from = \"IT Help <sender@corp.example>\"\n\
             reply_address = \"confirm@corp.example\"\n\
             return_address = \"returns@corp.example\"",
        )
        .replace(
            "[destination.desk]",
            "[[portal]]\nname = \"hr\"\ntitle = \"HR\"\naddresses = [\"hr@corp.example\"]\n\
             destination = \"queue\"\ncontact = \"person@corp.example\"\n\n\
             [destination.queue]\ntype = \"smtp\"\nurl = \"smtp://127.0.0.1:9\"\n\
             recipient = \"queue@corp.example\"\nenvelope_from = \"bounces@corp.example\"\n\n\
             [destination.desk]",
        )
}

const OURS: [&str; 10] = [
    "it-help@corp.example",
    "hr@corp.example",
    "HR@Corp.Example",
    "hr+42@corp.example",
    "sender@corp.example",
    "confirm@corp.example",
    "returns@corp.example",
    "returns+42@corp.example",
    "queue@corp.example",
    "bounces@corp.example",
];

#[test]
fn addresses_of_the_installation_are_no_customers() {
    let harness = Harness::start(&configuration());
    let token = token(&harness);
    let mut client = Smtp::connect(harness.smtp).expect("the daemon answers");
    let mut decided = |from: &str, marker: &str| {
        let written = message(from, marker);
        let reply = client.send("x@client.example", "it-help@corp.example", &written);
        assert!(reply.expect("an answer").starts_with("250"), "{from}");
        let why = harness.json(&["explain", &format!("{marker}@client.example")]);
        why[0]["reason"].as_str().expect("a reason").to_owned()
    };
    for (n, address) in OURS.iter().enumerate() {
        assert_eq!(decided(address, &format!("loop-{n}")), "loop", "{address}");

        let email: String = form_urlencoded::byte_serialize(address.as_bytes()).collect();
        let (status, page) = http(harness.http, "POST", "/signup", &[("email", &email)]);
        assert_eq!(status, 400, "{address}: {page}");

        let (status, answer) = add_customer(harness.admin, &token, address);
        assert_eq!(status, 422, "{address}: {answer}");

        let added = harness.command(&["customers", "add", address]).output();
        let added = added.expect("it runs");
        let text = String::from_utf8_lossy(&added.stderr);
        assert!(!added.status.success(), "{address}");
        assert!(
            text.contains("is an address of this installation"),
            "{text}"
        );
    }
    assert!(harness.json(&["customers", "list"]).is_empty());
    // A contact is a person.
    let reason = decided("person@corp.example", "person");
    assert_eq!(reason, "internal_account_created");
}

#[test]
fn an_operator_who_adds_the_address_of_a_program_is_warned() {
    let harness = Harness::start(STANDARD);
    let token = token(&harness);
    let address = "no-reply@partner.example";
    let (status, page) = http(harness.http, "POST", "/signup", &[("email", address)]);
    assert_eq!(status, 400, "{page}");
    let (status, answer) = add_customer(harness.admin, &token, address);
    assert_eq!(status, 201, "{answer}");
    let body = answer.split("\r\n\r\n").nth(1).expect("a body");
    let added: Value = serde_json::from_str(body).expect(body);
    assert_eq!(added["address"], address);
    let warning = added["warnings"][0].as_str().expect("a warning");
    assert!(
        warning.contains("looks like the address of a program"),
        "{warning}"
    );

    let (status, answer) = add_customer(harness.admin, &token, "bob@partner.example");
    assert!(status == 201 && !answer.contains("warnings"), "{answer}");

    let output = harness
        .command(&["customers", "add", "noreply@partner.example"])
        .output();
    let text = String::from_utf8(output.expect("it runs").stderr).expect("UTF-8");
    assert!(
        text.starts_with("warning: noreply@partner.example looks like"),
        "{text}"
    );
}

#[test]
fn mail_for_the_postmaster_goes_to_a_portal() {
    let hr = "[[portal]]\nname = \"hr\"\naddresses = [\"hr@corp.example\"]\n\
              destination = \"desk\"\n\n[destination.desk]";
    let both = STANDARD.replace("[destination.desk]", hr);
    let named = both.replace("[smtp]", "[smtp]\npostmaster = \"hr\"");
    for (configuration, portal) in [(both, "it"), (named, "hr")] {
        let harness = Harness::start(&configuration);
        let mut client = Smtp::connect(harness.smtp).expect("the daemon answers");
        let known = [
            "postmaster",
            "Postmaster",
            "POSTMASTER",
            "Postmaster@gate.corp.example",
            "postmaster@Gate.Corp.Example",
        ];
        for (n, to) in known.iter().enumerate() {
            let written = message("bob@partner.example", &format!("to-{n}"));
            let reply = client.send("bob@partner.example", to, &written);
            assert!(reply.expect("an answer").starts_with("250"), "{to}");
            let why = &harness.json(&["explain", &format!("to-{n}@client.example")])[0];
            assert_eq!(why["portal"], portal, "{to}: {why}");
            assert_ne!(why["verdict"], "dropped", "{to}: {why}");
        }
        let say = |client: &mut Smtp, line: &str| client.say(line).expect("an answer");
        say(&mut client, "MAIL FROM:<bob@partner.example>");
        for to in [
            "postmaster@corp.example",
            "postmaster@other.example",
            "postmaster@",
            "abuse",
            "postmaster2",
        ] {
            let reply = say(&mut client, &format!("RCPT TO:<{to}>"));
            assert!(reply.starts_with('5'), "{to}: {reply}");
        }
    }
}

/// Parses options as programs do: an argument that begins with a hyphen is one.
const OPEN_TICKET: &str = "#!/bin/sh\n\
    cat >/dev/null\n\
    case \"$1\" in -*) echo \"option $1\" >&2; exit 64 ;; esac\n\
    printf '%s\\n' \"$1\" >>senders\n";

#[test]
fn no_sender_is_an_option_of_the_destinations_program() {
    let configuration = STANDARD.replace(
        "type = \"maildir\"\npath = \"desk\"",
        "type = \"command\"\nprogram = \"/bin/sh\"\n\
         args = [\"-c\", '''cd \"$FOLDER\"; exec ./open-ticket \"$VESTIBULE_SENDER\"''']\n\
         environment = { FOLDER = \"@FOLDER@\" }",
    );
    let mut harness = Harness::at_rest(&configuration);
    let folder = harness.folder.path().display().to_string();
    let file = harness.path("vestibule.toml");
    let text = fs::read_to_string(&file).expect("the configuration");
    fs::write(&file, text.replace("@FOLDER@", &folder)).expect("written");
    let program = harness.path("open-ticket");
    fs::write(&program, OPEN_TICKET).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
    harness.restart();

    let mut client = Smtp::connect(harness.smtp).expect("the daemon answers");
    let senders = [
        ("-oQ/tmp@partner.example", "\"-oQ/tmp\"@partner.example"),
        ("--help@partner.example", "\"--help\"@partner.example"),
        ("\"-x\"@partner.example", "\"-x\"@partner.example"),
        ("\"-.x\"@partner.example", "\"-.x\"@partner.example"),
        ("\"-x.\"@partner.example", "\"-x.\"@partner.example"),
        ("bob@partner.example", "bob@partner.example"),
    ];
    for (n, (from, _)) in senders.iter().enumerate() {
        let written = message(&format!("<{from}>"), &format!("option-{n}"));
        let reply = client.send("x@client.example", "it-help@corp.example", &written);
        assert!(reply.expect("an answer").starts_with("250"), "{from}");
    }
    let mut expected: Vec<&str> = senders.iter().map(|(_, argument)| *argument).collect();
    expected.sort_unstable();
    wait_for("a call for each sender", || {
        let written = fs::read_to_string(harness.path("senders")).unwrap_or_default();
        let mut found: Vec<&str> = written.lines().collect();
        found.sort_unstable();
        (found == expected).then_some(())
    });
}
