//! Delivery to an independent SMTP server, `mailin-embedded`.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use mailin_embedded::{Handler, Response, Server, SslConfig, response};
use vestibule::domain::RequestState;

use super::harness::{Harness, until};

/// Records every accepted message.
#[derive(Clone, Default)]
struct Mailbox {
    current: Message,
    taken: Arc<Mutex<Vec<Message>>>,
}

#[derive(Clone, Default)]
struct Message {
    from: String,
    to: Vec<String>,
    bytes: Vec<u8>,
}

impl Handler for Mailbox {
    fn mail(&mut self, _: IpAddr, _: &str, from: &str) -> Response {
        self.current = Message {
            from: from.to_owned(),
            ..Message::default()
        };
        response::OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        self.current.to.push(to.to_owned());
        response::OK
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.push(self.current.clone());
        response::OK
    }
}

/// Starts the server on a free port. Its threads end with the test's process.
fn open(mailbox: &Mailbox) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let mut server = Server::new(mailbox.clone());
    server
        .with_name("desk.example")
        .with_ssl(SslConfig::None)
        .expect("no TLS")
        .with_tcp_listener(listener);
    std::thread::spawn(move || server.serve().expect("it serves"));
    port
}

#[tokio::test]
async fn another_server_gets_every_byte() {
    const REQUESTS: usize = 5;
    let mailbox = Mailbox::default();
    let port = open(&mailbox);
    let harness = Harness::open(&format!(
        "type = \"smtp\"\nurl = \"smtp://127.0.0.1:{port}\"\n\
         recipient = \"queue@desk.example\"\nenvelope_from = \"gate@corp.example\""
    ))
    .await;
    let workers = harness.start();
    for number in 0..REQUESTS {
        harness.mail("shop", number).await;
    }
    until("delivered", async || {
        harness
            .in_state("shop", RequestState::Delivered)
            .await
            .len()
            == REQUESTS
    })
    .await;
    workers.drain().await;

    let mut taken = mailbox
        .taken
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    taken.sort_by_key(|message| message.bytes.iter().rev().copied().collect::<Vec<u8>>());
    assert_eq!(taken.len(), REQUESTS);
    let requests = harness.in_state("shop", RequestState::Delivered).await;
    for message in taken {
        assert_eq!(message.from, "gate@corp.example");
        assert_eq!(message.to, ["queue@desk.example"]);
        let text = String::from_utf8(message.bytes).expect("ASCII");
        let (added, original) = text.split_once("From: ").expect("two parts");
        assert!(
            added.starts_with("Received: from mta.corp.example ([127.0.0.1])\r\n"),
            "{added}"
        );
        let id = added
            .split_once("X-Vestibule-Request: ")
            .and_then(|(_, rest)| rest.split_once("\r\n"))
            .expect("an id")
            .0;
        let request = requests.iter().find(|request| request.to_string() == id);
        let request = harness.store.request(*request.expect("one of ours")).await;
        let ledger = request.expect("read").expect("there").ledger;
        let raw = harness
            .store
            .raw(ledger)
            .await
            .expect("read")
            .expect("kept");
        assert_eq!(format!("From: {original}").as_bytes(), raw);
    }
}
