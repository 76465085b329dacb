//! One HTTP request with exactly the given fields, and the raw answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::harness::DEADLINE;

pub struct Answer {
    pub status: u16,
    head: String,
}

impl Answer {
    /// The values of a field, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }
}

pub fn ask(server: SocketAddr, method: &str, path: &str, fields: &[&str], body: &str) -> Answer {
    let mut stream = TcpStream::connect(server).expect("the server");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let named = fields.iter().any(|field| field.starts_with("Host:"));
    let host = if named {
        String::new()
    } else {
        format!("Host: {server}\r\n")
    };
    let fields: String = fields.iter().flat_map(|field| [*field, "\r\n"]).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\n{host}{fields}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.expect("a status"),
        head: head.to_owned(),
    }
}
