//! The whole way of a message: from the first connection of the client until the last message is at the help desk,
//! and recorded.
//!
//! The senders are customers whose mail is accepted at once. Postfix delivers to a virtual mailbox, which is a
//! Maildir too. `PEERS_PROGRAMS="old=/path/to/vestibule new=/another"` measures these programs in alternation,
//! instead of the one of this build, and compares them with the first.

use std::fmt::Write as _;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::postfix::Postfix;
use super::process::usage;
use super::support::harness::{Harness, STANDARD, wait_for};
use super::{Result, keep, master, median, settle, touch_memory, wait_for_extended_log};

/// Destination of the messages.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Destination {
    Maildir,
    Smtp,
    Webhook,
}

/// One row of the table.
#[derive(Clone, Copy)]
pub(super) struct Way {
    to: Destination,
    senders: usize,
    octets: usize,
    pub(super) messages: usize,
}

const KIB: usize = 1024;

const WAYS: [Way; 8] = [
    Way::new(Destination::Maildir, 20, 5 * KIB, 6000),
    Way::new(Destination::Maildir, 1, 5 * KIB, 3000),
    Way::new(Destination::Smtp, 20, 5 * KIB, 4000),
    Way::new(Destination::Smtp, 1, 5 * KIB, 2000),
    Way::new(Destination::Webhook, 20, 5 * KIB, 4000),
    Way::new(Destination::Webhook, 1, 5 * KIB, 2000),
    Way::new(Destination::Maildir, 20, 100 * KIB, 1000),
    Way::new(Destination::Maildir, 20, 1024 * KIB, 150),
];

/// Concurrent connections of the client.
const CONNECTIONS: usize = 20;

impl Way {
    pub(super) const fn new(
        to: Destination,
        senders: usize,
        octets: usize,
        messages: usize,
    ) -> Self {
        Self {
            to,
            senders,
            octets,
            messages,
        }
    }

    /// The same way with fewer messages.
    pub(super) fn part(self, share: usize) -> Self {
        Self {
            messages: self.messages / share,
            ..self
        }
    }

    pub(super) fn name(&self) -> String {
        let to = match self.to {
            Destination::Maildir => "Maildir",
            Destination::Smtp => "SMTP",
            Destination::Webhook => "webhook",
        };
        format!("{to}, {} KiB, {} senders", self.octets / KIB, self.senders)
    }
}

pub fn table(quick: bool, rounds: usize) {
    let programs = programs();
    let names: Vec<_> = programs.iter().map(|(name, _)| name.as_str()).collect();
    println!(
        "\nthe whole way: {} in messages/s with µs of CPU each; the last × the first, and × Postfix\n",
        names.join(", ")
    );
    for way in WAYS {
        let way = way.part(if quick { 10 } else { 1 });
        let mut ours: Vec<Vec<Result>> = programs.iter().map(|_| Vec::new()).collect();
        let mut theirs = Vec::new();
        for _ in 0..rounds {
            for ((_, program), results) in programs.iter().zip(&mut ours) {
                results.push(vestibule(way, program.as_deref()));
            }
            if way.to == Destination::Maildir {
                theirs.push(postfix(way));
            }
        }
        let ours: Vec<Result> = ours.into_iter().map(median).collect();
        let mut line = format!("{:<32}", way.name());
        for result in &ours {
            line += &render(result, way);
        }
        if let [first, .., last] = &ours[..] {
            let _ = write!(line, "  × {:.2}", last.rate / first.rate);
        }
        if let (Some(last), false) = (ours.last(), theirs.is_empty()) {
            let postfix = median(theirs);
            line += &render(&postfix, way);
            let _ = write!(line, "  × {:.2}", last.rate / postfix.rate);
        }
        println!("{line}");
    }
}

fn render(result: &Result, way: Way) -> String {
    let each = result.cpu.as_micros() / way.messages as u128;
    format!("  {:>6.0} {each:>5} µs", result.rate)
}

/// Names and paths of the programs; no path for the one of this build.
pub(super) fn programs() -> Vec<(String, Option<PathBuf>)> {
    let Ok(listed) = std::env::var("PEERS_PROGRAMS") else {
        return vec![("vestibule".to_owned(), None)];
    };
    listed
        .split_whitespace()
        .map(|program| {
            let (name, path) = program.split_once('=').expect("name=path");
            (name.to_owned(), Some(PathBuf::from(path)))
        })
        .collect()
}

pub(super) fn vestibule(way: Way, program: Option<&Path>) -> Result {
    let arrived = Arc::new(AtomicUsize::new(0));
    let desk = "type = \"maildir\"\npath = \"desk\"";
    let configuration = match way.to {
        Destination::Maildir => STANDARD.to_owned(),
        Destination::Smtp => {
            let server = serve(&arrived, smtp_session);
            let smtp = format!("type = \"smtp\"\nurl = \"smtp://{server}\"");
            STANDARD.replace(desk, &smtp)
        }
        Destination::Webhook => {
            let server = serve(&arrived, http_session);
            let webhook = format!(
                "type = \"webhook\"\nformat = \"raw\"\nallow_private = true\nurl = \"http://{server}/\""
            );
            STANDARD.replace(desk, &webhook)
        }
    };
    let mut harness = Harness::at_rest(&configuration);
    if let Some(program) = program {
        program.clone_into(&mut harness.program);
    }
    harness.restart();
    wait_for_extended_log(&harness);
    let new = harness.path("desk/new");
    let (smtp, process) = (harness.smtp, harness.process());
    let result = measure(way, smtp, process, || match way.to {
        Destination::Maildir => count(&new),
        Destination::Smtp | Destination::Webhook => arrived.load(Ordering::Relaxed),
    });
    harness.kill();
    keep(harness);
    result
}

