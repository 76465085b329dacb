//! Tests of sessions: timeouts, in paused time, messages that are not accepted, and logged ends.

mod any_input;
mod eviction;

use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::config::LogFormat;
use crate::domain::{Domain, Envelope, LedgerId, PortalName, RecipientRole};
use crate::observe::events::tests::capture;
use crate::smtp::connection_slots::ConnectionSlots;
use crate::smtp::handler::{DataOutcome, UnknownRecipient};
use crate::smtp::settings::Tls;
use crate::smtp::tls::server_config;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Accepts everything and records the sizes.
#[derive(Default)]
struct Anybody(Mutex<Vec<usize>>);

impl MessageHandler for Anybody {
    fn recipient(&self, _: &str) -> Result<RecipientRole, UnknownRecipient> {
        PortalName::parse("it")
            .map(RecipientRole::Portal)
            .map_err(|_| UnknownRecipient)
    }

    fn memory(&self, header: usize) -> usize {
        header
    }

    async fn receive(&self, _: Envelope, raw: Vec<u8>) -> DataOutcome {
        let mut sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.push(raw.len());
        DataOutcome::Stored(LedgerId::new())
    }
}

fn settings() -> ServerSettings {
    ServerSettings::new(Domain::parse("gate.corp.example").expect("a domain"))
}

/// Starts a session with an uncontended slot on one end of a pipe of this size. Returns the other end, and a
/// task that returns the sizes of the messages.
fn session(settings: ServerSettings, pipe: usize) -> (DuplexStream, JoinHandle<Vec<usize>>) {
    let slot = Arc::new(ConnectionSlots::new())
        .take(1, PEER)
        .expect("the first slot");
    session_in_slot(slot, CancellationToken::new(), settings, pipe)
}

fn session_in_slot(
    slot: Slot,
    leave: CancellationToken,
    settings: ServerSettings,
    pipe: usize,
) -> (DuplexStream, JoinHandle<Vec<usize>>) {
    session_with(shared(&settings), slot, leave, settings, pipe)
}

fn shared(settings: &ServerSettings) -> Arc<Shared<Anybody>> {
    Arc::new(Shared {
        handler: Arc::default(),
        budget: Budget::new(settings.memory_budget, settings.max_message_size),
    })
}

fn session_with(
    shared: Arc<Shared<Anybody>>,
    slot: Slot,
    leave: CancellationToken,
    settings: ServerSettings,
    pipe: usize,
) -> (DuplexStream, JoinHandle<Vec<usize>>) {
    let (ours, theirs) = duplex(pipe);
    let task = tokio::spawn(async move {
        let session = Session {
            shared: &shared,
            settings: Arc::new(settings),
            peer: PEER,
            slot,
            leave,
        };
        session.run(theirs).await;
        let sizes = shared
            .handler
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sizes.clone()
    });
    (ours, task)
}

/// A runtime in paused time, for tests that have to be functions without `async`.
fn paused_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// Reads everything that the session sends until it closes.
async fn all(client: &mut DuplexStream) -> String {
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.expect("a pipe");
    String::from_utf8(said).expect("replies are text")
}

const ADDRESSED: &[u8] =
    b"HELO mta.example\r\nMAIL FROM:<>\r\nRCPT TO:<it@corp.example>\r\nDATA\r\n";

