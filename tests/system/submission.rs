//! Verification mail through a submission server that requires OAuth 2: Dovecot's, which accepts only XOAUTH2,
//! checks each token with the issuer's key, and relays to Postfix's smtp-sink.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use vestibule::domain::Timestamp;

use crate::support::client::send;
use crate::support::harness::{Folder, Harness, STANDARD, Signal, send_signal, wait_for};
use crate::support::port::Port;

const USER: &str = "gate@provider.example";

/// The authorization server, which signs tokens with its key.
struct TokenIssuer {
    key: rcgen::KeyPair,
}

impl TokenIssuer {
    /// A token of the user that is valid for this number of seconds (RFC 7519).
    fn token(&self, seconds: i64) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let now = Timestamp::now().as_second();
        let header = json!({ "alg": "ES256", "typ": "JWT" });
        let claims = json!({ "sub": USER, "email": USER, "iat": now - 3600, "exp": now + seconds });
        let signed = format!("{}.{}", part(&header), part(&claims));
        let random = SystemRandom::new();
        let key = self.key.serialize_der();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &random);
        let signature = key.expect("a key").sign(&random, signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.expect("a signature"));
        format!("{signed}.{signature}")
    }
}

/// Dovecot's submission service in a folder of its own, and the server behind it.
struct Submission {
    folder: Folder,
    port: Port,
    issuer: TokenIssuer,
    processes: Vec<Child>,
}

impl Submission {
    fn start() -> Self {
        let folder = Folder::new();
        let at = folder.path();
        // Dovecot's processes run as users of their own.
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).expect("a mode");
        for name in ["home", "keys/default/ES256", "sink"] {
            fs::create_dir_all(at.join(name)).expect("a folder");
            fs::set_permissions(at.join(name), fs::Permissions::from_mode(0o777)).expect("a mode");
        }
        let write = |name: &str, text: &str| fs::write(at.join(name), text).expect("a file");
        let issuer = TokenIssuer {
            key: rcgen::KeyPair::generate().expect("a key"),
        };
        write("keys/default/ES256/default", &issuer.key.public_key_pem());
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let made = made.expect("a certificate");
        write("cert.pem", &made.cert.pem());
        write("key.pem", &made.signing_key.serialize_pem());
        let (port, behind) = (Port::reserve(), Port::reserve());
        let (own, relay) = (port.address.port(), behind.address.port());
        let place = at.display();
        write(
            "oauth2.conf",
            &format!(
                "introspection_mode = local\n\
                 local_validation_key_dict = fs:posix:prefix={place}/keys/\n\
                 username_attribute = email\n"
            ),
        );
        write(
            "dovecot.conf",
            &format!(
                "protocols = submission\nlisten = 127.0.0.1\nhostname = submission.provider.example\n\
                 base_dir = {place}/run\nstate_dir = {place}/state\nlog_path = {place}/dovecot.log\n\
                 ssl = required\nssl_cert = <{place}/cert.pem\nssl_key = <{place}/key.pem\n\
                 auth_mechanisms = xoauth2\nauth_verbose = yes\nauth_failure_delay = 0\n\
                 first_valid_uid = 1\n\
                 mail_location = maildir:{place}/home/Maildir\n\
                 passdb {{\n driver = oauth2\n mechanisms = xoauth2\n args = {place}/oauth2.conf\n}}\n\
                 userdb {{\n driver = static\n args = uid=nobody gid=nogroup home={place}/home\n}}\n\
                 service submission-login {{\n inet_listener submission {{\n port = {own}\n }}\n}}\n\
                 submission_relay_host = 127.0.0.1\nsubmission_relay_port = {relay}\n"
            ),
        );
        let sink = Command::new("/usr/sbin/smtp-sink")
            .args(["-u", "nobody", "-d", "mail."])
            .args([&format!("127.0.0.1:{relay}"), "10"])
            .current_dir(at.join("sink"))
            .stderr(Stdio::null())
            .spawn()
            .expect("smtp-sink is installed by tests/run");
        let dovecot = Command::new("/usr/sbin/dovecot")
            .args(["-F", "-c"])
            .arg(at.join("dovecot.conf"))
            .stderr(Stdio::null())
            .spawn()
            .expect("Dovecot is installed by tests/run");
        let submission = Self {
            folder,
            port,
            issuer,
            processes: vec![dovecot, sink],
        };
        for address in [submission.port.address, behind.address] {
            wait_for("a port", || std::net::TcpStream::connect(address).ok());
        }
        submission
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path().join("dovecot.log")).unwrap_or_default()
    }

    /// The mail that was relayed to this person.
    fn mail_to(&self, address: &str) -> String {
        let to = format!("To: {address}\n");
        wait_for(&format!("a mail to {address}: {}", self.log()), || {
            let files = fs::read_dir(self.path().join("sink")).expect("a folder");
            let files = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
            let mut mails = files.map(|mail| mail.replace("\r\n", "\n"));
            mails.find(|mail| mail.contains(&to))
        })
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        for process in &mut self.processes {
            send_signal(process, Signal::TERM);
            let _ = process.wait();
        }
    }
}

