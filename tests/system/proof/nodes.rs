//! Two daemons on one PostgreSQL server: behind a real Postfix while one of them dies, hangs or is restarted, and
//! killed at random under load. Every message is accounted for.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::account::{Account, settle_all};
use super::crash::PLACES;
use super::help_desk::HelpDesk;
use super::load::{Book, Fate, Load, configuration};
use super::rows::Rows;
use super::{Dice, is_long, rounds};
use crate::postfix::Postfix;
use crate::support::harness::{Harness, Signal, wait_for};
use crate::support::port::Port;
use crate::support::postgres::server;

/// Two daemons and their shared store, help desk and records.
struct Cluster {
    nodes: [Harness; 2],
    rows: Rows,
    help_desk: HelpDesk,
    book: Arc<Book>,
}

impl Cluster {
    /// Starts daemons at these addresses, which they bind again after each restart.
    fn start(listen: [&str; 2]) -> Self {
        let help_desk = HelpDesk::open();
        let schema = server().schema();
        let nodes = listen.map(|listen| {
            let configuration = configuration(&help_desk).replacen("127.0.0.1:0", listen, 1);
            let url = &schema.url;
            Harness::start(&format!(
                "{configuration}\n[store]\ntype = \"postgres\"\nurl = \"{url}\"\n"
            ))
        });
        Self {
            nodes,
            rows: Rows::Schema(schema),
            help_desk,
            book: Arc::default(),
        }
    }

    fn entries(&self) -> i64 {
        self.rows.number("SELECT count(*) FROM ledger")
    }

    /// Waits until `count` more entries are recorded, by either daemon.
    fn wait_for_more(&self, count: i64) {
        let goal = self.entries() + count;
        wait_for("more mail", || (self.entries() >= goal).then_some(()));
    }

    /// Starts a daemon that was killed. The short form first pretends that half a minute has passed: until then its
    /// claims could be those of a daemon that is still running.
    fn restart(&mut self, node: usize) {
        if let (Rows::Schema(schema), false) = (&self.rows, is_long()) {
            server().run(&schema.name, "UPDATE node SET seen_at = seen_at - 30000");
        }
        self.nodes[node].restart();
    }

    fn settle(&self) -> Account {
        settle_all(&self.nodes, &self.rows, &self.book, &self.help_desk)
    }
}

/// Number of messages that are still in Postfix's queue.
fn queued(postfix: &Postfix) -> usize {
    fn files(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| match entry.file_type() {
                Ok(kind) if kind.is_dir() => files(&entry.path()),
                _ => 1,
            })
            .sum()
    }
    let spool = postfix.folder.path().join("spool");
    let queues = ["maildrop", "incoming", "active", "deferred"];
    queues.iter().map(|queue| files(&spool.join(queue))).sum()
}

/// Ids in the answers of Vestibule to one message of Postfix's queue.
fn ids_of(log: &str, queue_id: &str) -> Vec<String> {
    let start = format!(": {queue_id}: ");
    let sent = log.lines().filter(|line| line.contains(&start));
    let answers = sent.filter_map(|line| line.split_once("status=sent (250 "));
    let mut ids: Vec<_> = answers
        .map(|(_, answer)| answer.trim_end_matches(')').rsplit(' ').next())
        .map(|id| id.expect("an id").to_owned())
        .collect();
    ids.dedup();
    ids
}

