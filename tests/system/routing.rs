//! Routes of a real Postfix with its defaults: mail to a usable address goes to the domain that it names, and
//! addresses that would be routed elsewhere get no mail.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use vestibule::domain::{Domain, EmailAddress, Envelope, ReversePath};
use vestibule::mail::{self, Identity};

use crate::postfix::Postfix;
use crate::support::client::{Smtp, http, message};
use crate::support::harness::{Harness, STANDARD, link_in, wait_for};
use crate::support::port::Port;

/// A mail server that accepts every message, and reports what it accepted.
struct Sink {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
}

#[derive(Debug, Clone)]
struct Taken {
    from: String,
    to: String,
    message: String,
}

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let taken = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = Arc::clone(&shared);
                std::thread::spawn(move || take(&stream, &taken));
            }
        });
        Self { address, taken }
    }

    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().expect("not poisoned").clone()
    }
}

/// Serves one session until the connection ends.
fn take(stream: &TcpStream, taken: &Mutex<Vec<Taken>>) -> Option<()> {
    let mut write = stream;
    let mut say = |text: &str| write.write_all(format!("{text}\r\n").as_bytes()).ok();
    let path = |line: &str| Some(line[line.find('<')? + 1..line.rfind('>')?].to_owned());
    let (mut from, mut to) = (String::new(), Vec::new());
    let mut lines = BufReader::new(stream).lines();
    say("220 sink.example ESMTP")?;
    while let Some(Ok(line)) = lines.next() {
        match line
            .get(..4)
            .unwrap_or_default()
            .to_ascii_uppercase()
            .as_str()
        {
            "EHLO" => say("250-sink.example\r\n250-8BITMIME\r\n250 SMTPUTF8")?,
            "MAIL" => {
                (from, to) = (path(&line)?, Vec::new());
                say("250 2.1.0 Ok")?;
            }
            "RCPT" => {
                to.push(path(&line)?);
                say("250 2.1.5 Ok")?;
            }
            "DATA" => {
                say("354 Go on")?;
                let mut message = String::new();
                while let Some(Ok(line)) = lines.next() {
                    if line == "." {
                        break;
                    }
                    let _ = writeln!(message, "{line}");
                }
                let from = from.clone();
                let of = |to| Taken {
                    from: from.clone(),
                    to,
                    message: message.clone(),
                };
                taken.lock().ok()?.extend(to.drain(..).map(of));
                say("250 2.0.0 Ok")?;
            }
            "QUIT" => return say("221 2.0.0 Bye"),
            _ => say("250 2.0.0 Ok")?,
        }
    }
    Some(())
}

/// A Postfix that is the MTA of corp.example, with the defaults of every routing parameter: local and
/// outgoing mail both go to the sink.
fn of_corp(port: Port, sink: &Sink, more: &str) -> Postfix {
    let next = format!("[127.0.0.1]:{}", sink.address.port());
    let main = format!(
        "mydestination = corp.example\nlocal_transport = smtp:{next}\nrelayhost = {next}\n{more}"
    );
    Postfix::start_on(port, &[], &main)
}

/// Submits a message for each address. Returns the domains to which they were routed, `None` for those that
/// Postfix refused or returned.
fn routes(postfix: &Postfix, sink: &Sink, addresses: &[String]) -> Vec<Option<String>> {
    let mut client = Smtp::connect(postfix.smtp).expect("Postfix answers");
    let mut queued = Vec::new();
    for (n, address) in addresses.iter().enumerate() {
        let mut say = |line: &str| client.say(line).expect("Postfix answers");
        say(&format!("MAIL FROM:<probe-{n}@probe.example> SMTPUTF8"));
        if !say(&format!("RCPT TO:<{address}>")).starts_with("250") {
            say("RSET");
            continue;
        }
        assert!(say("DATA").starts_with("354"));
        let reply = say("Subject: Where to?\r\n\r\n.");
        let (_, id) = reply.trim_end().rsplit_once(' ').expect("a queue id");
        assert!(reply.starts_with("250"), "{reply}");
        queued.push(id.to_owned());
    }
    wait_for("the end of each message", || {
        let log = postfix.log();
        let is_over = |id: &String| log.contains(&format!("{id}: removed"));
        queued.iter().all(is_over).then_some(())
    });
    let found: BTreeMap<String, String> = sink
        .taken()
        .into_iter()
        .map(|taken| (taken.from, taken.to))
        .collect();
    (0..addresses.len())
        .map(|n| {
            let to = found.get(&format!("probe-{n}@probe.example"))?;
            let (_, domain) = to.rsplit_once('@').expect("a domain");
            Some(domain.to_ascii_lowercase())
        })
        .collect()
}

