//! However a message is made, reading it takes time and memory in proportion to its size: 100 ms for
//! each MiB (in an optimised build) and 8 times its size. One test, so that nothing else allocates.

use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use vestibule::domain::{Domain, Envelope, ReversePath};
use vestibule::mail::{Identity, read};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Without optimisation less is enough to tell the size from its square.
const SIZE: usize = if cfg!(debug_assertions) {
    256 * 1024
} else {
    1024 * 1024
};

/// A beginning, what is repeated up to the size, and an end.
const SHAPES: [(&str, &str, &str); 34] = [
    ("", "a:\r\n", ""),
    ("", "a\r\n", ""),
    ("", " \r\n", ""),
    ("", "\n", ""),
    ("", "\r", ""),
    ("", "From x\n", ""),
    ("", "From: a@b.example\r\n", ""),
    ("", "Received: from x by y\r\n", ""),
    ("", "List-Id: <a.b>\r\n", ""),
    ("", "X-Failed-Recipients: a@b\r\n", ""),
    (
        "",
        "Authentication-Results: mx.corp.example; dmarc=fail (p=reject)\r\n",
        "",
    ),
    (
        "Authentication-Results: mx.corp.example",
        "; a=b (c=d)",
        "\r\n",
    ),
    (
        "Authentication-Results: mx.corp.example; dmarc=fail (",
        "a ",
        ")\r\n",
    ),
    (
        "Authentication-Results: mx.corp.example; dmarc=fail ",
        "\\",
        "\r\n",
    ),
    ("From: ", "(", "\r\n"),
    ("From: ", "a,", "\r\n"),
    ("From: ", "a@b.example,", "\r\n"),
    ("From: ", "\"a\" ", "<a@b.example>\r\n"),
    ("From: \"", "\\\"", "\" <a@b.example>\r\n"),
    ("From: ", "=?", "@b.example\r\n"),
    ("From: a@", "\u{e9}.", "example\r\n"),
    ("From: a@[", "1", "]\r\n"),
    ("From: ", "a.", "a@b.example\r\n"),
    ("From: a@b.example\r\nX-Autoreply: ", "\r\n a", "\r\n"),
    (
        "List-Id: <a.b>\r\nFrom: a@b\r\nReply-To: ",
        "c@d.example,",
        "\r\n",
    ),
    ("List-Post: ", "<mailto:a@b>,", "\r\nFrom: a@b.example\r\n"),
    ("Subject: ", "=?utf-8?q?a?= ", "\r\n"),
    ("Subject: ", "=?utf-8?b?", "\r\n"),
    (
        "Content-Type: multipart/report; report-type=delivery-status",
        "; a*0=b",
        "\r\n",
    ),
    (
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n",
        "--b\r\n\r\n",
        "",
    ),
    (
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\n",
        "Final-Recipient: rfc822;a@b\r\n\r\n",
        "",
    ),
    (
        "From: mailer-daemon@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        "",
    ),
    (
        "From: mailer-daemon@b.example\r\n\r\n",
        "Message-ID: \r\n",
        "",
    ),
    (
        "From: postmaster@b.example\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        "YWFh\r\n",
        "",
    ),
];

fn built((start, unit, end): (&str, &str, &str)) -> Vec<u8> {
    let times = SIZE / unit.len();
    let mut raw = String::with_capacity(SIZE + 1024);
    raw.push_str(start);
    for _ in 0..times {
        raw.push_str(unit);
    }
    raw.push_str(end);
    raw.into_bytes()
}

#[test]
fn time_and_memory_follow_the_size() {
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: Some("mx.corp.example".to_owned()),
    };
    let envelope = Envelope::of_file(ReversePath::Unknown);
    // What takes the square of the size would take minutes; a slow machine that does other work takes
    // a second or two for what does not.
    let allowed = Duration::from_millis(if cfg!(debug_assertions) { 10_000 } else { 100 });
    let (mut slowest, mut largest) = (Duration::ZERO, 0);
    for shape in SHAPES {
        let raw = built(shape);
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let facts = read(&raw, &envelope, &own);
        let peak = ALLOCATOR.peak_usage() - before;
        // The best of a few, as other processes want the processor, too.
        let times = (0..3).map(|_| {
            let started = Instant::now();
            let again = read(&raw, &envelope, &own);
            let took = started.elapsed();
            assert_eq!(again, facts, "{shape:?} is read in two ways");
            took
        });
        let took = times.min().unwrap_or_default();
        assert!(took < allowed, "{shape:?} took {took:?}");
        assert!(peak <= 8 * raw.len(), "{shape:?} took {peak} octets");
        let kept = serde_json::to_string(&facts).expect("plain data").len();
        assert!(kept < 128 * 1024, "{shape:?} leaves {kept} octets of facts");
        slowest = slowest.max(took);
        largest = largest.max(peak);
    }
    println!("at most {slowest:?} and {largest} octets for messages of {SIZE}");
}
