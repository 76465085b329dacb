//! The same with the load generator of our own, `examples/load.rs`, which takes less of the machine than
//! `smtp-source` and so shows more of what the daemon can do.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

/// What the client saw.
pub struct Seen {
    pub per_second: f64,
    /// From the end of a message to its answer, in microseconds: the median, and the 99th percentile.
    pub median: f64,
    pub late: f64,
}

/// Sends messages of 5 KiB; `one_by_one` waits for each answer as `smtp-source` does.
pub fn send(server: SocketAddr, connections: usize, messages: usize, one_by_one: bool) -> Seen {
    let mut client = Command::new(env!("CARGO"));
    client
        .args(["run", "--quiet", "--release", "--example", "load", "--"])
        .arg(server.to_string())
        .args(["--to", "it-help@corp.example"])
        .args(["--connections", &connections.to_string()])
        .args(["--messages", &messages.to_string()]);
    if one_by_one {
        client.arg("--one-by-one");
    }
    let output = client.output().expect("cargo");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the load generator failed: {complaint}"
    );
    let seen: Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
    let number = |name: &str| seen[name].as_f64().expect(name);
    Seen {
        per_second: number("per_second"),
        median: number("p50_us"),
        late: number("p99_us"),
    }
}