/// Local parts that route mail, or look as if they did, and harmless ones for comparison.
const LOCAL_PARTS: [&str; 60] = [
    "ann",
    "Ann",
    "a.b",
    "a..b",
    ".a",
    "a.",
    "\"ann\"",
    "\"a..b\"",
    "\".a\"",
    "\"a.\"",
    "\"\\a\"",
    "a+b",
    "a=b",
    "-a",
    "a-",
    "'a'",
    "a#b",
    "a$b",
    "a&b",
    "a*b",
    "a/b",
    "a?b",
    "a^b",
    "a_b",
    "a`b",
    "a{b}",
    "a|b",
    "a~b",
    "dörte",
    "例",
    "owner-a",
    "a-request",
    "eve%evil.example",
    "evil.example!eve",
    "\"eve@evil.example\"",
    "\"eve%evil.example\"",
    "\"evil.example!eve\"",
    "\"eve\\@evil.example\"",
    "\"eve\\%evil.example\"",
    "@evil.example:eve",
    "eve%evil.example%corp.example",
    "corp.example!evil.example!eve",
    "eve%evil.example.",
    "a%b",
    "a!b",
    "%a",
    "a%",
    "!a",
    "a!",
    "eve\u{FF05}evil.example",
    "eve\u{FE6A}evil.example",
    "eve\u{FF20}evil.example",
    "e\u{AD}ve",
    "e\u{200B}ve",
    "mar\u{212A}",
    "\"a b\"",
    "a:b",
    "a,b",
    "a\\b",
    "a(b)",
];

const DOMAINS: [&str; 20] = [
    "corp.example",
    "Corp.EXAMPLE",
    "partner.example",
    "bücher.example",
    "BÜCHER.example",
    "xn--bcher-kva.example",
    "xn--strae-oqa.example",
    "例子.example",
    "mx.corp.example",
    "corp.example.",
    "cor\u{AD}p.example",
    "ｃorp.example",
    "corp\u{3002}example",
    "localhost",
    "x.",
    "[192.0.2.1]",
    "corp..example",
    "c%evil.example",
    "corp.example!evil.example",
    "evil.example,corp.example",
];

/// Random strings of routing characters, the same in every run.
fn mixed() -> Vec<String> {
    const PIECES: [&str; 16] = [
        "a",
        "b",
        "eve",
        "evil.example",
        "%",
        "!",
        "@",
        "\"",
        "\\",
        ".",
        "..",
        "+",
        "=",
        "ö",
        "\u{AD}",
        ":",
    ];
    let mut state: u64 = 13;
    let mut next = |below: u64| {
        // Knuth's MMIX generator.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut piece = || PIECES[usize::try_from(next(16)).expect("small")];
    (0..3000)
        .map(|n| {
            let local: String = (0..=n % 5).map(|_| piece()).collect();
            format!("{local}@corp.example")
        })
        .collect()
}

/// The sender of a message with this address in From.
fn sender(address: &str) -> Option<EmailAddress> {
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: None,
        spam: [].into(),
    };
    let raw = format!("From: <{address}>\r\n\r\n");
    let envelope = Envelope::of_file(ReversePath::Unknown);
    let facts = mail::read(raw.as_bytes(), &envelope, &own);
    facts.sender.address().cloned()
}

#[test]
fn a_usable_address_goes_to_its_domain() {
    let sink = Sink::start();
    let postfix = of_corp(Port::reserve(), &sink, "");
    let grid = LOCAL_PARTS
        .iter()
        .flat_map(|local| DOMAINS.map(|domain| format!("{local}@{domain}")));
    let usable: BTreeMap<String, EmailAddress> = grid
        .chain(mixed())
        .filter_map(|written| sender(&written))
        .map(|address| (address.to_string(), address))
        .collect();
    let written: Vec<String> = usable.keys().cloned().collect();
    let found = routes(&postfix, &sink, &written);
    for ((written, address), domain) in usable.iter().zip(&found) {
        let right = domain
            .as_deref()
            .is_none_or(|domain| domain == address.domain().as_str());
        assert!(right, "{written} came out at {domain:?}");
    }
    let routed = found.iter().flatten().count();
    assert!(routed >= 200, "{routed} of {} were routed", found.len());
    let refused = found.len() - routed;
    // Postfix accepts no recipient that begins with a hyphen (allow_min_user).
    assert!(refused * 10 < found.len(), "{refused} of {}", found.len());
}

/// Addresses of corp.example that Postfix routes to evil.example.
const ROUTED_ELSEWHERE: [&str; 9] = [
    "eve%evil.example@corp.example",
    "evil.example!eve@corp.example",
    "\"eve@evil.example\"@corp.example",
    "\"eve%evil.example\"@corp.example",
    "\"evil.example!eve\"@corp.example",
    "\"eve\\@evil.example\"@corp.example",
    "eve%evil.example%corp.example@corp.example",
    "corp.example!evil.example!eve@corp.example",
    "corp.example!eve%evil.example@corp.example",
];

#[test]
fn addresses_that_postfix_routes_elsewhere_are_not_senders() {
    let sink = Sink::start();
    let postfix = of_corp(Port::reserve(), &sink, "");
    let written: Vec<String> = ROUTED_ELSEWHERE.map(str::to_owned).into();
    for (address, domain) in written.iter().zip(routes(&postfix, &sink, &written)) {
        assert_eq!(domain.as_deref(), Some("evil.example"), "{address}");
        assert_eq!(sender(address), None, "{address}");
        assert!(EmailAddress::parse(address).is_err(), "{address}");
    }
}

