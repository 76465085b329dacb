//! Parsing any message takes time and memory in proportion to its size: 100 ms for each MiB (in an optimised
//! build) and 8 times its size. Parsing and authenticating a message with the largest header takes no more
//! than is reserved for it of `smtp.memory_budget`. One test, so that nothing else allocates.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use peak_alloc::PeakAlloc;
use vestibule::access::Enforcement;
use vestibule::config;
use vestibule::domain::{Domain, Envelope, ReversePath};
use vestibule::intake::{TO_READ, TO_READ_AN_OCTET};
use vestibule::mail::{Content, Identity, OwnLinks, mask, read};
use vestibule::sender_auth::Checker;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Without optimisation a smaller size is enough to distinguish linear from quadratic time.
const SIZE: usize = if cfg!(debug_assertions) {
    256 * 1024
} else {
    1024 * 1024
};

/// A beginning, a unit that is repeated up to the size, and an end.
const SHAPES: [(&str, &str, &str); 39] = [
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
        "From: mailer-daemon@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        "--b\r\nContent-Type: message/rfc822\r\n\r\n",
        "",
    ),
    (
        "From: mailer-daemon@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        "--b\r\n",
        "",
    ),
    (
        "From: mailer-daemon@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        "--a\r\n",
        "",
    ),
    (
        "Content-Type: text/plain; charset=utf-8\r\nSubject: ",
        "=?a?q?x ",
        "\r\n",
    ),
    (
        "Content-Type: multipart/alternative; boundary=b\r\n\r\n",
        "--b\r\nContent-Type: text/html\r\n\r\n",
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
        spam: [].into(),
    };
    let envelope = Envelope::of_file(ReversePath::Unknown);
    // Quadratic time would take minutes; linear time takes a second or two on a slow machine under load.
    let allowed = Duration::from_millis(if cfg!(debug_assertions) { 10_000 } else { 100 });
    let (mut slowest, mut largest) = (Duration::ZERO, 0);
    for shape in SHAPES {
        let raw = built(shape);
        let (peak, facts) = peak_of(|| read(&raw, &envelope, &own));
        // The best of a few, as other processes use the CPU, too.
        let started = Instant::now();
        let content = Content::of(&raw);
        let took = started.elapsed();
        assert!(took < 5 * allowed, "{shape:?}: the content took {took:?}");
        drop(content);
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
    // Content of the body takes no more than is reserved in any case.
    for (start, unit, end) in SHAPES {
        if start.contains("\r\n\r\n") {
            let raw = built((start, &unit.repeat(16), end)).repeat(16);
            let (peak, _) = peak_of(|| read(&raw, &envelope, &own));
            assert!(
                peak <= TO_READ,
                "{start:?} {unit:?} took {peak} octets for a body"
            );
        }
    }
    html_follows_the_size(allowed);
    masking_follows_the_size(allowed);
    reserved_is_enough(&own, &envelope);
}

/// Memory that the work takes at most, and its result.
fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = work();
    (ALLOCATOR.peak_usage() - before, result)
}

/// Memory that the work takes at most, and its time: the best of three, as other processes use the CPU, too.
fn measure<T>(work: impl Fn() -> T) -> (usize, Duration) {
    let (peak, _) = peak_of(&work);
    let times = (0..3).map(|_| {
        let started = Instant::now();
        drop(work());
        started.elapsed()
    });
    (peak, times.min().unwrap_or_default())
}

/// HTML that is hostile to its conversion to text: units that are repeated up to the size.
const HTML: [&str; 18] = [
    "<",
    "&",
    "&#",
    "&CounterClockwiseContourIntegra",
    "&nbsp;",
    "<a",
    "<a b=c ",
    "<a 'b",
    "<!--",
    "<!-->",
    "</",
    "<div>",
    "<br>",
    "<pre>\r\n",
    "<title>",
    "<title></style>",
    "<script></script",
    "\r",
];

