//! `250` means on disk: what was acknowledged is there after SIGKILL.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::client::{Smtp, message, send};
use crate::house::{House, STANDARD, wait_for};

#[test]
fn a_message_survives_a_kill_the_moment_after_its_250() {
    let mut house = House::start(STANDARD);
    send(house.smtp, "ann@corp.example", "survivor");
    house.kill();
    house.restart();
    let requests = house.json(&["requests", "list"]);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["message_id"], "survivor@client.example");
    // The letter is not waited for: one that was on its way at the kill may have been sent, and is
    // sent again only after its lease and within the limits.
}

/// Ten times: load from several clients, a kill in the midst of it, a restart, and every message that
/// was acknowledged is accounted for, exactly once.
#[test]
fn ten_kills_under_load_lose_nothing() {
    const ROUNDS: usize = 10;
    const CLIENTS: usize = 4;
    let mut house = House::start(STANDARD);
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (acknowledged, stop, smtp) = (acknowledged.clone(), stop.clone(), house.smtp);
                std::thread::spawn(move || {
                    let Ok(mut smtp) = Smtp::connect(smtp) else {
                        return;
                    };
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let marker = format!("r{round}c{client}n{number}");
                        let from = format!("bob{client}@partner.example");
                        let message = message(&from, &marker);
                        match smtp.send(&from, "it-help@corp.example", &message) {
                            Ok(reply) if reply.starts_with("250") => {
                                acknowledged.lock().expect("no panic").insert(marker);
                            }
                            _ => return,
                        }
                    }
                })
            })
            .collect();
        let goal = acknowledged.lock().expect("no panic").len() + 50;
        wait_for("some acknowledgements", || {
            (acknowledged.lock().expect("no panic").len() >= goal).then_some(())
        });
        house.kill();
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("a client ends");
        }
        house.restart();
    }

    let acknowledged = acknowledged.lock().expect("no panic").clone();
    let limit = "1000000";
    let requests = house.json(&["requests", "list", "--limit", limit]);
    let mut recorded: Vec<_> = requests
        .iter()
        .map(|request| {
            let id = request["message_id"].as_str().expect("a Message-ID");
            id.trim_end_matches("@client.example").to_owned()
        })
        .collect();
    recorded.sort_unstable();
    let distinct: BTreeSet<_> = recorded.iter().cloned().collect();
    assert_eq!(
        recorded.len(),
        distinct.len(),
        "no request stands there twice"
    );
    let lost: Vec<_> = acknowledged.difference(&distinct).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");

    // And each of them reaches the help desk.
    wait_for("all deliveries", || {
        let delivered: BTreeSet<_> = house
            .delivered()
            .iter()
            .filter_map(|message| {
                let text = String::from_utf8_lossy(message);
                let start = text.find("The body of ")? + "The body of ".len();
                Some(text[start..].split('.').next()?.to_owned())
            })
            .collect();
        distinct.is_subset(&delivered).then_some(())
    });
}