/// Addresses of programs and one-label domains, at sign-up.
const NOT_PEOPLE: [&str; 8] = [
    "root@localhost",
    "ann@x.",
    "mailer-daemon@corp.example",
    "MAILER-DAEMON@corp.example",
    "no-reply@partner.example",
    "do-not-reply+1@corp.example",
    "it-help@corp.example",
    "ann@cor\u{AD}p.example",
];

fn encoded(address: &str) -> String {
    url::form_urlencoded::byte_serialize(address.as_bytes()).collect()
}

#[test]
fn nothing_leaves_for_hostile_senders_and_sign_ups() {
    let sink = Sink::start();
    let edge = Port::reserve();
    let configuration = STANDARD.replace(
        "type = \"file\"\ndir = \"letters\"",
        &format!("type = \"smtp\"\nurl = \"smtp://{}\"", edge.address),
    );
    let harness = Harness::start(&configuration);
    let more = format!(
        "transport_maps = inline:{{ {{ it-help@corp.example = smtp:[127.0.0.1]:{} }} }}\n",
        harness.smtp.port()
    );
    let edge = of_corp(edge, &sink, &more);

    let mut client = Smtp::connect(edge.smtp).expect("Postfix answers");
    let mut hand_in = |from: &str, marker: &str| {
        let message = message(from, marker);
        let reply = client.send("bounces@client.example", "it-help@corp.example", &message);
        let reply = reply.expect("Postfix answers");
        assert!(reply.starts_with("250"), "{from}: {reply}");
    };
    for (n, address) in ROUTED_ELSEWHERE.iter().enumerate() {
        hand_in(&format!("<{address}>"), &format!("hostile-{n}"));
    }
    for address in ROUTED_ELSEWHERE.iter().chain(&NOT_PEOPLE) {
        let (status, page) = http(
            harness.http,
            "POST",
            "/signup",
            &[("email", &encoded(address))],
        );
        assert_eq!(status, 400, "{address}: {page}");
        // An operator may add a program's address, but none of the others.
        if sender(address).is_none() || *address == "it-help@corp.example" {
            let output = harness.command(&["customers", "add", address]).output();
            assert!(!output.expect("it runs").status.success(), "{address}");
        }
    }
    hand_in("ann@corp.example", "honest");

    let verification_mail = wait_for("the verification mail of the honest sender", || {
        let is_hers = |taken: &Taken| taken.to == "ann@corp.example";
        sink.taken().into_iter().find(is_hers)
    });
    assert!(
        link_in(&verification_mail.message).is_some(),
        "{}",
        verification_mail.message
    );
    for n in 0..ROUTED_ELSEWHERE.len() {
        let why = wait_for("the decision about a hostile sender", || {
            harness
                .json(&["explain", &format!("hostile-{n}@client.example")])
                .pop()
        });
        assert_eq!(why["reason"], "sender_unusable", "{why}");
    }
    let left: Vec<String> = sink.taken().into_iter().map(|taken| taken.to).collect();
    assert_eq!(left, ["ann@corp.example"]);
}

/// Subaddresses of one mailbox, with text that a forger might choose.
const DETAILS: [&str; 12] = [
    "your-account-is-locked",
    "call-evil.example",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "10",
    "11",
    "12",
];

#[test]
fn one_mailbox_gets_one_mail_and_nothing_of_the_forger_in_it() {
    let sink = Sink::start();
    let edge = Port::reserve();
    let configuration = STANDARD.replace(
        "type = \"file\"\ndir = \"letters\"",
        &format!("type = \"smtp\"\nurl = \"smtp://{}\"", edge.address),
    );
    let harness = Harness::start(&configuration);
    let more = format!(
        "transport_maps = inline:{{ {{ it-help@corp.example = smtp:[127.0.0.1]:{} }} }}\n",
        harness.smtp.port()
    );
    let edge = of_corp(edge, &sink, &more);
    let mut client = Smtp::connect(edge.smtp).expect("Postfix answers");
    for detail in DETAILS {
        let message = message(&format!("ann+{detail}@corp.example"), detail);
        let reply = client.send("bounces@client.example", "it-help@corp.example", &message);
        let reply = reply.expect("Postfix answers");
        assert!(reply.starts_with("250"), "{detail}: {reply}");
    }
    // All but one are delayed by the limit of the mailbox.
    wait_for("the mail that waits", || {
        let waiting = harness.log().matches(" verification.deferred ").count();
        (waiting >= DETAILS.len() - 1).then_some(())
    });
    let mail = wait_for("the one mail", || sink.taken().pop());
    let message = mail.message.replace('\r', "");
    let (header, body) = message.split_once("\n\n").expect("a body");
    let ours = header
        .lines()
        .filter(|line| line.starts_with("Subject: ") || line.starts_with("From: "));
    let said: String = ours.chain(body.lines()).collect();
    assert!(said.contains("corp.example"), "{}", mail.message);
    for word in ["ann+", "ann@", "locked", "call-evil"] {
        assert!(!said.contains(word), "{word}: {}", mail.message);
    }
    assert_eq!(sink.taken().len(), 1);
}
