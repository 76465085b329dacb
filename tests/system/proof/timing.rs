//! The time of an answer reveals nothing about a link. A token is looked up by its SHA-256, so a guess that
//! is close to a valid one has nothing in common with it, and takes the same path as any other.
//!
//! An ordinary run compares the answers; a long one also compares the times.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use super::{Dice, rounds};
use crate::support::client::send;
use crate::support::harness::{Harness, STANDARD};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Makes a guess from a new client, so that no rate limit is reached. Returns the answer and its duration.
fn guess(
    harness: &Harness,
    number: u32,
    method: &str,
    path: &str,
    form: &str,
) -> (String, Duration) {
    let client = Ipv4Addr::from_bits(0x0a00_0000 + number);
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let mut stream = TcpStream::connect(harness.http).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let begin = Instant::now();
    stream.write_all(request.as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let took = begin.elapsed();
    let lines: Vec<_> = answer
        .lines()
        .filter(|line| !line.to_lowercase().starts_with("date:"))
        .collect();
    (lines.join("\n"), took)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn the_time_of_an_answer_does_not_reveal_how_close_a_guess_was() {
    let configuration =
        STANDARD.replace("[http]\n", "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
    let harness = Harness::start(&configuration);
    send(harness.smtp, "ann@corp.example", "waiting");
    let link = harness.link_for("ann@corp.example");
    let token = link.rsplit('/').next().expect("a token");
    let mut dice = Dice(5);
    let mut far = || -> String {
        let verification_mail = |_| {
            let sides = u64::try_from(ALPHABET.len()).expect("few");
            char::from(ALPHABET[usize::try_from(dice.throw(sides)).expect("small")])
        };
        // The last character has one bit only.
        (0..51).map(verification_mail).chain(['a']).collect()
    };
    // Tokens that differ from the valid one in the first character, and in the last one that can be chosen freely.
    let other = |verification_mail: &str| if verification_mail == "a" { "b" } else { "a" };
    let near = [
        format!("{}{}", other(&token[..1]), &token[1..]),
        format!("{}{}{}", &token[..50], other(&token[50..51]), &token[51..]),
    ];
    for (method, path, form) in [
        ("GET", "/verify/TOKEN", ""),
        ("POST", "/verify/TOKEN", "action=confirm"),
        ("POST", "/resend", "token=TOKEN"),
    ] {
        let mut times: [Vec<Duration>; 3] = Default::default();
        let mut expected = None;
        for round in 0..rounds(20, 2000) {
            let tokens = [far(), near[0].clone(), near[1].clone()];
            // Each comes first as often as the others do.
            for turn in 0..tokens.len() {
                let kind = (round + turn) % tokens.len();
                let number = u32::try_from(round * tokens.len() + turn).expect("few");
                let fill = |text: &str| text.replace("TOKEN", &tokens[kind]);
                let (answer, took) = guess(&harness, number, method, &fill(path), &fill(form));
                let answer = answer.replace(&tokens[kind], "TOKEN");
                let expected = expected.get_or_insert_with(|| answer.clone());
                assert_eq!(answer, *expected, "{method} {path}");
                times[kind].push(took);
            }
        }
        let [far, first, last] = times.map(median);
        println!("{method} {path}: {far:?} for a far one, {first:?} and {last:?} for a near one");
        if rounds(0, 1) == 1 {
            for near in [first, last] {
                let ratio = near.as_secs_f64() / far.as_secs_f64();
                assert!((0.9..1.1).contains(&ratio), "{method} {path}: {ratio}");
            }
        }
    }
    // The valid link still opens.
    let (answer, _) = guess(&harness, 0x00ff_ffff, "GET", &link, "");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
