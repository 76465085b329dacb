//! Two minimal clients for the tests: one for SMTP, one for HTTP.

use super::harness::DEADLINE;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Speaks SMTP a line at a time.
pub struct Smtp {
    stream: BufReader<TcpStream>,
}

impl Smtp {
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        let mut smtp = Self {
            stream: BufReader::new(stream),
        };
        smtp.reply()?;
        smtp.say("EHLO mx.corp.example")?;
        Ok(smtp)
    }

    /// Sends a command and returns the whole reply.
    pub fn say(&mut self, line: &str) -> std::io::Result<String> {
        self.stream
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Reads a reply without sending a command.
    pub fn hear(&mut self) -> std::io::Result<String> {
        self.reply()
    }

    fn reply(&mut self) -> std::io::Result<String> {
        let mut whole = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let last = line.as_bytes().get(3) != Some(&b'-');
            whole.push_str(&line);
            if last {
                return Ok(whole);
            }
        }
    }

    /// One transaction up to the reply after the final dot.
    pub fn send(&mut self, from: &str, to: &str, message: &[u8]) -> std::io::Result<String> {
        self.send_to(from, &[to], message)
    }

    /// As [`send`](Self::send), for several recipients, all of which must be accepted.
    pub fn send_to(&mut self, from: &str, to: &[&str], message: &[u8]) -> std::io::Result<String> {
        self.say(&format!("MAIL FROM:<{from}>"))?;
        for recipient in to {
            let answer = self.say(&format!("RCPT TO:<{recipient}>"))?;
            if !answer.starts_with("250") {
                return Ok(answer);
            }
        }
        self.say("DATA")?;
        let mut body = Vec::with_capacity(message.len() + 8);
        for line in message.split_inclusive(|&byte| byte == b'\n') {
            if line.starts_with(b".") {
                body.push(b'.');
            }
            body.extend_from_slice(line);
        }
        body.extend_from_slice(b".\r\n");
        self.stream.get_mut().write_all(&body)?;
        self.reply()
    }
}

/// A plain message. `marker` is the local part of its Message-ID and occurs in its body.
pub fn message(from: &str, marker: &str) -> Vec<u8> {
    format!(
        "From: {from}\r\n\
         To: it-help@corp.example\r\n\
         Subject: About {marker}\r\n\
         Date: Mon, 23 Nov 2026 09:00:00 +0000\r\n\
         Message-ID: <{marker}@client.example>\r\n\
         \r\n\
         The body of {marker}.\r\n\
         .a line that begins with a dot\r\n"
    )
    .into_bytes()
}

/// Sends one message, whose From may have a display name, and expects it to be accepted.
pub fn send(smtp: SocketAddr, from: &str, marker: &str) -> String {
    let bare = from
        .rsplit('<')
        .next()
        .unwrap_or(from)
        .trim_end_matches('>');
    let message = message(from, marker);
    let reply = Smtp::connect(smtp)
        .and_then(|mut client| client.send(bare, "it-help@corp.example", &message))
        .expect("the daemon answers");
    assert!(reply.starts_with("250"), "{reply}");
    reply
}

/// Returns the status and the whole text of an HTTP answer.
pub fn http(address: SocketAddr, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, String) {
    try_http(address, method, path, form).expect("an answer")
}

/// As [`http`], for a server that may disappear.
pub fn try_http(
    address: SocketAddr,
    method: &str,
    path: &str,
    form: &[(&str, &str)],
) -> std::io::Result<(u16, String)> {
    let body = form
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("&");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((status, answer))
}

/// Adds an account through the API.
pub fn add_customer(address: SocketAddr, token: &str, email: &str) -> (u16, String) {
    let body = serde_json::json!({ "address": email });
    post_to_api(address, token, "/customers", &body)
}

/// Posts JSON to a route of the API. Returns the status and the whole answer.
pub fn post_to_api(
    address: SocketAddr,
    token: &str,
    route: &str,
    body: &serde_json::Value,
) -> (u16, String) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).expect("the API answers");
    stream.set_read_timeout(Some(DEADLINE)).expect("an option");
    write!(
        stream,
        "POST /api/v1{route} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split_whitespace().nth(1);
    let status = status.and_then(|code| code.parse().ok());
    (status.expect("a status"), answer)
}
