//! A provider that asks for an access token: a server that takes XOAUTH2 only, and one token at a time.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use super::*;
use crate::config::{SmtpLogin, TokenLogin, TokenSource};

const USER: &str = "help-desk@corp.example";

#[derive(Clone)]
struct Provider {
    port: u16,
    /// The token that is valid now.
    valid: Arc<Mutex<String>>,
    /// Responses of AUTH, decoded; true if one was accepted.
    logins: Arc<Mutex<Vec<(String, bool)>>>,
    received: Arc<Mutex<usize>>,
}

impl Provider {
    fn start(valid: &str, offers: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let provider = Self {
            port: listener.local_addr().expect("an address").port(),
            valid: Arc::new(Mutex::new(valid.to_owned())),
            logins: Arc::default(),
            received: Arc::default(),
        };
        let own = provider.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (own, stream) = (own.clone(), stream.expect("a client"));
                std::thread::spawn(move || own.serve(stream, offers));
            }
        });
        provider
    }

    /// One connection, until the client closes it.
    fn serve(&self, stream: std::net::TcpStream, offers: &str) -> Option<()> {
        let mut output = stream.try_clone().expect("a stream");
        let mut input = BufReader::new(stream);
        let mut say = |line: &str| write!(output, "{line}\r\n").ok();
        say("220 provider.example ESMTP")?;
        let (mut is_in, mut is_data) = (false, false);
        let mut line = String::new();
        while input.read_line(&mut line).is_ok_and(|length| length > 0) {
            let text = line.trim_end().to_owned();
            line.clear();
            let word = text
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            match word.as_str() {
                _ if is_data && text == "." => {
                    is_data = false;
                    *self.received.lock().expect("a lock") += 1;
                    say("250 2.0.0 Ok")?;
                }
                _ if is_data => {}
                "EHLO" => say(&format!("250-provider.example\r\n250 AUTH {offers}"))?,
                "AUTH" if self.takes(&text) => {
                    is_in = true;
                    say("235 2.7.0 Accepted")?;
                }
                "AUTH" => {
                    // As Google does.
                    say(
                        "334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJtYWlsIn0=",
                    )?;
                    let mut empty = String::new();
                    input.read_line(&mut empty).ok()?;
                    assert_eq!(empty, "\r\n");
                    // As no server should.
                    say(&format!("535 5.7.8 not accepted: {}", self.last_sent()))?;
                }
                "QUIT" => return say("221 2.0.0 Bye"),
                _ if !is_in => say("530 5.7.0 Authentication required")?,
                "DATA" => {
                    is_data = true;
                    say("354 Go on")?;
                }
                _ => say("250 2.0.0 Ok")?,
            }
        }
        Some(())
    }

    fn takes(&self, line: &str) -> bool {
        let text = line.strip_prefix("AUTH XOAUTH2 ").expect("XOAUTH2");
        let octets = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
        let sent = String::from_utf8(octets.expect("base64")).expect("text");
        let valid = self.valid.lock().expect("a lock");
        let is_valid = sent == format!("user={USER}\u{1}auth=Bearer {valid}\u{1}\u{1}");
        self.logins.lock().expect("a lock").push((sent, is_valid));
        is_valid
    }

    /// The token that was sent last.
    fn last_sent(&self) -> String {
        let logins = self.logins.lock().expect("a lock");
        let (sent, _) = logins.last().expect("a login");
        let (_, token) = sent.split_once("Bearer ").expect("a token");
        token.trim_end_matches('\u{1}').to_owned()
    }

    fn logins(&self) -> Vec<bool> {
        let logins = self.logins.lock().expect("a lock");
        logins.iter().map(|(_, taken)| *taken).collect()
    }

    fn transport(&self, source: TokenSource) -> MailTransport {
        let server = SmtpServer {
            host: "localhost".to_owned(),
            port: self.port,
            security: SmtpSecurity::None,
            tls_verify: true,
        };
        let login = SmtpLogin::Token(TokenLogin {
            user: USER.to_owned(),
            source,
        });
        let hostname = Domain::parse("gate.corp.example").expect("a domain");
        MailTransport::new(&Outgoing::Smtp(server, Some(login)), &hostname, 16).expect("a way out")
    }
}

/// A program that writes the content of a file, and a line into another for each run.
fn program(folder: &Path) -> TokenSource {
    let (token, runs) = (folder.join("token"), folder.join("runs"));
    let script = format!("echo x >> {}; cat {}", runs.display(), token.display());
    TokenSource::Command("/bin/sh".into(), vec!["-c".to_owned(), script])
}

