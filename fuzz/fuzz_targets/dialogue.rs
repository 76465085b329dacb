//! Any bytes, sent to the SMTP server over a socket: it neither panics nor hangs, each line that it answers
//! is a reply, and every message that it passes on was sent to a known recipient.

#![no_main]

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vestibule::domain::{Domain, Envelope, LedgerId, PortalName, RecipientRole};
use vestibule::smtp::{DataOutcome, MessageHandler, ServerSettings, UnknownRecipient, serve};

const MAX_SIZE: u64 = 2000;

/// Knows one address, and records the messages that it is given.
#[derive(Default)]
struct Desk {
    received: Mutex<Vec<(Envelope, Vec<u8>)>>,
}

impl MessageHandler for Desk {
    fn recipient(&self, address: &str) -> Result<RecipientRole, UnknownRecipient> {
        match address {
            "it@corp.example" => Ok(RecipientRole::Portal(PortalName::parse("it").expect("a name"))),
            _ => Err(UnknownRecipient),
        }
    }

    fn memory(&self, header: usize) -> usize {
        header
    }

    async fn receive(&self, envelope: Envelope, raw: Vec<u8>) -> DataOutcome {
        self.received.lock().expect("no panic").push((envelope, raw));
        DataOutcome::Stored(LedgerId::new())
    }
}

/// One listener for all inputs.
struct Shared {
    runtime: Runtime,
    address: std::net::SocketAddr,
    desk: Arc<Desk>,
    _settings: watch::Sender<Arc<ServerSettings>>,
}

impl Shared {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let mut settings = ServerSettings::new(Domain::parse("gate.corp.example").expect("a domain"));
        settings.max_message_size = MAX_SIZE;
        settings.max_recipients = 3;
        let (sender, receiver) = watch::channel(Arc::new(settings));
        let desk = Arc::new(Desk::default());
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("bound");
        runtime.spawn(serve(
            vec![listener],
            receiver,
            desk.clone(),
            CancellationToken::new(),
        ));
        Self {
            runtime,
            address,
            desk,
            _settings: sender,
        }
    }

    /// Sends the bytes in pieces, and returns all replies.
    fn talk(&self, said: &[u8], piece: usize) -> Vec<u8> {
        self.runtime.block_on(async {
            let stream = TcpStream::connect(self.address).await.expect("connected");
            stream.set_nodelay(true).expect("an option");
            // A reset avoids TIME_WAIT, which would exhaust the ports.
            stream.set_zero_linger().expect("an option");
            let (mut reading, mut writing) = stream.into_split();
            let speak = async move {
                for piece in said.chunks(piece) {
                    if writing.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = writing.shutdown().await;
                writing
            };
            let mut answers = Vec::new();
            let listen = reading.read_to_end(&mut answers);
            let both = async { tokio::join!(speak, listen) };
            let (_writing, _) = tokio::time::timeout(std::time::Duration::from_secs(20), both)
                .await
                .expect("an end");
            answers
        })
    }
}

thread_local! {
    static HOUSE: RefCell<Option<Shared>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, said)) = input.split_first() else {
        return;
    };
    HOUSE.with_borrow_mut(|shared| {
        let shared = shared.get_or_insert_with(Shared::open);
        let answers = shared.talk(said, usize::from(first % 16) * 7 + 1);
        let text = String::from_utf8(answers).expect("replies are text");
        let mut queued = 0;
        for line in text.split_inclusive('\n') {
            let line = line.strip_suffix("\r\n").expect("a reply ends in CRLF");
            let (code, rest) = line.split_at(3);
            let code: u16 = code.parse().expect("three digits");
            assert!((200..600).contains(&code), "{line}");
            assert!(rest.is_empty() || rest.starts_with([' ', '-']), "{line}");
            assert!(line.len() <= 512 && !line.contains(char::is_control), "{line}");
            queued += usize::from(line.starts_with("250 2.0.0 Ok: queued as "));
        }
        let taken = std::mem::take(&mut *shared.desk.received.lock().expect("no panic"));
        // A client that disconnects early may miss the last reply, but never gets too many.
        assert!(queued <= taken.len(), "{queued} of {}: {text}", taken.len());
        for (envelope, raw) in taken {
            assert!((1..=3).contains(&envelope.recipients.len()));
            assert!(raw.len() as u64 <= MAX_SIZE);
            let mut before = 0;
            for &byte in &raw {
                assert!(byte != b'\n' || before == b'\r', "a bare LF was handed on");
                before = byte;
            }
        }
    });
});
