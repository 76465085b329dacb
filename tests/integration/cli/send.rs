//! `vestibule replay --send`, into an SMTP server of another implementation.

use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex};

use mailin_embedded::{Handler, Response, Server, SslConfig, response};

use super::harness::Harness;

/// Received envelopes and contents, in order. Mail for `hr` is refused.
#[derive(Clone, Default)]
struct Sink {
    text: String,
    received: Arc<Mutex<Vec<String>>>,
}

impl Handler for Sink {
    fn mail(&mut self, _: IpAddr, _: &str, from: &str) -> Response {
        self.text = format!("{from} ");
        response::OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        if to.starts_with("people@") {
            return Response::custom(550, "5.1.1 nobody".to_owned());
        }
        self.text.push_str(to);
        self.text.push('\n');
        response::OK
    }

    fn data(&mut self, line: &[u8]) -> std::io::Result<()> {
        self.text.push_str(&String::from_utf8_lossy(line));
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let text = std::mem::take(&mut self.text);
        self.received.lock().expect("a lock").push(text);
        response::OK
    }
}

fn sink() -> (Sink, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let sink = Sink::default();
    let mut server = Server::new(sink.clone());
    server
        .with_ssl(SslConfig::None)
        .expect("no TLS")
        .with_tcp_listener(listener);
    // The server cannot be stopped; it ends with the test's process.
    std::thread::spawn(move || {
        server.serve().expect("a server that runs");
    });
    (sink, address)
}

#[test]
fn messages_are_sent_unchanged_and_refusals_are_reported() {
    let harness = Harness::new();
    let (sink, address) = sink();
    let body = "Subject: x\n\nline\n.dot\n";
    let one = harness.write(
        "1.eml",
        &format!("Return-Path: <ann@corp.example>\nDelivered-To: it-help+7@corp.example\n{body}"),
    );
    let two = harness.write("2.eml", &format!("To: people@corp.example\n{body}"));
    let three = harness.write("3.eml", &format!("To: unknown@corp.example\r\n{body}"));
    let ran = harness.run(&["replay", &one, &two, &three, "--send", &address, "--json"]);
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    let rows: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let accepted: Vec<_> = rows.iter().map(|row| row["accepted"] == true).collect();
    assert_eq!(accepted, [true, false, true]);
    assert_eq!(rows[1]["portal"], "hr");
    assert!(
        rows[1]["reply"].to_string().contains("nobody"),
        "{}",
        rows[1]
    );
    let received = sink.received.lock().expect("a lock").clone();
    assert_eq!(
        received,
        [
            "ann@corp.example it-help+7@corp.example\nReturn-Path: <ann@corp.example>\r\n\
             Delivered-To: it-help+7@corp.example\r\nSubject: x\r\n\r\nline\r\n.dot\r\n",
            "replay@replay.localhost it-help@corp.example\nTo: unknown@corp.example\r\n\
             Subject: x\r\n\r\nline\r\n.dot\r\n",
        ]
    );
}

#[test]
fn an_unreachable_server_is_a_failure() {
    let harness = Harness::new();
    let one = harness.write("1.eml", "Subject: x\n\n");
    // A port below the ephemeral range, so that no other process takes it meanwhile.
    let nobody = ["replay", &one, "--send", "127.0.0.1:1"];
    assert_eq!(harness.run(&nobody).status, 1);
    assert_eq!(
        harness.run(&["replay", &one, "--send", "nowhere"]).status,
        2
    );
}