#[test]
fn postfix_hands_each_message_to_one_of_two_daemons_while_one_dies_hangs_or_restarts() {
    let ports = [Port::reserve(), Port::reserve()];
    let places = ports.each_ref().map(|port| port.address.to_string());
    let mut cluster = Cluster::start(places.each_ref().map(String::as_str));
    let next_hops = ports
        .each_ref()
        .map(|port| format!("[127.0.0.1]:{}", port.address.port()))
        .join(", ");
    // Postfix's default times are minutes.
    let postfix = Postfix::start(
        &["ann@corp.example"],
        &format!(
            "virtual_mailbox_domains =\nrelay_domains = corp.example\n\
             transport_maps = inline:{{ {{ it-help@corp.example = smtp:{next_hops} }}, \
             {{ hr@corp.example = smtp:{next_hops} }} }}\n\
             smtp_helo_timeout = 5s\nsmtp_data_done_timeout = 20s\n"
        ),
    );
    let mut round = 0;
    let mut under_load = |cluster: &mut Cluster, event: &mut dyn FnMut(&mut Cluster)| {
        let load = Load::of_clients(&[postfix.smtp], 60, &cluster.book, round);
        cluster.wait_for_more(20);
        event(cluster);
        load.stop();
        // A second load: all mail of the first may have been accepted during the event.
        let goal = cluster.entries() + 20;
        let load = Load::of_clients(&[postfix.smtp], 10, &cluster.book, round + 1);
        wait_for("mail after the event", || {
            (cluster.entries() >= goal).then_some(())
        });
        load.stop();
        round += 2;
    };
    under_load(&mut cluster, &mut |cluster| {
        cluster.nodes[0].kill();
        cluster.wait_for_more(20);
        cluster.restart(0);
    });
    under_load(&mut cluster, &mut |cluster| {
        cluster.nodes[0].signal(Signal::STOP);
        cluster.wait_for_more(20);
        cluster.nodes[0].signal(Signal::CONT);
    });
    under_load(&mut cluster, &mut |cluster| {
        for node in 0..2 {
            cluster.nodes[node].signal(Signal::TERM);
            assert_eq!(cluster.nodes[node].exit_status(), Some(0));
            cluster.restart(node);
        }
    });
    wait_for("an empty queue", || (queued(&postfix) == 0).then_some(()));
    let log = postfix.log();
    for port in &ports {
        let relay = format!("relay=127.0.0.1[127.0.0.1]:{},", port.address.port());
        let took = |line: &str| line.contains(&relay) && line.contains("status=sent");
        assert!(log.lines().any(took), "{relay} {log}");
    }
    cluster.book.translate(|queue_id| ids_of(&log, queue_id));

    // No daemon dies while these are delivered.
    let sent = cluster.book.sent();
    let held: Vec<_> = sent
        .keys()
        .filter(|marker| Fate::of(marker) == Fate::Proves)
        .collect();
    // The daemon that died may also have sent the mail: then the next mail has to wait for an hour.
    let unsent = "SELECT count(*) FROM account WHERE domain = 'corp.example' AND NOT EXISTS (
             SELECT 1 FROM letter WHERE account = account.n AND attempts > 0)
         OR EXISTS (SELECT 1 FROM letter WHERE state = 'claimed')";
    wait_for("the verification mail", || {
        (cluster.rows.number(unsent) == 0).then_some(())
    });
    for [node, other] in [[0, 1], [1, 0]] {
        let letters = cluster.nodes[node].path("letters");
        cluster.book.press(cluster.nodes[other].http, &letters);
    }
    let account = cluster.settle();
    println!("behind Postfix: {account:?}");
    assert!(account.held > 0 && !held.is_empty(), "{account:?}");
    let copies = cluster.help_desk.copies();
    for marker in held {
        let count = copies.get(marker).map_or(0, Vec::len);
        assert!(
            count <= 1,
            "{marker} was released once and is there {count} times"
        );
    }
}

#[test]
fn nothing_is_lost_when_two_daemons_are_killed_in_turn() {
    let mut dice = Dice(u64::from(std::process::id()));
    let mut cluster = Cluster::start(["127.0.0.1:0"; 2]);
    let (count, mut kills, mut round) = (rounds(8, 500), 0, 0);
    let mut throw = |sides: u64| usize::try_from(dice.throw(sides)).expect("small");
    while kills < count {
        let doomed = throw(2);
        // At a chosen failpoint, if the daemon reaches it in time.
        if throw(3) == 0 {
            let (place, before) = PLACES[throw(PLACES.len() as u64)];
            let place = format!("{place}:{}", before + throw(8) as u64 + 1);
            cluster.nodes[doomed].kill();
            cluster.nodes[doomed].restart_with(&[("VESTIBULE_FAILPOINT", &place)]);
            kills += 1;
        }
        let load = Load::over(&cluster.nodes, &cluster.book, round);
        let taken = |cluster: &mut Cluster, more: usize| {
            let goal = cluster.book.acknowledged() + more;
            wait_for("some acknowledgements", || {
                let is_gone = !cluster.nodes[doomed].is_running();
                (is_gone || cluster.book.acknowledged() >= goal).then_some(())
            });
        };
        taken(&mut cluster, 1 + throw(30));
        std::thread::sleep(Duration::from_micros(throw(5000) as u64));
        cluster.nodes[doomed].kill();
        kills += 1;
        // The other daemon continues, or dies as well.
        if throw(8) == 0 {
            load.stop();
            cluster.nodes[1 - doomed].kill();
            kills += 1;
            cluster.restart(1 - doomed);
            cluster.restart(doomed);
        } else {
            let goal = cluster.book.acknowledged() + 5;
            wait_for("mail at the other daemon", || {
                (cluster.book.acknowledged() >= goal).then_some(())
            });
            cluster.restart(doomed);
            load.stop();
        }
        round += 1;
    }
    // There is enough mail of each kind to account for.
    let load = Load::over(&cluster.nodes, &cluster.book, round);
    wait_for("some of everything", || {
        let is_much = cluster.book.acknowledged() > 12 * round;
        (is_much && !cluster.book.confirmed().is_empty()).then_some(())
    });
    load.stop();
    cluster.book.send_the_rest(cluster.nodes[0].smtp);
    let account = cluster.settle();
    println!("{kills} deaths of two daemons survived: {account:?}");
    assert!(
        account.delivered > round && account.held > round,
        "{account:?}"
    );
}