/// The text of HTML, with a tag of many attributes among the rest.
fn html_follows_the_size(allowed: Duration) {
    let start = "Content-Type: text/html; charset=utf-8\r\n\r\n";
    let attributes: Vec<_> = (0..SIZE / 8).map(|number| format!("a{number}")).collect();
    let attributes = format!("{start}<p {}>", attributes.join(" ")).into_bytes();
    let units = HTML.map(|unit| (unit, built((start, unit, ""))));
    for (unit, raw) in units.into_iter().chain([("attributes", attributes)]) {
        let (peak, took) = measure(|| Content::of(&raw));
        assert!(took < 5 * allowed, "HTML of {unit:?} took {took:?}");
        assert!(peak <= 8 * raw.len(), "HTML of {unit:?} took {peak} octets");
    }
}

const TOKEN: &str = "mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgq2a";

/// Beginning of a text that looks like UTF-16.
const WIDE: &str = "A: b\r\n\r\na\0a\0a\0a\0a\0a\0a\0a\0a\0a\0";

/// Messages that are hostile to the search for links, besides those that are hostile to a parser. TOKEN stands
/// for a token of a link.
const LINKS: [(&str, &str, &str); 43] = [
    ("A: b\r\n\r\n", "verify/TOKEN ", ""),
    ("A: b\r\n\r\n", "ver\r\nify/TOKEN,", ""),
    ("A: b\r\n\r\n", "verify/", ""),
    ("A: b\r\n\r\n", "verify_", ""),
    (
        "A: b\r\n\r\n",
        "gate.corp.example/verify_verify_verify_verify_verify_",
        "",
    ),
    ("A: b\r\n\r\n", "confirm-2b", ""),
    ("A: b\r\n\r\nverify", "&shy;", "/TOKEN"),
    ("A: b\r\n\r\nverify", "=\r\n", "/TOKEN"),
    ("A: b\r\n\r\nverify\r\n", ">", ""),
    ("A: b\r\n\r\n", "v\r\n", ""),
    ("A: b\r\n\r\n", "g&shy;", ""),
    ("A: b\r\n\r\n", "0\n", ""),
    ("A: b\r\n\r\n", "verif<b>y/", ""),
    ("A: b\r\n\r\na<b>b ", "<b ", ""),
    ("A: b\r\n\r\na<b>b ", "a<!--", ""),
    // Each tag begins again within itself.
    ("A: b\r\n\r\n", "<b/<b>", ""),
    ("A: b\r\n\r\na<b>b ", "<b/<b/<b/<b/<b/<b/<b/<b>", ""),
    ("A: b\r\n\r\nverify/", "<b>", "TOKEN"),
    ("A: b; c*0=verify/", ";c*1=", "TOKEN\r\n\r\n"),
    ("A: b; c*0=verify/", " ;c*1=", "TOKEN\r\n\r\n"),
    ("A: b\r\n\r\n", "a<b>c;d*1=", ""),
    ("A: b\r\n\r\n", "                ;", ""),
    ("A: b\r\n\r\n", "verif\ny_", ""),
    (WIDE, "verif\ny_", ""),
    ("A: b\r\n\r\n", "v\0e\0r\0i\0f\0\n\0y\0_\0", ""),
    // `verify` in base64.
    ("A: b\r\n\r\n", "dmVyaWZ5", ""),
    ("A: b\r\n\r\n", "dmVyaWZ5 ", ""),
    ("A: b\r\n\r\ndmVyaWZ5 ", "&shy;", "!"),
    ("A: b\r\n\r\ndmVyaWZ5 ", "=\r\n", "!"),
    ("A: b\r\n\r\n", "dmVyaWZ5ZlcmlmeZ2ZXJpZn", ""),
    ("A: b\r\nSubject: ", "=?a?q?verify=2FTOKEN?=,", "\r\n\r\n"),
    ("A: b\r\nSubject: ", "=?a?q?bcd", "\r\n\r\n"),
    ("A: b\r\nSubject: ", "=?a?q?b?=,", "\r\n\r\n"),
    ("A: b\r\nSubject: ", "=?a?q?b?= ", "\r\n\r\n"),
    ("A: b\r\n\r\n", "Content-Transfer-Encoding:base64\r\n", ""),
    // Enough octets for a token.
    (
        "",
        "Content-Transfer-Encoding: base64\r\n\r\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n",
        "",
    ),
    (
        "",
        "Content-Transfer-Encoding: quoted-printable\r\n\r\nverify=2FTOKEN\r\n",
        "",
    ),
    (
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
        "verify=2FTOKEN=20",
        "",
    ),
    (
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
        "=\r\n",
        "",
    ),
    (
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
        "v=00e=00r=00i=00f=00y=00/=00",
        "",
    ),
    ("Content-Transfer-Encoding: base64\r\n\r\n", "AA=A", ""),
    ("Content-Transfer-Encoding: base64\r\n\r\n", "!", "AAAA"),
    (
        "Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\r\n",
        "\n",
        "",
    ),
];

