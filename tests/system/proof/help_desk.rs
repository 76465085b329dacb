//! A help desk that is always available: it survives the daemon's deaths and records every copy.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use mailin_embedded::{Handler, Response, Server, SslConfig, response};

/// One delivered copy of a request.
#[derive(Clone)]
pub struct Copy {
    /// `X-Vestibule-Request`.
    pub request: String,
    /// Hash of the original message, which follows the added fields.
    pub print: u64,
}

impl Copy {
    /// Reads the local part of the Message-ID of a delivered message, and its record.
    pub fn read(bytes: &[u8]) -> (String, Self) {
        let text = String::from_utf8_lossy(bytes);
        let field = |name: &str, end: &str| {
            let value = &text[text.find(name)? + name.len()..];
            Some(value[..value.find(end)?].trim().to_owned())
        };
        let marker = field("Message-ID: <", "@").expect("a Message-ID");
        let original = text.find("\nFrom: ").expect("From comes first") + 1;
        let copy = Self {
            request: field("X-Vestibule-Request:", "\r\n").expect("a request's id"),
            print: Self::print_of(&bytes[original..]),
        };
        (marker, copy)
    }

    /// Hash of a message; equal hashes mean equal messages.
    pub fn print_of(bytes: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        hasher.finish()
    }
}

#[derive(Clone, Default)]
pub struct HelpDesk {
    pub port: u16,
    current: Vec<u8>,
    copies: Arc<Mutex<HashMap<String, Vec<Copy>>>>,
}

impl HelpDesk {
    /// Opens on a free port. Its threads end with the test's process.
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let help_desk = Self {
            port: listener.local_addr().expect("bound").port(),
            ..Self::default()
        };
        let mut server = Server::new(help_desk.clone());
        server
            .with_name("desk.example")
            .with_ssl(SslConfig::None)
            .expect("no TLS")
            // A thread that was reading from a killed daemon is free again soon, but not at once.
            .with_num_threads(64)
            .with_tcp_listener(listener);
        std::thread::spawn(move || server.serve().expect("it serves"));
        help_desk
    }

    /// All copies, by the local part of the Message-ID.
    pub fn copies(&self) -> HashMap<String, Vec<Copy>> {
        self.copies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Handler for HelpDesk {
    fn data_start(&mut self, _: &str, _: &str, _: bool, _: &[String]) -> Response {
        self.current.clear();
        response::OK
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current.extend_from_slice(bytes);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let bytes = std::mem::take(&mut self.current);
        let (marker, copy) = Copy::read(&bytes);
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        copies.entry(marker).or_default().push(copy);
        response::OK
    }
}
