//! An MTA with several connections and several senders, which keeps every message that was not answered `250`
//! and sends it again; and people who press the button in their mail.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Dice;
use super::help_desk::HelpDesk;
use crate::support::client::{Smtp, try_http};
use crate::support::harness::{BASE, Harness, link_in};

/// Concurrent connections.
const CLIENTS: usize = 4;

/// Expected outcome of a message. Each marker begins with the name of its fate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// From a customer who is served at once.
    Passes,
    /// From an employee who never verifies the address.
    Waits,
    /// From an employee who presses the button as soon as the mail has arrived.
    Proves,
    /// From an unknown sender.
    Dropped,
}

const FATES: [(&str, Fate); 4] = [
    ("passes", Fate::Passes),
    ("waits", Fate::Waits),
    ("proves", Fate::Proves),
    ("dropped", Fate::Dropped),
];

impl Fate {
    pub fn of(marker: &str) -> Self {
        FATES
            .iter()
            .find(|(word, _)| marker.starts_with(word))
            .expect("a marker of ours")
            .1
    }
}

/// Two portals, `it` with an SMTP help desk and `hr` with a Maildir; verification mail as files. The only limit is
/// one mail for each address.
pub fn configuration(help_desk: &HelpDesk) -> String {
    format!(
        r#"{BASE}
[[portal]]
name = "it"
title = "IT Help"
addresses = ["it-help@corp.example"]
destination = "desk"

[[portal]]
name = "hr"
title = "HR"
addresses = ["hr@corp.example"]
destination = "archive"

[destination.desk]
type = "smtp"
url = "smtp://127.0.0.1:{}"
envelope_from = "gate@corp.example"

[destination.archive]
type = "maildir"
path = "desk"

[verification]
from = "IT Help <no-reply@corp.example>"

[verification.limits]
per_domain_hour = 1000000
total_hour = 1000000

[outgoing]
type = "file"
dir = "letters"

[authentication]
mode = "off"

[quota]
requests = 1000

[access]
internal.approved_domains = ["corp.example"]
external.restrict_domains = true
external.allowed_domains = ["partner.example"]
"#,
        help_desk.port
    )
}

/// The message of a marker: always the same, up to 60 KB.
pub fn message(marker: &str) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    marker.hash(&mut hasher);
    let mut dice = Dice(hasher.finish());
    let lines = dice.throw(10).pow(3);
    let mut text = format!(
        "From: {}\r\nTo: it-help@corp.example\r\nSubject: About {marker}\r\n\
         Date: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <{marker}@client.example>\r\n\r\n",
        sender(marker)
    );
    for line in 0..=lines {
        let word = format!("{:016x}", dice.throw(u64::MAX));
        let _ = write!(text, "..line {line} of {marker}: {word} {word}\r\n");
    }
    text.into_bytes()
}

/// The sender of the message with a marker `FATE-rROUNDcCLIENTnNUMBER`.
pub fn sender(marker: &str) -> String {
    let (word, place) = marker.split_once('-').expect("a fate and a place");
    let (client, number) = place.split_once('n').expect("a number");
    match Fate::of(marker) {
        // A few customers with many messages, many employees with a few.
        Fate::Passes => format!("bob{}@partner.example", &number[..1]),
        Fate::Waits | Fate::Proves => format!("{word}.{client}@corp.example"),
        Fate::Dropped => format!("eve.{client}@evil.example"),
    }
}

/// The portals of the message with a marker: some are for both.
pub fn portals(marker: &str) -> &'static [&'static str] {
    match marker.as_bytes().last() {
        Some(b'0') => &["it", "hr"],
        Some(b'1' | b'2' | b'3') => &["hr"],
        _ => &["it"],
    }
}

/// Records of the MTA and the people, against which Vestibule is checked.
#[derive(Default)]
pub struct Book {
    /// Ids under which messages were acknowledged, by marker. Empty until the acknowledgement.
    sent: Mutex<BTreeMap<String, Vec<String>>>,
    unacknowledged: Mutex<Vec<String>>,
    /// Addresses whose confirmation was answered with 200.
    confirmed: Mutex<BTreeSet<String>>,
    acknowledged: AtomicUsize,
    pressed: Mutex<HashSet<PathBuf>>,
    refusal: Mutex<Option<String>>,
    single: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub fn sent(&self) -> BTreeMap<String, Vec<String>> {
        lock(&self.sent).clone()
    }

    pub fn confirmed(&self) -> BTreeSet<String> {
        lock(&self.confirmed).clone()
    }