/// A beginning, and a unit that is repeated, of the innermost part of three.
const NESTED: [(&str, &str); 3] = [("", "0\n"), ("", "verif\ny_"), (WIDE, "verif\ny_")];

/// A message of the usual size with the content in base64 three times.
fn nested((start, unit): (&str, &str)) -> Vec<u8> {
    let times = SIZE * 27 / 64 / unit.len();
    let mut raw = format!("{start}{}", unit.repeat(times)).into_bytes();
    for _ in 0..3 {
        let encoded = STANDARD.encode(&raw);
        raw = format!("Content-Transfer-Encoding: base64\r\n\r\n{encoded}").into_bytes();
    }
    raw
}

/// The beginning of quoted-printable in three levels, none of which is much smaller than the one around it; base64
/// shrinks at each.
const UNSHRUNK: &str = "Content-Transfer-Encoding: quoted-printable\r\n\r\n\
     =43ontent-Transfer-Encoding: quoted-printable\r\n\r\n\
     =3D43ontent-Transfer-Encoding: quoted-printable\r\n\r\n";

/// Units that are repeated in it.
const UNSHRUNK_UNITS: [&str; 2] = [
    "gate.corp.example verify_a verify/TOKEN dmVyaWZ5 2ZXJpZn ZlcmlmeZ ",
    "a<b>verify/ a;b*1=\"c and some words of ordinary text, as in any message ",
];

fn masking_follows_the_size(allowed: Duration) {
    let own = OwnLinks::new("gate.corp.example", Some("confirm"));
    let with_token = |text: &str| text.replace("TOKEN", TOKEN);
    let flat = SHAPES.into_iter().chain(LINKS).map(|(start, unit, end)| {
        let raw = built((start, &with_token(unit), &with_token(end)));
        (start, unit, raw, 4)
    });
    let nested = NESTED.map(|shape| ("nested", shape.1, nested(shape), 4));
    let unshrunk = UNSHRUNK_UNITS.map(|unit| {
        let raw = built((UNSHRUNK, &with_token(unit), ""));
        ("unshrunk", unit, raw, 7)
    });
    for (start, unit, raw, sizes) in flat.chain(nested).chain(unshrunk) {
        let (peak, took) = measure(|| mask(&raw, &own));
        assert!(took < allowed, "masking {start:?} {unit:?} took {took:?}");
        assert!(
            peak <= sizes * raw.len(),
            "masking {start:?} {unit:?} took {peak} octets"
        );
    }
}

/// Octets of a header: the default of `smtp.max_header_size`.
const HEADER: usize = 256 * 1024;

