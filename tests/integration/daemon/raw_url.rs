//! A message that is too long for the JSON of a webhook, fetched from the public pages.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use serde_json::Value;

use crate::support::client::Smtp;
use crate::support::harness::{Harness, STANDARD};

/// Reads the head and the body of a request.
fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let start = head.len();
        stream.read_line(&mut head)?;
        let line = head[start..].trim_end().to_ascii_lowercase();
        if let Some(octets) = line.strip_prefix("content-length: ") {
            length = octets.parse().expect("a number");
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}

/// A help desk, and the bodies that were posted to it.
fn help_desk() -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let (sender, bodies) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            if let Ok((_, body)) = read(&mut stream) {
                let _ = sender.send(body);
            }
            let reply = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            let _ = stream.get_mut().write_all(reply);
        }
    });
    (address, bodies)
}

fn get(server: SocketAddr, path: &str) -> (String, Vec<u8>) {
    let mut stream = BufReader::new(TcpStream::connect(server).expect("it listens"));
    let request = format!("GET {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n");
    stream
        .get_mut()
        .write_all(request.as_bytes())
        .expect("sent");
    read(&mut stream).expect("an answer")
}

#[test]
fn a_long_message_is_fetched_with_the_link_in_the_json() {
    let (help_desk, bodies) = help_desk();
    let destination = format!(
        "type = \"webhook\"\nurl = \"http://{help_desk}/\"\nallow_private = true\nformat = \"json\""
    );
    let configuration = STANDARD
        .replace(
            "external.restrict_domains = true",
            "external.restrict_domains = false",
        )
        .replace("type = \"maildir\"\npath = \"desk\"", &destination);
    let harness = Harness::start(&configuration);
    // Neither the JSON nor the raw message contains the mbox line and the fields of our names.
    let head = b"From: kim@shop.example\r\nSubject: Long\r\nTo: it-help@corp.example\r\n";
    let marks = b"X-Vestibule-Account: internal\r\n";
    let mut rest = b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n".to_vec();
    while rest.len() < 3 << 19 {
        rest.extend_from_slice(b".caf\xe9 and so on, and so on\r\n");
    }
    let mut client = Smtp::connect(harness.smtp).expect("it listens");
    let line = b"From kim@shop.example Mon Nov 23 10:00:00 2026\r\n";
    let sent = [&line[..], head, marks, &rest].concat();
    let reply = client
        .send("kim@shop.example", "it-help@corp.example", &sent)
        .expect("an answer");
    assert!(reply.starts_with("250"), "{reply}");

    let body = bodies
        .recv_timeout(crate::support::harness::DEADLINE)
        .expect("a post");
    let json: Value = serde_json::from_slice(&body).expect("JSON");
    let message = &json["data"]["message"];
    assert_eq!(message["subject"], "Long");
    assert!(message["raw"].is_null());
    let url = message["raw_url"].as_str().expect("a link");
    let path = url
        .strip_prefix(&format!("http://{}", harness.http))
        .expect("a link on public_url");
    let (answer, found) = get(harness.http, path);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: message/rfc822\r\n"),
        "{answer}"
    );
    assert!(
        found == [&head[..], &rest].concat(),
        "{} octets",
        found.len()
    );

    let (signed, mac) = path.rsplit_once('.').expect("a signature");
    let (ledger, expiry) = signed.rsplit_once('.').expect("an expiry");
    let expiry: u64 = expiry.parse().expect("seconds");
    let other = if mac.starts_with('A') { "B" } else { "A" };
    for changed in [
        format!("{signed}.{other}{}", &mac[1..]),
        format!("{ledger}.{}.{mac}", expiry + 1),
        format!("{signed}."),
    ] {
        let (answer, _) = get(harness.http, &changed);
        assert!(answer.starts_with("HTTP/1.1 404"), "{changed}: {answer}");
    }
    assert!(!harness.log().contains(mac), "no link is in the log");
}