#[test]
fn dovecot_accepts_verification_mail_with_a_token_and_none_without() {
    let submission = Submission::start();
    let url = format!(
        "smtp+starttls://localhost:{}",
        submission.port.address.port()
    );
    let configuration = STANDARD.replace(
        "type = \"file\"\ndir = \"letters\"",
        &format!("type = \"smtp\"\nurl = \"{url}\"\nusername = \"{USER}\"\ntoken_file = \"token\""),
    );
    let mut harness = Harness::at_rest(&configuration);
    let write_token = |harness: &Harness, seconds| {
        let token = submission.issuer.token(seconds);
        harness.write("token", &format!("{token}\n"));
        token
    };
    let certificate = submission.path().join("cert.pem").display().to_string();
    let trust = [("SSL_CERT_FILE", certificate.as_str())];
    let check_once = |harness: &Harness| {
        let output = harness.command(&["check", "--json"]).envs(trust).output();
        let output = String::from_utf8(output.expect("it runs").stdout).expect("UTF-8");
        let mut findings = output.lines().map(|line| {
            let finding: Value = serde_json::from_str(line).expect("JSON");
            finding
        });
        let found = findings.find(|finding| finding["check"] == "outgoing (smtp)");
        found.expect("a finding")
    };
    // A login may start programs of Dovecot, which can take longer than `check` waits.
    let check = |harness: &Harness| {
        wait_for("an answer within the time limit", || {
            let found = check_once(harness);
            let is_late = found.to_string().contains("did not answer within");
            (!is_late).then_some(found)
        })
    };
    let first = write_token(&harness, 3600);
    let found = check(&harness);
    assert_eq!(found["state"], "ok", "{found}");
    assert!(
        found["detail"]
            .as_str()
            .is_some_and(|text| text.ends_with("accepts the login")),
        "{found}"
    );
    assert!(harness.restart_with(&trust), "{}", harness.log());

    send(harness.smtp, "ann@corp.example", "first");
    let mail = submission.mail_to("ann@corp.example");
    assert!(mail.contains("/verify/"), "{mail}");
    assert!(
        submission.log().contains("method=XOAUTH2"),
        "{}",
        submission.log()
    );

    // An expired token: nothing is sent, the mail waits and states the cause, and so does `check`.
    let expired = write_token(&harness, -60);
    let found = check(&harness);
    assert_eq!(found["state"], "problem", "{found}");
    let detail = found["detail"].as_str().unwrap_or_default();
    assert!(detail.ends_with("it refuses the access token"), "{found}");
    assert!(
        found["remedy"]
            .as_str()
            .is_some_and(|text| text.contains("token")),
        "{found}"
    );
    // Restarts, because an open connection is already authenticated.
    assert!(harness.restart_with(&trust), "{}", harness.log());
    send(harness.smtp, "bob@corp.example", "second");
    let waiting = wait_for("a refused login", || {
        let mails = harness.json(&["customers", "mail"]);
        let mut mails = mails.into_iter();
        mails.find(|mail| mail["last_error"].is_string())
    });
    assert_eq!(waiting["address"], "bob@corp.example");
    let error = waiting["last_error"].as_str().unwrap_or_default();
    assert!(error.contains("login") && error.contains("535"), "{error}");

    // The program that renews the token has written a new one.
    let fresh = write_token(&harness, 3600);
    assert!(harness.restart_with(&trust), "{}", harness.log());
    let asked = harness.run(&["customers", "resend", "bob@corp.example"]);
    assert_eq!(asked.status, 0, "{}", asked.err);
    submission.mail_to("bob@corp.example");
    for token in [first, expired, fresh] {
        assert!(!harness.log().contains(&token), "a token is in the log");
    }
}
