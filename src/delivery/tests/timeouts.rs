//! Tests of the longest duration of an attempt. A lease is 61 s longer, and `docs/cluster.md` names the sums.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::delivery::DestinationClient;
use crate::delivery::hook_queue::HookQueue;
use crate::domain::{DestinationName, Timestamp};
use crate::outbound::queue::WorkQueue;
use crate::store::Store;

const CONFIGURATION: &str = r#"
    hostname = "gate.corp.example"
    data_dir = "/nowhere"
    [[portal]]
    name = "it"
    addresses = ["it-help@corp.example"]
    destination = "maildir"
    [destination.smtp]
    type = "smtp"
    url = "smtp://desk.corp.example"
    [destination.maildir]
    type = "maildir"
    path = "/nowhere/maildir"
    [destination.webhook]
    type = "webhook"
    url = "https://desk.corp.example/mail"
    timeout = "2m"
    [destination.command]
    type = "command"
    program = "/nowhere/open-ticket"
    timeout = "2m"
    [[hook]]
    name = "directory"
    events = ["account.*"]
    url = "https://directory.corp.example/vestibule"
    timeout = "2m"
    [outgoing]
    type = "file"
    dir = "/nowhere/outgoing"
    [verification]
    from = "IT Help <no-reply@corp.example>"
"#;

#[tokio::test]
async fn an_attempt_ends_within_the_time_from_which_the_lease_follows() {
    let config = Config::parse(CONFIGURATION, Path::new("/nowhere/vestibule.toml"))
        .expect("a good configuration");
    for (name, seconds) in [
        ("smtp", 610),
        ("maildir", 300),
        ("webhook", 130),
        ("command", 130),
    ] {
        let name = DestinationName::parse(name).expect("a name");
        let client = DestinationClient::new(&config.destinations[&name], &hostname());
        assert_eq!(client.timeout(), Duration::from_secs(seconds), "{name}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
    let (checked, _) = Clock::start(None, Timestamp::now(), Instant::now());
    let hook = HookQueue::of(&config.hooks[0], store, clock::channel(checked).1);
    assert_eq!(hook.timeout(), Duration::from_secs(130));
}
