//! A node that stops while it sends a message to the server, with the lock of the writer. The server waits for the rest
//! of the message, without its timeout for idle transactions.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use vestibule::store::StoreError;

use crate::held_transaction::Held;
use crate::store_harness::{accept, open_seeded};
use crate::support::postgres::{Schema, server};

/// Version 3.0 of the protocol.
const VERSION: u32 = 3 << 16;

/// A session of a node.
struct NodeSession(UnixStream);

impl NodeSession {
    fn open(schema: &Schema) -> Self {
        let socket = server().folder.join(".s.PGSQL.5432");
        let mut session = Self(UnixStream::connect(socket).expect("a connection"));
        let name = format!("vestibule {}", schema.name);
        let mut body = VERSION.to_be_bytes().to_vec();
        for text in [
            "user",
            "vestibule",
            "database",
            "vestibule",
            "application_name",
            &name,
            "",
        ] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        session.send(&[length_of(&body), body].concat());
        session.wait_until_ready();
        session
    }

    fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).expect("sent");
    }

    /// Runs statements.
    fn run(&mut self, sql: &str) {
        self.send(&message(b'Q', &[sql.as_bytes(), &[0]].concat()));
        self.wait_until_ready();
    }

    /// Sends a Parse message and the beginning of a Bind message.
    fn stop_in_a_message(&mut self) {
        let parse = message(b'P', b"\0SELECT $1::bytea\0\0\0");
        let bind = message(b'B', &vec![0; 100_000]);
        self.send(&[&parse[..], &bind[..1000]].concat());
    }

    fn wait_until_ready(&mut self) {
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).expect("a message");
            let [kind, length @ ..] = head;
            let length = usize::try_from(u32::from_be_bytes(length)).expect("a length");
            let mut body = vec![0; length - 4];
            self.0.read_exact(&mut body).expect("its body");
            match kind {
                b'E' => panic!("{}", String::from_utf8_lossy(&body)),
                b'Z' => return,
                _ => {}
            }
        }
    }

    /// Reads until the server closes the connection.
    fn read_to_end(mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// The length of a message, which counts itself.
fn length_of(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short");
    length.to_be_bytes().to_vec()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &length_of(body), body].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_in_a_message_with_the_lock_loses_it() {
    let schema = server().schema();
    let store = open_seeded(&schema.url).await;
    let mut stopped = NodeSession::open(&schema);
    stopped.run(&format!(
        "BEGIN; UPDATE {}.writer SET next_number = next_number + 1",
        schema.name
    ));
    stopped.stop_in_a_message();

    let waits = accept(&store, "ann@corp.example", "waits@x").await;
    assert!(matches!(waits, Err(StoreError::Busy(_))), "{waits:?}");
    let passes = accept(&store, "ann@corp.example", "passes@x").await;
    passes.expect("accepted");
    let last = stopped.read_to_end();
    assert!(last.contains("57P01"), "{last}");
}

/// A session of another program is not ended, even if it has the lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_an_operator_keeps_the_lock() {
    let schema = server().schema();
    let store = open_seeded(&schema.url).await;
    let held = Held::lock(&schema);
    let waits = accept(&store, "ann@corp.example", "waits@x").await;
    assert!(matches!(waits, Err(StoreError::Busy(_))), "{waits:?}");
    // Fails if the session was ended.
    held.commit();
    let passes = accept(&store, "ann@corp.example", "passes@x").await;
    passes.expect("accepted");
}
