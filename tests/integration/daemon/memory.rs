//! Memory of queued requests and of dropped messages: many large ones are delivered concurrently to every type of
//! destination that can stream, or decided again at the same time, in little memory.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};

use mailin_embedded::{Handler, Response, Server, SslConfig, response};

use crate::support::client::{Smtp, post_to_api};
use crate::support::harness::{Harness, STANDARD, token, wait_for};

/// Size of each request, and the number of requests for each destination.
const OCTETS: usize = 8 << 20;
const REQUESTS: usize = 8;

const PORTALS: [&str; 4] = ["folder", "program", "server", "post"];

/// Maximum growth of the daemon's memory in octets: half of what is being delivered at the same time. It includes
/// the database's own caches, and the allocator's arenas of each thread.
const MAX_MEMORY: u64 = 128 << 20;

/// Accepts mail and discards it.
#[derive(Clone)]
struct Nobody;

impl Handler for Nobody {
    fn mail(&mut self, _: IpAddr, _: &str, _: &str) -> Response {
        response::OK
    }

    fn data(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

fn mail_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut server = Server::new(Nobody);
    server
        .with_name("desk.example")
        .with_ssl(SslConfig::None)
        .expect("no TLS")
        .with_num_threads(8)
        .with_tcp_listener(listener);
    std::thread::spawn(move || server.serve().expect("it serves"));
    address
}

/// Accepts POST requests and discards them.
fn web_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || -> io::Result<()> {
                let mut stream = BufReader::new(stream);
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line)?;
                    let line = line.trim_end().to_ascii_lowercase();
                    if let Some(octets) = line.strip_prefix("content-length: ") {
                        length = octets.parse().expect("a number");
                    } else if line.is_empty() {
                        break;
                    }
                }
                let body = (&mut stream).take(length);
                io::copy(&mut { body }, &mut io::sink())?;
                let stream = stream.get_mut();
                stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
            });
        }
    });
    address
}

/// A line of `/proc/PID/status`, in octets.
fn memory(harness: &Harness, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", harness.process())).expect("alive");
    let line = status.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|text| text.parse::<u64>().ok())
        .expect("kB")
        << 10
}

#[test]
fn large_requests_go_out_in_little_memory() {
    let destinations = [
        "type = \"maildir\"\npath = \"desk\"".to_owned(),
        "type = \"command\"\nprogram = \"/bin/sh\"\nargs = [\"-c\", \"cat >/dev/null\"]\n\
         concurrency = 8"
            .to_owned(),
        format!(
            "type = \"smtp\"\nurl = \"smtp://{}\"\nconcurrency = 8\n\
             envelope_from = \"gate@corp.example\"",
            mail_server()
        ),
        format!(
            "type = \"webhook\"\nurl = \"http://{}/\"\nallow_private = true\nconcurrency = 8",
            web_server()
        ),
    ];
    let mut configuration = STANDARD.replace(
        "external.restrict_domains = true",
        "external.restrict_domains = false",
    );
    for (portal, destination) in PORTALS.iter().zip(destinations) {
        let section = format!(
            "[[portal]]\nname = \"{portal}\"\naddresses = [\"{portal}@corp.example\"]\n\
             destination = \"{portal}\"\n\n[destination.{portal}]\n{destination}\n\n[destination.desk]"
        );
        configuration = configuration.replacen("[destination.desk]", &section, 1);
    }
    let mut harness = Harness::start(&configuration);
    for portal in PORTALS {
        harness.json(&["deliveries", "pause", portal]);
    }
    let line = [&[b'x'; 76][..], b"\r\n"].concat();
    let body = line.repeat(OCTETS / line.len() + 1);
    let send_all = |portal: &str| {
        for number in 0..REQUESTS {
            // A sender for each, since the requests of one sender are delivered one at a time.
            let from = format!("{portal}{number}@shop.example");
            let head = format!("From: {from}\r\nSubject: Large\r\n\r\n");
            let message = [head.as_bytes(), &body].concat();
            let to = format!("{portal}@corp.example");
            let reply = Smtp::connect(harness.smtp)
                .and_then(|mut client| client.send(&from, &to, &message))
                .expect("an answer");
            assert!(reply.starts_with("250"), "{reply}");
        }
    };
    std::thread::scope(|scope| {
        for portal in PORTALS {
            scope.spawn(|| send_all(portal));
        }
    });
    // The memory of receiving is not counted.
    harness.restart();
    let before = memory(&harness, "VmRSS");
    for portal in PORTALS {
        harness.json(&["deliveries", "resume", portal]);
    }
    wait_for("all deliveries", || {
        let shown = harness.json(&["requests", "list", "--state", "delivered"]);
        (shown.len() == REQUESTS * PORTALS.len()).then_some(())
    });
    let peak = memory(&harness, "VmHWM");
    println!("{before} octets before, {peak} at most");
    assert!(
        peak < before + MAX_MEMORY,
        "{} MiB more than before",
        (peak - before) >> 20
    );
    let whole = harness.delivered();
    assert!(whole.len() == REQUESTS && whole.iter().all(|message| message.len() > OCTETS));
}

/// With `mail.spam`, the message itself is searched again.
#[test]
fn large_dropped_messages_are_decided_again_in_little_memory() {
    let mut harness = Harness::start(&format!(
        "{STANDARD}\n[mail]\nspam = [\"X-Spam-Flag: YES\"]\n"
    ));
    let many = 4 * REQUESTS;
    let line = [&[b'x'; 76][..], b"\r\n"].concat();
    let body = line.repeat(OCTETS / line.len() + 1);
    for number in 0..many {
        let head = format!("From: eve{number}@elsewhere.example\r\nSubject: Large\r\n\r\n");
        let message = [head.as_bytes(), &body].concat();
        let reply = Smtp::connect(harness.smtp)
            .and_then(|mut client| client.send("mta@x.example", "it-help@corp.example", &message))
            .expect("an answer");
        assert!(reply.starts_with("250"), "{reply}");
    }
    let token = token(&harness);
    // The memory of receiving is not counted.
    harness.restart();
    let before = memory(&harness, "VmRSS");
    let wanted = serde_json::json!({ "domain": "elsewhere.example" });
    let (status, answer) = post_to_api(harness.admin, &token, "/dropped/recover", &wanted);
    assert_eq!(status, 200, "{answer}");
    let stays = answer.matches("domain_not_allowed").count();
    assert_eq!(stays, many, "{answer}");
    let peak = memory(&harness, "VmHWM");
    println!("{before} octets before, {peak} at most");
    assert!(
        peak < before + MAX_MEMORY / 2,
        "{} MiB more than before",
        (peak - before) >> 20
    );
}
