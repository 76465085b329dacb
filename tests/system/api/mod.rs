//! The API, used by programs that know nothing of it but its document.

mod contract;
mod generators;

use crate::support::client::send;
use crate::support::harness::{Harness, wait_for};

/// Accounts of both kinds; held, delivered and discarded requests; dropped messages; several revisions of the
/// settings.
fn fill(harness: &Harness) {
    for n in 0..4 {
        for sender in [
            "bob@partner.example",
            "ann@corp.example",
            "eve@stranger.example",
            "Zoë <zoe@xn--bcher-kva.example>",
        ] {
            send(harness.smtp, sender, &format!("m{n}"));
        }
    }
    harness.json(&["access", "allow", "acme.example"]);
    let held = harness.json(&["requests", "list", "--state", "held"]);
    let id = held[0]["id"].as_str().expect("an id");
    harness.json(&["requests", "discard", id]);
    wait_for("the deliveries", || {
        (harness.delivered().len() == 4).then_some(())
    });
}