#[tokio::test]
async fn the_present_token_of_the_file_opens_each_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    let provider = Provider::start("one", "PLAIN LOGIN XOAUTH2");
    let transport = provider.transport(TokenSource::File(file.clone()));
    let attempt = transport.send(&mail("ann@corp.example")).await;
    assert!(
        matches!(&attempt, AttemptOutcome::Retry(cause) if cause.text.contains("no access token"))
    );
    std::fs::write(&file, "one\n").expect("written");
    assert_eq!(
        transport.send(&mail("ann@corp.example")).await,
        AttemptOutcome::Delivered
    );
    transport.close_idle().await;
    // The provider and the file change; nothing is restarted.
    "two".clone_into(&mut provider.valid.lock().expect("a lock"));
    std::fs::write(&file, r#"{"access_token": "two", "expires_in": 3599}"#).expect("written");
    assert_eq!(
        transport.send(&mail("ann@corp.example")).await,
        AttemptOutcome::Delivered
    );
    assert_eq!(provider.logins(), [true, true]);
    assert_eq!(*provider.received.lock().expect("a lock"), 2);
}

#[tokio::test]
async fn a_refused_token_is_fetched_anew_once_and_stays_out_of_the_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |token: &str| std::fs::write(folder.path().join("token"), token).expect("written");
    let runs = || {
        let runs = std::fs::read_to_string(folder.path().join("runs"));
        runs.unwrap_or_default().lines().count()
    };
    // The clock stands still except when the test advances it: it advances by itself only while no task blocks.
    tokio::time::pause();
    let (_blocked, ended) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || ended.recv());
    write("old-secret");
    let provider = Provider::start("old-secret", "XOAUTH2");
    let transport = provider.transport(program(folder.path()));
    assert_eq!(
        transport.send(&mail("ann@corp.example")).await,
        AttemptOutcome::Delivered
    );
    transport.close_idle().await;
    assert_eq!(
        transport.send(&mail("ann@corp.example")).await,
        AttemptOutcome::Delivered
    );
    assert_eq!(runs(), 1, "the token is kept");
    transport.close_idle().await;

    // The provider no longer accepts the token, and the program has no newer one yet.
    "new-secret".clone_into(&mut provider.valid.lock().expect("a lock"));
    let attempt = transport.send(&mail("ann@corp.example")).await;
    let AttemptOutcome::Retry(cause) = &attempt else {
        panic!("{attempt:?}")
    };
    assert!(attempt.destination_failure().is_some());
    assert!(cause.text.contains("535"), "{cause:?}");
    for _ in 0..3 {
        let attempt = transport.send(&mail("ann@corp.example")).await;
        assert!(attempt.destination_failure().is_some(), "{attempt:?}");
    }
    assert_eq!(runs(), 1, "not more often than every ten seconds");

    // Once there is another one, the same attempt uses it.
    for token in ["new-secret", "third-secret"] {
        tokio::time::advance(Duration::from_secs(11)).await;
        write(token);
        token.clone_into(&mut provider.valid.lock().expect("a lock"));
        let before = provider.logins().len();
        assert_eq!(
            transport.send(&mail("ann@corp.example")).await,
            AttemptOutcome::Delivered
        );
        let logins = provider.logins().split_off(before);
        assert_eq!(logins.last(), Some(&true), "{logins:?}");
        transport.close_idle().await;
    }
    assert_eq!(runs(), 3);

    tokio::time::advance(Duration::from_secs(11)).await;
    write("wrong-secret");
    "no-secret".clone_into(&mut provider.valid.lock().expect("a lock"));
    let shown = format!("{:?}", transport.send(&mail("ann@corp.example")).await);
    assert!(
        shown.contains("535") && !shown.contains("wrong-secret"),
        "{shown}"
    );
    assert!(!shown.contains("third-secret"), "{shown}");
}

#[tokio::test]
async fn a_server_without_xoauth2_gets_no_token() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "secret").expect("written");
    let provider = Provider::start("secret", "PLAIN LOGIN");
    let transport = provider.transport(program(folder.path()));
    let attempt = transport.send(&mail("ann@corp.example")).await;
    assert!(
        matches!(&attempt, AttemptOutcome::Retry(cause) if cause.text.contains("does not offer XOAUTH2")),
        "{attempt:?}"
    );
    assert!(provider.logins().is_empty());
}
