//! A load generator for any SMTP server: many connections over a few threads. Each write ends one message and
//! begins the next (RFC 2920 3.1), so that the client takes little CPU.
//!
//! In: an address and the load. Out: messages a second, and the time from the end of a message to its reply.
//! Every reply is read and must be the expected one.
//!
//! `cargo run --release --example load -- 127.0.0.1:2525 --to it-help@corp.example --connections 20`

use std::io::{Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream as Stream;
use tokio::task::JoinSet;

/// Sends messages to an SMTP server as fast as it takes them.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server, as `127.0.0.1:2525`
    server: SocketAddr,
    /// The recipient of the messages
    #[arg(long)]
    to: String,
    /// The sender; `%` is replaced by a number from 0 to --senders
    #[arg(long, default_value = "bob%@partner.example")]
    from: String,
    #[arg(long, default_value_t = 1)]
    senders: usize,
    #[arg(long, default_value_t = 20)]
    connections: usize,
    /// Total number of messages
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// Size of a message in octets
    #[arg(long, default_value_t = 5 * 1024)]
    size: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Maximum messages a second
    #[arg(long)]
    rate: Option<u32>,
    /// Waits for each answer before the next command, as most clients do.
    #[arg(long)]
    one_by_one: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = greets(&arguments) {
        eprintln!(
            "{} does not greet as an SMTP server: {error}",
            arguments.server
        );
        return ExitCode::FAILURE;
    }
    match run(&Arc::new(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Checked once instead of by every connection.
fn greets(arguments: &Arguments) -> Result<(), Error> {
    let mut stream = TcpStream::connect(arguments.server)?;
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting)?;
    if &greeting != b"220 " {
        return Err(Error::other(String::from_utf8_lossy(&greeting)));
    }
    stream.write_all(b"QUIT\r\n")
}

fn run(arguments: &Arc<Arguments>) -> Result<(), Error> {
    let next = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let threads: Vec<_> = (0..arguments.threads)
        .map(|thread| {
            let (arguments, next) = (arguments.clone(), next.clone());
            std::thread::spawn(move || on_thread(thread, &arguments, &next, begin))
        })
        .collect();
    let mut waits = Vec::new();
    for thread in threads {
        waits.extend(
            thread
                .join()
                .map_err(|_| Error::other("a thread failed"))??,
        );
    }
    report(waits, begin.elapsed());
    Ok(())
}

fn report(mut waits: Vec<Duration>, elapsed: Duration) {
    waits.sort_unstable();
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100].as_micros();
    let micros = elapsed.as_micros().max(1);
    println!(
        "{{\"messages\":{},\"per_second\":{},\"p50_us\":{},\"p99_us\":{},\"max_us\":{}}}",
        waits.len(),
        waits.len() as u128 * 1_000_000 / micros,
        at(50),
        at(99),
        at(100),
    );
}

/// The connections of one thread; returns the time from the end of each message to its reply.
#[tokio::main(flavor = "current_thread")]
async fn on_thread(
    thread: usize,
    arguments: &Arc<Arguments>,
    next: &Arc<AtomicUsize>,
    begin: Instant,
) -> Result<Vec<Duration>, Error> {
    let mut connections = JoinSet::new();
    for _ in (thread..arguments.connections).step_by(arguments.threads) {
        let (arguments, next) = (arguments.clone(), next.clone());
        connections.spawn(async move {
            Client::connect(&arguments, &next, begin)
                .await?
                .send_all()
                .await
        });
    }
    let mut waits = Vec::new();
    while let Some(done) = connections.join_next().await {
        waits.extend(done.map_err(Error::other)??);
    }
    Ok(waits)
}

struct Client {
    stream: BufReader<Stream>,
    arguments: Arc<Arguments>,
    next: Arc<AtomicUsize>,
    begin: Instant,
    line: String,
    output: Vec<u8>,
}

impl Client {
    async fn connect(
        arguments: &Arc<Arguments>,
        next: &Arc<AtomicUsize>,
        begin: Instant,
    ) -> Result<Self, Error> {
        let stream = Stream::connect(arguments.server).await?;
        stream.set_nodelay(true)?;
        let mut client = Self {
            stream: BufReader::new(stream),
            arguments: arguments.clone(),
            next: next.clone(),
            begin,
            line: String::new(),
            output: Vec::new(),
        };
        client.expect("220").await?;
        client.output.extend_from_slice(b"EHLO load.example\r\n");
        client.expect("250").await?;
        Ok(client)
    }

    /// The number of the next message, at its scheduled time; `None` when all are sent.
    async fn take(&self) -> Option<usize> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.arguments.messages {
            return None;
        }
        if let Some(rate) = self.arguments.rate {
            let due = self.begin
                + Duration::from_secs(1) * u32::try_from(number).unwrap_or(u32::MAX) / rate;
            tokio::time::sleep_until(due.into()).await;
        }
        Some(number)
    }

    async fn send_all(mut self) -> Result<Vec<Duration>, Error> {
        let mut waits = Vec::new();
        let mut number = self.take().await;
        if let Some(number) = number {
            self.open(number).await?;
        }
        while let Some(current) = number {
            self.body(current);
            let sent = Instant::now();
            let following = if self.arguments.one_by_one || self.arguments.rate.is_some() {
                self.expect("250").await?;
                waits.push(sent.elapsed());
                let following = self.take().await;
                if let Some(following) = following {
                    self.open(following).await?;
                }
                following
            } else {
                let following = self.take().await;
                if let Some(following) = following {
                    self.commands(following);
                }
                self.expect("250").await?;
                waits.push(sent.elapsed());
                if following.is_some() {
                    self.granted().await?;
                }
                following
            };
            number = following;
        }
        self.output.extend_from_slice(b"QUIT\r\n");
        self.expect("221").await?;
        Ok(waits)
    }

    fn sender(&self, number: usize) -> String {
        let who = (number % self.arguments.senders.max(1)).to_string();
        self.arguments.from.replace('%', &who)
    }

    /// All commands before the body, and their replies.
    async fn open(&mut self, number: usize) -> Result<(), Error> {
        if !self.arguments.one_by_one {
            self.commands(number);
            return self.granted().await;
        }
        let mail = format!("MAIL FROM:<{}>\r\n", self.sender(number));
        let rcpt = format!("RCPT TO:<{}>\r\n", self.arguments.to);
        for (command, answer) in [(mail.as_str(), "250"), (&rcpt, "250"), ("DATA\r\n", "354")] {
            self.output.extend_from_slice(command.as_bytes());
            self.expect(answer).await?;
        }
        Ok(())
    }

    fn commands(&mut self, number: usize) {
        let (from, to) = (self.sender(number), &self.arguments.to);
        let _ = write!(
            self.output,
            "MAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nDATA\r\n"
        );
    }

    async fn granted(&mut self) -> Result<(), Error> {
        for answer in ["250", "250", "354"] {
            self.expect(answer).await?;
        }
        Ok(())
    }

    fn body(&mut self, number: usize) {
        const LINE: &[u8] =
            b"The printer on the second floor prints everything twice, and nobody knows why.\r\n";
        let (from, to) = (self.sender(number), &self.arguments.to);
        let start = self.output.len();
        let process = std::process::id();
        let _ = write!(
            self.output,
            "From: Bob <{from}>\r\nTo: {to}\r\nSubject: Printer {number}\r\n\
             Message-ID: <{process}.{number}@load.example>\r\n\
             Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\n"
        );
        while self.output.len() - start + LINE.len() < self.arguments.size {
            self.output.extend_from_slice(LINE);
        }
        self.output.extend_from_slice(b".\r\n");
    }

    /// Sends what is ready, and reads one reply, which must begin with the code.
    async fn expect(&mut self, code: &str) -> Result<(), Error> {
        if !self.output.is_empty() {
            self.stream.get_mut().write_all(&self.output).await?;
            self.output.clear();
        }
        loop {
            self.line.clear();
            if self.stream.read_line(&mut self.line).await? == 0 {
                return Err(Error::other("the server hung up"));
            }
            if !self.line.starts_with(code) {
                return Err(Error::other(format!(
                    "{code} was due, and came: {}",
                    self.line.trim_end()
                )));
            }
            if self.line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}
