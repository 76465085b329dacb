//! Hostile clients against the real binary: each gets its reply, none gets more memory than the configuration
//! permits, and well-behaved clients are served meanwhile.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpSocket;

use super::bystander::Bystander;
use super::clients::{CLIENTS, FRONT, message};
use super::rounds;
use crate::support::client::{Smtp, send};
use crate::support::harness::{DEADLINE, Harness, STANDARD, wait_for};

const MIB: usize = 1024 * 1024;

/// The peak memory of the daemon, in octets.
fn peak(harness: &Harness) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", harness.process())).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<usize>().ok())
        .expect("a size")
        * 1024
}

/// Sends everything while another thread reads; returns all replies.
pub fn talk(address: SocketAddr, said: Vec<u8>) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let timeout = Some(DEADLINE);
    stream.set_read_timeout(timeout).expect("a timeout");
    stream.set_write_timeout(timeout).expect("a timeout");
    let mut writing = stream.try_clone().expect("a second handle");
    let speaker = std::thread::spawn(move || {
        // A client that is disconnected need not send the rest.
        let _ = writing.write_all(&said);
        let _ = writing.shutdown(std::net::Shutdown::Write);
    });
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    drop(stream);
    speaker.join().expect("it has spoken");
    String::from_utf8(heard).expect("replies are text")
}