pub(super) fn postfix(way: Way) -> Result {
    let postfix = Postfix::start(
        &["it-help@corp.example"],
        "smtpd_client_connection_count_limit = 0\nsmtpd_error_sleep_time = 0\n\
         default_process_limit = 200\nmessage_size_limit = 30000000\n\
         virtual_destination_concurrency_limit = 20\n",
    );
    let new = postfix.folder.path().join("mail/it-help@corp.example/new");
    let result = measure(way, postfix.smtp, master(&postfix), || count(&new));
    postfix.stop();
    keep(postfix);
    result
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn measure(way: Way, server: SocketAddr, process: u32, arrived: impl Fn() -> usize) -> Result {
    touch_memory(way.octets);
    settle();
    let before = usage(process);
    let begin = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|client| std::thread::spawn(move || send(way, server, client)))
        .collect();
    for client in clients {
        client.join().expect("a client");
    }
    wait_for("the last message", || {
        (arrived() >= way.messages).then_some(())
    });
    let elapsed = begin.elapsed();
    let used = usage(process);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = way.messages as f64 / elapsed.as_secs_f64();
    Result {
        rate,
        cpu: used.cpu.saturating_sub(before.cpu),
        peak: used.peak,
    }
}

/// Sends one client's share of the messages over one connection.
fn send(way: Way, server: SocketAddr, client: usize) {
    let stream = TcpStream::connect(server).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let mut replies = BufReader::new(stream.try_clone().expect("a socket"));
    let mut stream = stream;
    let mut command = |text: &[u8]| {
        stream.write_all(text).expect("sent");
        loop {
            let mut line = String::new();
            replies.read_line(&mut line).expect("a reply");
            assert!(line.starts_with(['2', '3']), "{line}");
            if line.as_bytes().get(3) == Some(&b' ') {
                return;
            }
        }
    };
    command(b"");
    command(b"EHLO client.example\r\n");
    let sender = format!("customer{}@partner.example", client % way.senders);
    let line = [&[b'x'; 70][..], b"\r\n"].concat();
    let body = line.repeat(way.octets / line.len());
    for number in (client..way.messages).step_by(CONNECTIONS) {
        command(format!("MAIL FROM:<{sender}>\r\n").as_bytes());
        command(b"RCPT TO:<it-help@corp.example>\r\n");
        command(b"DATA\r\n");
        let header = format!(
            "From: {sender}\r\nTo: it-help@corp.example\r\nSubject: Request {number}\r\n\
             Message-ID: <{number}.{client}@partner.example>\r\n\r\n"
        );
        command(&[header.as_bytes(), &body, b".\r\n"].concat());
    }
    command(b"QUIT\r\n");
}

/// Starts a server that counts what it takes; its threads end with their connections.
fn serve(arrived: &Arc<AtomicUsize>, session: fn(TcpStream, &AtomicUsize)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let arrived = Arc::clone(arrived);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let arrived = Arc::clone(&arrived);
            std::thread::spawn(move || session(stream, &arrived));
        }
    });
    address
}

fn smtp_session(stream: TcpStream, arrived: &AtomicUsize) {
    let _ = stream.set_nodelay(true);
    let Ok(mut replies) = stream.try_clone() else {
        return;
    };
    let mut lines = BufReader::with_capacity(64 * KIB, stream);
    let mut line = Vec::new();
    let mut reply = |text: &[u8]| replies.write_all(text).is_ok();
    let mut goes_on = reply(b"220 desk.example\r\n");
    while goes_on {
        line.clear();
        if lines.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
            return;
        }
        goes_on = match &line[..4.min(line.len())] {
            b"EHLO" => reply(b"250-desk.example\r\n250 8BITMIME\r\n"),
            b"DATA" => {
                let is_begun = reply(b"354 go\r\n");
                while line != b".\r\n" {
                    line.clear();
                    if lines.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                        return;
                    }
                }
                arrived.fetch_add(1, Ordering::Relaxed);
                is_begun && reply(b"250 ok\r\n")
            }
            _ => reply(b"250 ok\r\n"),
        };
    }
}

fn http_session(stream: TcpStream, arrived: &AtomicUsize) {
    let _ = stream.set_nodelay(true);
    let Ok(mut replies) = stream.try_clone() else {
        return;
    };
    let mut lines = BufReader::with_capacity(64 * KIB, stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = (&mut lines).take(length);
        if std::io::copy(&mut body, &mut std::io::sink()).is_err() {
            return;
        }
        arrived.fetch_add(1, Ordering::Relaxed);
        if replies
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .is_err()
        {
            return;
        }
    }
}
