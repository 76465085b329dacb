//! Tests of the longest duration of an attempt. A lease is 61 s longer; `docs/cluster.md` has the sums.

use std::time::{Duration, Instant};

use super::*;
use crate::clock::{self, Clock};
use crate::delivery::DestinationClient;
use crate::delivery::hook_queue::HookQueue;
use crate::domain::{DestinationName, Timestamp};
use crate::outbound::queue::WorkQueue;
use crate::store::Store;
use crate::verification::tests::sample;

/// Beside the Maildir of the sample.
const DESTINATIONS_AND_HOOK: &str = r#"
    [destination.smtp]
    type = "smtp"
    url = "smtp://desk.corp.example"
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
"#;

#[tokio::test]
async fn an_attempt_ends_within_the_time_from_which_the_lease_follows() {
    let config = sample::config(DESTINATIONS_AND_HOOK);
    for (name, seconds) in [
        ("smtp", 610),
        ("helpdesk", 300),
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
