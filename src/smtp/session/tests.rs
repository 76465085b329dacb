//! Idle clients, in paused time, and clients that send rubbish.

use std::sync::Mutex;
use std::sync::PoisonError;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::domain::{Domain, Envelope, LedgerId, PortalName, RecipientRole};
use crate::smtp::connection_slots::ConnectionSlots;
use crate::smtp::handler::{DataOutcome, UnknownRecipient};

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
    let (ours, theirs) = duplex(pipe);
    let task = tokio::spawn(async move {
        let shared = Shared {
            handler: Arc::<Anybody>::default(),
            budget: Budget::new(settings.memory_budget, settings.max_message_size),
        };
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
async fn an_idle_connection_is_evicted() {
    let in_message = [ADDRESSED, b"Hi."].concat();
    for said in [
        &b""[..],
        b"HELO mta.example\r\nMAIL FROM:<>\r\nRC",
        &in_message,
    ] {
        let connection_slots = Arc::new(ConnectionSlots::new());
        let (mut client, task) = session_in_slot(
            connection_slots.take(1, PEER).expect("a slot"),
            CancellationToken::new(),
            settings(),
            10_000,
        );
        client.write_all(said).await.expect("a pipe");
        let begin = Instant::now();
        while connection_slots.take(1, PEER).is_none() {
            sleep(Duration::from_secs(1)).await;
        }
        assert!(begin.elapsed() < Duration::from_secs(12));
        let heard = all(&mut client).await;
        let last = "\r\n421 4.3.2 Idle or slow while others wait, closing\r\n";
        assert!(heard.ends_with(last), "{heard}");
        drop(client);
        assert!(task.await.expect("no panic").is_empty());
    }
}

/// Reads the replies that were written together.
async fn replies(client: &mut DuplexStream) -> String {
    let mut said = vec![0; 1000];
    let count = client.read(&mut said).await.expect("a pipe");
    String::from_utf8_lossy(&said[..count]).into_owned()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_answered_is_evicted_and_told_of_a_shutdown() {
    let commands = ["HELO mta.example\r\n", "MAIL FROM:<>\r\n"];
    for (count, moment) in [(0, Duration::ZERO), (1, Duration::ZERO), (2, LAST_COMMAND)] {
        for is_shutdown in [true, false] {
            let connection_slots = Arc::new(ConnectionSlots::new());
            let leave = CancellationToken::new();
            let slot = connection_slots.take(1, PEER).expect("a slot");
            let (mut client, task) = session_in_slot(slot, leave.clone(), settings(), 10_000);
            assert!(replies(&mut client).await.starts_with("220 "));
            for command in &commands[..count] {
                client.write_all(command.as_bytes()).await.expect("a pipe");
                assert!(replies(&mut client).await.starts_with("250 "), "{command}");
            }
            let end = if is_shutdown {
                leave.cancel();
                if moment > Duration::ZERO {
                    // Each command of the transaction gives the client another moment.
                    sleep(moment.saturating_sub(Duration::from_secs(1))).await;
                    let recipient = b"RCPT TO:<it@corp.example>\r\n";
                    client.write_all(recipient).await.expect("a pipe");
                    assert!(replies(&mut client).await.starts_with("250 "));
                }
                "421 4.3.2 Shutting down, try again later\r\n"
            } else {
                while connection_slots.take(1, PEER).is_none() {
                    sleep(Duration::from_secs(1)).await;
                }
                "421 4.3.2 Idle or slow while others wait, closing\r\n"
            };
            let begin = Instant::now();
            assert_eq!(all(&mut client).await, end, "{count} commands");
            if is_shutdown {
                let took = begin.elapsed();
                let most = moment + Duration::from_millis(10);
                assert!((moment..most).contains(&took), "{count} commands: {took:?}");
            }
            drop(client);
            assert!(task.await.expect("no panic").is_empty());
        }
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

#[tokio::test]
async fn one_byte_at_a_time_both_ways() {
    let (client, task) = session(settings(), 1);
    let (mut read, mut write) = tokio::io::split(client);
    let writer = tokio::spawn(async move {
        write.write_all(ADDRESSED).await.expect("a pipe");
        write
            .write_all(b"..\r\n.a\r\n.\r\nQUIT\r\n")
            .await
            .expect("a pipe");
        write
    });
    let mut said = String::new();
    read.read_to_string(&mut said).await.expect("a pipe");
    let codes: Vec<_> = said.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "250", "354", "250", "221"]);
    drop((writer.await, read));
    assert_eq!(task.await.expect("no panic"), [6]);
}

/// Pieces of dialogues, so that rubbish gets past the first line.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "EHLO a.example\r\n", "MAIL FROM:<>\r\n", "MAIL FROM:<a@b.example> SIZE=5\r\n",
            "RCPT TO:<c@d.example>\r\n", "DATA\r\n", ".\r\n", "a\r\n", "RSET\r\n", "STARTTLS\r\n",
            "XFORWARD NAME=a\r\n", "QUIT\r\n", "\r", "\n", ".", "\r\n.", "NOOP", "<", "\"",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 0_usize..3000).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rubbish_ends_in_well_formed_replies(
        pieces in prop::collection::vec(piece(), 0..30),
        cut in 1_usize..2000,
    ) {
        let input = pieces.concat();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let said = runtime.block_on(async {
            let mut settings = settings();
            settings.max_message_size = 2000;
            let (client, task) = session(settings, 64);
            let (mut read, mut write) = tokio::io::split(client);
            let writer = tokio::spawn(async move {
                for chunk in input.chunks(cut) {
                    if write.write_all(chunk).await.is_err() {
                        break;
                    }
                }
                // The session may have ended already.
                let _ = write.shutdown().await;
            });
            let mut said = Vec::new();
            read.read_to_end(&mut said).await.expect("a pipe");
            writer.await.expect("no panic");
            drop(read);
            let sizes = task.await.expect("no panic");
            assert!(sizes.iter().all(|size| *size <= 2000));
            String::from_utf8(said).expect("replies are text")
        });
        for line in said.split_inclusive("\r\n") {
            let line = line.strip_suffix("\r\n").expect("a reply ends in CRLF");
            prop_assert!(line.is_ascii() && line.len() < 200, "{}", line);
            let (code, rest) = line.split_at(3);
            prop_assert!(matches!(code.as_bytes(), [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']));
            prop_assert!(rest.starts_with([' ', '-']));
        }
    }
}