/// Headers that are hostile to a verifier: a beginning, a unit that is repeated up to the limit, and an end
/// that is repeated once more.
const SIGNATURES: [(&str, &str, &str); 17] = [
    (
        "From: a@b.example\r\nDKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=s; bh=AAAA; b=AAAA; h=from",
        ":a",
        "\r\n",
    ),
    (
        "From: a@b.example\r\n",
        "DKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=s; bh=AAAA; b=AAAA; h=from:a:a:a:a:a:a:a:a:a:a:a:a\r\n",
        "",
    ),
    (
        "From: a@b.example\r\n",
        "DKIM-Signature: v=1; d=c.example; s=s; bh=AAAA; b=AAAA; h=from\r\n",
        "",
    ),
    (
        "From: a@b.example\r\nDKIM-Signature: v=1; d=b.example; s=s; bh=AAAA; b=AAAA; h=from; z=",
        "|",
        "\r\n",
    ),
    (
        "From: a@b.example\r\nDKIM-Signature: v=1; d=b.example; s=s; bh=AAAA; h=from; b=",
        "AAAA",
        "\r\n",
    ),
    (
        "From: a@b.example\r\nDKIM-Signature: v=1; d=b.example; s=s; bh=AAAA; h=from; b=AAAA; i=",
        "=41",
        "\r\n",
    ),
    (
        "From: a@b.example\r\nDKIM-Signature: v=1; s=s; bh=AAAA; h=from; b=AAAA; d=",
        "a.",
        "b.example\r\n",
    ),
    ("From: a@b.example\r\n", "DKIM-Signature:\r\n", ""),
    ("From: a@b.example\r\n", "DKIM2-Signature: i=1; m=1\r\n", ""),
    (
        "From: a@b.example\r\n",
        "Message-Instance: m=1; h=a:a\r\n",
        "",
    ),
    (
        "From: a@b.example\r\n",
        "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.example; s=s; b=AAAA\r\n",
        "",
    ),
    (
        "From: a@b.example\r\n",
        "ARC-Authentication-Results: i=1; a\r\n",
        "",
    ),
    (
        "From: a@b.example\r\n",
        "ARC-Message-Signature: i=1; d=a.example; s=s; bh=AAAA; b=AAAA; h=a:a:a:a:a:a:a:a:a:a:a:a:a:a\r\n",
        "",
    ),
    (
        "From: a@b.example\r\nARC-Message-Signature: i=1; d=a.example; s=s; bh=AAAA; b=AAAA; h=a",
        ":a",
        "\r\n",
    ),
    ("From: ", "a@b.example,", "\r\n"),
    ("From: a@b.example\r\nReferences: ", "<a@b>\r\n ", "\r\n"),
    ("From: a@b.example\r\nTo: ", "a,", "\r\n"),
];

/// The message with this header, up to the limit.
fn within_the_bound((start, unit, end): (&str, &str, &str)) -> Vec<u8> {
    let times = (HEADER - start.len() - end.len()) / unit.len();
    let header = format!("{start}{}{end}", unit.repeat(times));
    assert!(header.len() <= HEADER);
    format!("{header}\r\nHi.\r\n").into_bytes()
}

/// Parses and authenticates each with a DNS server that does not answer.
fn reserved_is_enough(own: &Identity, envelope: &Envelope) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let settings = config::AuthenticationConfig {
        mode: Enforcement::Enforce,
        authserv_id: None,
        resolvers: vec![nobody.local_addr().expect("an address")],
        timeout: Duration::from_millis(20),
        trusted_arc_sealers: Vec::new(),
    };
    let checker = {
        let _entered = runtime.enter();
        Checker::new(&settings, &[]).expect("a checker")
    };
    let from = Domain::parse("b.example").expect("a domain");
    let one = |raw: &[u8]| {
        let mut facts = read(raw, envelope, own);
        facts.authentication = runtime.block_on(checker.check(raw, envelope, Some(&from), None));
        facts
    };
    // The first one allocates caches of the resolver.
    one(b"From: a@b.example\r\n\r\nHi.\r\n");
    let mut most = 0;
    for shape in SHAPES.into_iter().chain(SIGNATURES) {
        let (start, unit, end) = shape;
        let is_header = !start.contains("\r\n\r\n") && !unit.contains("\r\n\r\n");
        if !is_header {
            continue;
        }
        let raw = within_the_bound((start, unit, end));
        let (peak, _) = peak_of(|| one(&raw));
        assert!(
            peak <= TO_READ_AN_OCTET * HEADER + TO_READ,
            "{start:?} {unit:?} {end:?} took {peak} octets, {} times its size",
            peak / HEADER
        );
        most = most.max(peak);
    }
    println!("at most {most} octets for headers of {HEADER}");
}