#[tokio::test(start_paused = true)]
async fn a_command_that_stays_incomplete_times_out() {
    let (mut client, task) = session(settings(), 10_000);
    let begin = Instant::now();
    // A client that sends one octet a minute is never silent for long.
    for byte in b"EHLO a" {
        if client.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_mins(1)).await;
    }
    let said = all(&mut client).await;
    assert!(
        said.ends_with("\r\n421 4.4.2 Timed out, closing\r\n"),
        "{said}"
    );
    assert!(
        begin.elapsed() <= Duration::from_mins(6),
        "{:?}",
        begin.elapsed()
    );
    drop(client);
    assert!(task.await.expect("no panic").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_endless_line_ends() {
    let (mut client, task) = session(settings(), 10_000);
    let begin = Instant::now();
    while client.write_all(&[b'a'; 1000]).await.is_ok() {
        sleep(Duration::from_secs(1)).await;
        // The pipe still takes a limited amount after the session has stopped reading.
        if begin.elapsed() > Duration::from_mins(10) {
            break;
        }
    }
    let said = all(&mut client).await;
    assert!(
        said.ends_with("\r\n421 4.4.2 Timed out, closing\r\n"),
        "{said}"
    );
    assert!(
        begin.elapsed() <= Duration::from_mins(6),
        "{:?}",
        begin.elapsed()
    );
    drop(client);
    task.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_silent_message_times_out() {
    let (mut client, task) = session(settings(), 10_000);
    client.write_all(ADDRESSED).await.expect("a pipe");
    client.write_all(b"Hi.\r\n").await.expect("a pipe");
    let begin = Instant::now();
    let said = all(&mut client).await;
    assert!(
        said.ends_with("\r\n421 4.4.2 Timed out, closing\r\n"),
        "{said}"
    );
    assert!(
        begin.elapsed() < Duration::from_mins(4),
        "{:?}",
        begin.elapsed()
    );
    drop(client);
    assert!(task.await.expect("no panic").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_trickling_message_times_out() {
    let (mut client, task) = session(settings(), 10_000);
    client.write_all(ADDRESSED).await.expect("a pipe");
    let begin = Instant::now();
    while client.write_all(b"a").await.is_ok() && begin.elapsed() < Duration::from_hours(2) {
        sleep(Duration::from_mins(1)).await;
    }
    assert!(
        begin.elapsed() <= Duration::from_mins(32),
        "{:?}",
        begin.elapsed()
    );
    let said = all(&mut client).await;
    assert!(
        said.ends_with("\r\n421 4.4.2 Timed out, closing\r\n"),
        "{said}"
    );
    drop(client);
    assert!(task.await.expect("no panic").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_no_replies_is_disconnected() {
    // Enough commands for their replies to fill any pipe.
    let (mut client, task) = session(settings(), 100);
    let begin = Instant::now();
    while client.write_all(b"VRFY a\r\n").await.is_ok() {}
    assert!(
        begin.elapsed() < Duration::from_mins(6),
        "{:?}",
        begin.elapsed()
    );
    task.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stays_incomplete_ends() {
    let name = vec!["gate.corp.example".to_owned()];
    let made = rcgen::generate_simple_self_signed(name).expect("a certificate");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let config = server_config(chain.as_bytes(), key.as_bytes()).expect("they match");
    let minute = Duration::from_mins(1);
    for (others_wait, expected) in [
        (false, 5 * minute..6 * minute),
        (true, minute / 6..minute / 5),
    ] {
        let mut settings = settings();
        settings.tls = Some(Tls {
            config: Arc::clone(&config),
            required: false,
        });
        let connection_slots = Arc::new(ConnectionSlots::new());
        let slot = connection_slots.take(1, PEER).expect("a slot");
        let (mut client, task) = session_in_slot(slot, CancellationToken::new(), settings, 10_000);
        let commands = b"EHLO mta.example\r\nSTARTTLS\r\n";
        client.write_all(commands).await.expect("a pipe");
        let begin = Instant::now();
        while others_wait && connection_slots.take(1, PEER).is_none() {
            sleep(Duration::from_secs(1)).await;
        }
        let said = timeout(60 * minute, all(&mut client)).await;
        let said = said.expect("the session ends");
        assert!(said.ends_with("220 2.0.0 Ready to start TLS\r\n"), "{said}");
        let took = begin.elapsed();
        assert!(expected.contains(&took), "{took:?}");
        drop(client);
        task.await.expect("no panic");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_counts_as_an_error() {
    let mut settings = settings();
    settings.max_message_size = 3;
    settings.max_errors = 0;
    let (mut client, task) = session(settings, 10_000);
    client.write_all(ADDRESSED).await.expect("a pipe");
    let rest = client.write_all(b"Hi.\r\n.\r\nNOOP\r\n").await;
    rest.expect("a pipe");
    let said = all(&mut client).await;
    let last = "\r\n421 4.7.0 Too many errors, closing\r\n";
    assert!(said.ends_with(last), "{said}");
    drop(client);
    assert!(task.await.expect("no panic").is_empty());
}

#[test]
fn a_lost_connection_is_logged_in_a_transaction_only_and_a_shutdown_never() {
    for (sent, is_shutdown, logged) in [
        ("HELO mta.example\r\n", false, None),
        (
            "HELO mta.example\r\nMAIL FROM:<>\r\n",
            false,
            Some("421 4.4.2"),
        ),
        ("RUBBISH\r\n", false, Some("500 5.5.2")),
        ("HELO mta.example\r\n", true, None),
    ] {
        let lines = capture(LogFormat::Text, false, || {
            paused_runtime().block_on(async {
                let leave = CancellationToken::new();
                let slot = Arc::new(ConnectionSlots::new()).take(1, PEER);
                let slot = slot.expect("a slot");
                let (mut client, task) = session_in_slot(slot, leave.clone(), settings(), 10_000);
                client.write_all(sent.as_bytes()).await.expect("a pipe");
                sleep(Duration::from_secs(1)).await;
                if is_shutdown {
                    leave.cancel();
                    assert!(all(&mut client).await.contains("\r\n421 4.3.2 "));
                }
                drop(client);
                task.await.expect("no panic");
            });
        });
        let mut codes = lines
            .iter()
            .filter_map(|line| line.split_once(" code=\"")?.1.split('"').next());
        assert_eq!(codes.next(), logged, "{sent:?}: {lines:?}");
        assert_eq!(codes.next(), None, "{sent:?}: {lines:?}");
    }
}

#[tokio::test]
async fn an_incomplete_message_is_not_accepted() {
    let (mut client, task) = session(settings(), 10_000);
    client.write_all(ADDRESSED).await.expect("a pipe");
    client.write_all(b"Hi.\r\n.\r").await.expect("a pipe");
    drop(client);
    assert!(task.await.expect("no panic").is_empty());
}