    /// Sends messages until the connection breaks or `next` returns None. Returns true if no message is left
    /// unanswered.
    fn mail(&self, smtp: SocketAddr, mut next: impl FnMut() -> Option<String>) -> bool {
        let Ok(mut smtp) = Smtp::connect(smtp) else {
            return false;
        };
        loop {
            let again = lock(&self.unacknowledged).pop();
            let Some(marker) = again.or_else(&mut next) else {
                return true;
            };
            lock(&self.sent).entry(marker.clone()).or_default();
            let to: Vec<_> = portals(&marker)
                .iter()
                .map(|portal| match *portal {
                    "it" => "it-help@corp.example",
                    _ => "hr@corp.example",
                })
                .collect();
            let reply = smtp.send_to(&sender(&marker), &to, &message(&marker));
            match reply {
                Ok(reply) if reply.starts_with("250 ") => {
                    let id = reply.trim().rsplit(' ').next().expect("an id");
                    lock(&self.sent)
                        .entry(marker)
                        .or_default()
                        .push(id.to_owned());
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                // The MTA keeps it and tries again.
                Ok(reply) if reply.starts_with('4') => {
                    lock(&self.unacknowledged).push(marker);
                    *lock(&self.refusal) = Some(reply);
                    return false;
                }
                Ok(reply) => panic!("refused for good: {reply}"),
                Err(_) => {
                    lock(&self.unacknowledged).push(marker);
                    return false;
                }
            }
        }
    }

    /// Presses the button in each new mail of a person who verifies.
    pub fn press(&self, http: SocketAddr, verification_mails: &Path) {
        let Ok(entries) = fs::read_dir(verification_mails) else {
            return;
        };
        for entry in entries.flatten() {
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if is_hidden || !lock(&self.pressed).insert(entry.path()) {
                continue;
            }
            let verification_mail = fs::read_to_string(entry.path()).expect("a verification mail");
            let to = recipient(&verification_mail);
            if !to.starts_with("proves.") {
                continue;
            }
            let link = link_in(&verification_mail).expect("a link");
            let pressed = try_http(http, "POST", &link, &[("action", "confirm")]);
            if let Ok((200, _)) = pressed {
                lock(&self.confirmed).insert(to);
            }
        }
    }

    /// The last temporary failure since the previous call.
    pub fn refusal(&self) -> Option<String> {
        lock(&self.refusal).take()
    }

    /// Sends the unanswered messages, and one more.
    pub fn send_one(&self, smtp: SocketAddr, round: usize) {
        let number = self.single.fetch_add(1, Ordering::Relaxed);
        let mut one = Some(format!("passes-r{round}c{CLIENTS}n{number}"));
        self.mail(smtp, || one.take());
    }

    /// Replaces each id that another program gave in its acknowledgement with the ids that Vestibule gave it for
    /// that message.
    pub fn translate(&self, ids: impl Fn(&str) -> Vec<String>) {
        for given in lock(&self.sent).values_mut() {
            *given = given.iter().flat_map(|id| ids(id)).collect();
        }
    }

    /// Sends the unanswered messages, to a running daemon.
    pub fn send_the_rest(&self, smtp: SocketAddr) {
        assert!(
            self.mail(smtp, || None),
            "a running daemon accepts all of it"
        );
    }
}

/// The address after `To:`.
pub fn recipient(verification_mail: &str) -> String {
    let line = verification_mail
        .lines()
        .find_map(|line| line.strip_prefix("To: "))
        .expect("a recipient");
    line.trim().to_owned()
}

/// Clients and people at work, until they are stopped or the only daemon has ended.
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(harness: &Harness, book: &Arc<Book>, round: usize) -> Self {
        Self::over(std::slice::from_ref(harness), book, round)
    }

    /// Like [`start`](Self::start), over several daemons: a client that is refused by one moves on to the next, and
    /// each link is opened at a daemon other than the one that sent it.
    pub fn over(nodes: &[Harness], book: &Arc<Book>, round: usize) -> Self {
        let hosts: Vec<_> = nodes.iter().map(|node| node.smtp).collect();
        let mut load = Self::of_clients(&hosts, usize::MAX, book, round);
        for (number, node) in nodes.iter().enumerate() {
            let (book, stopping) = (book.clone(), load.stop.clone());
            let http = nodes[(number + 1) % nodes.len()].http;
            let verification_mails = node.path("letters");
            load.threads.push(std::thread::spawn(move || {
                while !stopping.load(Ordering::Relaxed) {
                    book.press(http, &verification_mails);
                    // People pause a little.
                    std::thread::sleep(Duration::from_millis(10));
                }
            }));
        }
        load
    }

    /// Starts clients only, each with at most `most` messages.
    pub fn of_clients(hosts: &[SocketAddr], most: usize, book: &Arc<Book>, round: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let work = |client: usize| {
            let (book, stop, hosts) = (book.clone(), stop.clone(), hosts.to_vec());
            std::thread::spawn(move || {
                let mut dice = Dice((round * CLIENTS + client) as u64);
                let mut number = 0;
                let mut next = || {
                    if number == most || stop.load(Ordering::Relaxed) {
                        return None;
                    }
                    number += 1;
                    let which = usize::try_from(dice.throw(FATES.len() as u64));
                    let (word, _) = FATES[which.expect("small")];
                    Some(format!("{word}-r{round}c{client}n{number}"))
                };
                let mut host = client;
                while !book.mail(hosts[host % hosts.len()], &mut next)
                    && hosts.len() > 1
                    && !stop.load(Ordering::Relaxed)
                {
                    host += 1;
                }
            })
        };
        let threads = (0..CLIENTS).map(work).collect();
        Self { stop, threads }
    }

    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("nothing unexpected was answered");
        }
    }
}