/// Reply codes in order, such as `220 250* 354`.
fn codes(heard: &str) -> String {
    let mut codes: Vec<(&str, bool)> = Vec::new();
    for line in heard
        .lines()
        .filter(|line| line.as_bytes().get(3) != Some(&b'-'))
    {
        match codes.last_mut() {
            Some((last, several)) if *last == &line[..3] => *several = true,
            _ => codes.push((&line[..3], false)),
        }
    }
    let words = codes
        .iter()
        .map(|(code, several)| format!("{code}{}", if *several { "*" } else { "" }));
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn each_hostile_client_gets_its_answer_and_no_more() {
    let configuration = STANDARD.replace(
        "listen = [\"127.0.0.1:0\"]",
        "listen = [\"127.0.0.1:0\"]\nmax_message_size = \"8MiB\"\nmemory_budget = \"32MiB\"",
    );
    let harness = Harness::start(&configuration);
    let bystander = Bystander::of(&harness);
    let mut wrong = Vec::new();
    for client in CLIENTS {
        let heard = codes(&talk(harness.smtp, (client.says)()));
        if heard != client.hears {
            wrong.push(format!("{}: {heard} and not {}", client.name, client.hears));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let served = bystander.leave();
    let smuggled = harness
        .json(&["requests", "list", "--limit", "1000"])
        .iter()
        .filter(|request| request.to_string().contains("smuggled"))
        .count();
    assert_eq!(smuggled, 0, "a second message came in with the first");
    for request in harness.json(&["requests", "list", "--limit", "1000"]) {
        let subject = request["subject"].as_str().unwrap_or_default();
        assert!(subject.len() <= 8192, "{} octets of subject", subject.len());
    }
    let peak = peak(&harness);
    println!(
        "{} hostile clients, {served} messages of others in the meantime, at most {} MiB",
        CLIENTS.len(),
        peak / MIB
    );
    assert!(peak < 256 * MIB, "{} MiB", peak / MIB);
}

/// Twenty concurrent messages of the maximum size, with a budget for four.
#[test]
fn a_flood_of_large_messages_stays_within_the_budget() {
    let configuration = STANDARD.replace(
        "listen = [\"127.0.0.1:0\"]",
        "listen = [\"127.0.0.1:0\"]\nmax_message_size = \"8MiB\"\nmemory_budget = \"32MiB\"",
    );
    let harness = Harness::start(&configuration);
    let bystander = Bystander::of(&harness);
    let address = harness.smtp;
    let clients: Vec<_> = (0..20)
        .map(|number| {
            let subject = format!("Message-ID: <large{number}@client.example>\r\n");
            let body = format!("{}\r\n", "a".repeat(998)).repeat(7 * MIB / 1000);
            std::thread::spawn(move || {
                let send = || codes(&talk(address, message(&subject, &body)));
                // If the machine stalled for so long that the client counted as idle, the client tries again.
                let mut heard = send();
                for _ in 0..3 {
                    if heard.ends_with(" 421") {
                        heard = send();
                    }
                }
                heard
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().expect("no panic"), "220 250* 354 250*");
    }
    let served = bystander.leave();
    let peak = peak(&harness);
    println!(
        "20 messages of 7 MiB with a budget of 32 MiB, {served} small ones in the meantime: at most {} MiB",
        peak / MIB
    );
    assert!(peak < 256 * MIB, "{} MiB", peak / MIB);
}

/// All memory is held by clients that stall within their messages, except for a byte now and then: they are evicted
/// when others need the memory.
#[test]
fn idle_transactions_are_evicted_for_their_memory() {
    let configuration = STANDARD.replace(
        "listen = [\"127.0.0.1:0\"]",
        "listen = [\"127.0.0.1:0\"]\nmax_message_size = \"8MiB\"\nmemory_budget = \"32MiB\"",
    );
    let harness = Harness::start(&configuration);
    let slow: Vec<_> = (0..6)
        .map(|_| TcpStream::connect(harness.smtp).expect("a connection"))
        .collect();
    let threads: Vec<_> = slow
        .iter()
        .map(|stream| {
            let mut stream = stream.try_clone().expect("a handle");
            let front = format!(
                "{FRONT}\r\n{}",
                format!("{}\r\n", "a".repeat(998)).repeat(7000)
            );
            std::thread::spawn(move || {
                let mut said = stream.write_all(front.as_bytes());
                while said.is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                    said = stream.write_all(b"a");
                }
            })
        })
        .collect();
    // More than the reserve, so that another client's memory is needed for it.
    let body = format!("{}\r\n", "b".repeat(998)).repeat(2000);
    let message = format!("From: bob@partner.example\r\nSubject: x\r\n\r\n{body}");
    // Until the idle clients hold all of the memory, there is some left for others; so this repeats until an idle
    // client is evicted.
    wait_for("an idle client to be evicted", || {
        let mut client = Smtp::connect(harness.smtp).expect("a connection slot");
        let reply = client.send(
            "bob@partner.example",
            "it-help@corp.example",
            message.as_bytes(),
        );
        let reply = reply.expect("an answer");
        // If the machine stalled for so long that this client counted as idle, it tries again.
        if reply.starts_with("421 ") {
            return None;
        }
        assert!(reply.starts_with("250 "), "{reply}");
        // A thread ends when its writes fail: its own client was evicted, not only this one.
        let is_evicted = threads.iter().any(std::thread::JoinHandle::is_finished);
        (is_evicted && harness.log().contains("while others wait")).then_some(())
    });
    for stream in &slow {
        // A thread may still be writing to a client that does not read.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// Connections from a loopback address that is not the MTA's.
async fn idle(harness: &Harness, count: usize) -> Vec<(String, BufReader<tokio::net::TcpStream>)> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind("127.0.0.9:0".parse().expect("an address"))
            .expect("bound");
        let stream = socket.connect(harness.smtp).await.expect("connected");
        let mut stream = BufReader::with_capacity(256, stream);
        let mut greeting = String::new();
        stream.read_line(&mut greeting).await.expect("a greeting");
        connections.push((greeting, stream));
    }
    connections
}

#[tokio::test]
async fn thousands_of_idle_connections_do_not_keep_others_out() {
    let seats = rounds(2_000, 10_000);
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, wanted).expect("a limit");
    let configuration = STANDARD.replace(
        "listen = [\"127.0.0.1:0\"]",
        &format!("listen = [\"127.0.0.1:0\"]\nmax_connections = {seats}"),
    );
    let harness = Harness::start(&configuration);
    let before = peak(&harness);
    let connections = idle(&harness, seats).await;
    // One peer cannot have all slots: the last tenth is reserved for peers with few connections. Its further
    // connections are refused, or evict one of its own that has been idle for long.
    let held = || {
        connections
            .iter()
            .filter(|(greeting, stream)| {
                let has_ended = stream.get_ref().try_read(&mut [0; 1]).is_ok();
                greeting.starts_with("220 ") && !has_ended
            })
            .count()
    };
    // The final reply to an evicted connection may still be on its way.
    let begin = Instant::now();
    while held() > seats - seats / 10 {
        assert!(
            begin.elapsed() < DEADLINE,
            "{} connection slots for one peer",
            held()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let held = held();
    assert!(held > seats / 2, "{held}");
    let smtp = harness.smtp;
    let served = tokio::task::spawn_blocking(move || {
        let mut mta: Vec<_> = (0..20)
            .map(|_| Smtp::connect(smtp).expect("a connection slot"))
            .collect();
        for client in &mut mta {
            assert!(client.say("NOOP").expect("an answer").starts_with("250"));
        }
        send(smtp, "bob@partner.example", "through");
    });
    served.await.expect("the MTA gets through");
    let peak = peak(&harness);
    let each = (peak - before) / held;
    println!(
        "{held} idle connections: {} MiB, {each} octets each",
        peak / MIB
    );
    assert!(each < 24 * 1024, "{each} octets for an idle connection");
}

/// All slots are held by clients that send a byte now and then: they are evicted when others connect.
#[test]
fn idle_connections_are_evicted_for_new_ones() {
    let configuration = STANDARD.replace(
        "listen = [\"127.0.0.1:0\"]",
        "listen = [\"127.0.0.1:0\"]\nmax_connections = 8",
    );
    let harness = Harness::start(&configuration);
    let slow: Vec<_> = (0..8)
        .map(|number| {
            let mut stream = TcpStream::connect(harness.smtp).expect("a connection slot");
            // Half of them within a command, half of them within a message.
            let front = if number % 2 == 0 { "EHL" } else { FRONT };
            stream.write_all(front.as_bytes()).expect("said");
            stream
        })
        .collect();
    let mut drip = slow
        .iter()
        .map(|stream| stream.try_clone().expect("a handle"))
        .collect::<Vec<_>>();
    wait_for("a connection slot for the MTA", || {
        for stream in &mut drip {
            let _ = stream.write_all(b"a");
        }
        // A client that is refused gets 421 and tries again.
        let mut client = Smtp::connect(harness.smtp).ok()?;
        client.say("NOOP").ok()?.starts_with("250").then_some(())
    });
    for number in 0..4 {
        send_when_there_is_room(&harness, &format!("patient{number}"));
    }
}

fn send_when_there_is_room(harness: &Harness, marker: &str) {
    let message = crate::support::client::message("bob@partner.example", marker);
    wait_for("a connection slot", || {
        let mut client = Smtp::connect(harness.smtp).ok()?;
        let reply = client.send("bob@partner.example", "it-help@corp.example", &message);
        reply.ok()?.starts_with("250").then_some(())
    });
}
