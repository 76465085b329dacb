//! Promises to hooks: each event since the subscription is delivered at least once, under one id, in order for each
//! account, and nothing is queued for a hook that was removed.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use vestibule::config::Config;
use vestibule::delivery;
use vestibule::domain::{Actor, DestinationName, Interface, RequestState, Timestamp};
use vestibule::outbound::webhook_signature;

use super::harness::{Harness, trusted_clock, until};
use super::help_desk::{HelpDesk, ReceivedCall};

const UNLIMITED: usize = 1_000_000;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOBODY: &str = "type = \"smtp\"\nurl = \"smtp://127.0.0.1:1\"";

/// A hook for the configuration, after the destination `shop`.
fn hook(help_desk: &HelpDesk, events: &str) -> String {
    format!(
        "{NOBODY}\n[[hook]]\nname = \"directory\"\nurl = \"http://127.0.0.1:{}/\"\n\
         events = {events}\nallow_private = true\nretry = [\"1s\"]",
        help_desk.port
    )
}

fn directory() -> DestinationName {
    DestinationName::parse("directory").expect("a name")
}

fn told(post: &ReceivedCall) -> Value {
    serde_json::from_slice(&post.body).expect("JSON")
}

async fn waiting(harness: &Harness) -> u64 {
    let count = harness.store.hook_count(directory()).await;
    count.expect("read").waiting
}

/// Subscribes the hooks, as the daemon does when it loads the configuration.
async fn subscribe(harness: &Harness, config: &Config) {
    let hooks = config.hooks.iter();
    let hooks = hooks.map(|hook| (hook.name.clone(), hook.events.clone()));
    let done = harness
        .store
        .subscribe_hooks(hooks.collect(), "", jiff::Timestamp::now())
        .await;
    done.expect("written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_an_account_are_sent_in_order_and_signed() {
    let help_desk = HelpDesk::open(0, UNLIMITED).await;
    let settings = format!(
        "{}\nsecret_file = \"secret\"",
        hook(&help_desk, "[\"account.*\", \"request.*\"]")
    );
    let harness = Harness::open_with(&settings, &[("secret", SECRET)]).await;
    let config = harness.config().borrow().clone();
    subscribe(&harness, &config).await;
    // Events are queued before any worker runs, and delivered after the start.
    let request = harness.mail("it", 1).await;
    assert_eq!(waiting(&harness).await, 2);
    let workers = harness.start();
    until("told", async || {
        help_desk.posts().len() == 3 && waiting(&harness).await == 0
    })
    .await;
    workers.drain().await;

    let posts = help_desk.whole_posts();
    let events: Vec<Value> = posts.iter().map(told).collect();
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().expect("a type"))
        .collect();
    assert_eq!(
        kinds,
        ["account.created", "request.released", "request.delivered"]
    );
    for (post, event) in posts.iter().zip(&events) {
        let secret = SecretString::from(SECRET);
        let (seconds, signature) = &post.signed;
        let seconds = seconds.parse().expect("seconds");
        let expected = webhook_signature::sign(&secret, &post.id, seconds, &post.body);
        assert_eq!(Some(signature), expected.as_ref());
        let account = &event["data"]["account"];
        assert_eq!(account["address"], "customer1@shop.example");
        assert_eq!(account["kind"], "external");
        assert_eq!(account["status"], "active");
        let text = event.to_string();
        assert!(
            !text.contains("Request 1") && !text.contains("on fire"),
            "{text}"
        );
    }
    assert_eq!(events[0]["data"]["request"], Value::Null);
    assert_eq!(events[1]["data"]["request"]["state"], "released");
    let delivered = &events[2]["data"]["request"];
    assert_eq!(delivered["id"], request.to_string());
    assert_eq!(delivered["portal"], "it");
    assert_eq!(delivered["state"], "delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_hook_gets_all_calls_in_order_and_delays_no_other() {
    const PEOPLE: usize = 20;
    let help_desk = HelpDesk::open(3, UNLIMITED).await;
    let harness = Harness::open(&hook(&help_desk, "[\"account.created\", \"request.*\"]")).await;
    let config = harness.config().borrow().clone();
    subscribe(&harness, &config).await;
    let workers = harness.start();
    for number in 0..PEOPLE {
        harness.mail("it", number).await;
    }
    until("the Maildir has all", async || {
        harness.in_state("it", RequestState::Delivered).await.len() == PEOPLE
    })
    .await;
    until("the hook knows all", async || waiting(&harness).await == 0).await;
    workers.drain().await;

    let mut taken: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut bodies: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for post in help_desk.whole_posts() {
        // A retry is the same call under the same id.
        let first = bodies
            .entry(post.id.clone())
            .or_insert_with(|| post.body.clone());
        assert_eq!(*first, post.body);
        if post.is_taken {
            let event = told(&post);
            let address = event["data"]["account"]["address"].to_string();
            taken
                .entry(address)
                .or_default()
                .push(event["type"].as_str().expect("a type").to_owned());
        }
    }
    assert_eq!(taken.len(), PEOPLE);
    for (address, events) in taken {
        assert_eq!(
            events,
            ["account.created", "request.released", "request.delivered"],
            "{address}"
        );
    }
    assert!(help_desk.posts().len() > 3 * PEOPLE, "some failed");
}

#[test]
fn a_crash_before_the_record_repeats_the_call_under_the_same_id() {
    let here = Runtime::new().expect("a runtime");
    let (harness, help_desk) = here.block_on(async {
        let help_desk = HelpDesk::open(0, 0).await;
        let harness = Harness::open(&hook(&help_desk, "[\"account.created\"]")).await;
        let config = harness.config().borrow().clone();
        subscribe(&harness, &config).await;
        harness.mail("it", 1).await;
        (harness, help_desk)
    });
    let daemon = Runtime::new().expect("a runtime");
    daemon.spawn(delivery::run(
        harness.config(),
        harness.store_again(),
        trusted_clock(),
        CancellationToken::new(),
    ));
    here.block_on(until("posted", async || help_desk.posts().len() == 1));
    // The hook has processed it, but its answer is lost.
    daemon.shutdown_background();

    here.block_on(async {
        let workers = harness.start();
        until("posted again", async || help_desk.posts().len() == 2).await;
        help_desk.answer(2);
        until("recorded", async || waiting(&harness).await == 0).await;
        workers.drain().await;
    });
    let ids: Vec<String> = help_desk.posts().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_paused_hook_is_called_later_and_a_removed_one_never() {
    let help_desk = HelpDesk::open(0, UNLIMITED).await;
    let harness = Harness::open(&hook(&help_desk, "[\"account.created\"]")).await;
    let config = harness.config().borrow().clone();
    subscribe(&harness, &config).await;
    let pause = async |paused| {
        let by = Actor::operator("root", Interface::CommandLine);
        let now = Timestamp::now();
        let done = harness
            .store
            .pause_destination(directory(), paused, by, now);
        done.await.expect("done");
    };
    pause(true).await;
    let workers = harness.start();
    harness.mail("it", 1).await;
    until("delivered", async || harness.messages("Maildir").len() == 1).await;
    assert_eq!((help_desk.posts().len(), waiting(&harness).await), (0, 1));
    pause(false).await;
    until("told", async || help_desk.posts().len() == 1).await;

    // Queued calls are removed together with the hook.
    pause(true).await;
    harness.mail("it", 2).await;
    harness.reload("Maildir", NOBODY);
    until("removed", async || waiting(&harness).await == 0).await;
    harness.mail("it", 3).await;
    assert_eq!(waiting(&harness).await, 0);
    pause(false).await;
    workers.drain().await;
    assert_eq!(help_desk.posts().len(), 1);
}

#[tokio::test]
async fn a_refused_call_is_repeated_when_an_operator_retries() {
    let help_desk = HelpDesk::open(10, UNLIMITED).await;
    let harness = Harness::open(&format!(
        "{}\ngive_up_after = \"1s\"",
        hook(&help_desk, "[\"account.created\", \"request.released\"]")
    ))
    .await;
    let config = harness.config().borrow().clone();
    subscribe(&harness, &config).await;
    let workers = harness.start();
    harness.mail("it", 1).await;
    let count = async || harness.store.hook_count(directory()).await.expect("read");
    until("given up", async || count().await.failed == 2).await;
    let before = help_desk.posts();
    help_desk.recover();
    let failed = harness
        .store
        .retry_hook_calls(
            directory(),
            Actor::operator("root", Interface::CommandLine),
            Timestamp::now(),
        )
        .await
        .expect("done");
    assert_eq!(failed, 2);
    until("told", async || {
        let count = count().await;
        count.failed == 0 && count.waiting == 0
    })
    .await;
    workers.drain().await;
    let later: Vec<ReceivedCall> = help_desk.whole_posts().split_off(before.len());
    let events: Vec<Value> = later.iter().map(told).collect();
    assert_eq!(events[0]["type"], "account.created");
    assert_eq!(events[1]["type"], "request.released");
    assert!(
        later
            .iter()
            .all(|post| before.iter().any(|(id, _)| *id == post.id))
    );

    // They are deleted after the retention period.
    let much_later = Timestamp::now() + std::time::Duration::from_hours(1);
    let keep = std::time::Duration::from_mins(1);
    let forgotten = harness
        .store
        .delete_settled_calls(much_later, keep, 100)
        .await;
    assert_eq!(forgotten.expect("done").done, 2);
}

#[test]
fn a_hook_with_the_name_of_a_destination_is_refused() {
    // Pausing by this name would pause both.
    let folder = tempfile::tempdir().expect("a folder");
    let text = super::harness::text(
        "Maildir",
        &format!("{NOBODY}\n[[hook]]\nname = \"it\"\nurl = \"https://desk.example/\"\nevents = []"),
    );
    let refused = Config::parse(&text, &folder.path().join("vestibule.toml"));
    let mistakes = refused.expect_err("two mistakes").to_string();
    assert!(
        mistakes.contains("hook.name: it is a destination"),
        "{mistakes}"
    );
    assert!(
        mistakes.contains("hook.events: names no event"),
        "{mistakes}"
    );
}

/// A canary has an account while it is in flight.
#[tokio::test]
async fn hooks_get_no_events_of_canaries() {
    let help_desk = HelpDesk::open(0, UNLIMITED).await;
    let events = "[\"account.*\", \"request.*\", \"verification.*\"]";
    let harness = Harness::open(&hook(&help_desk, events)).await;
    let config = harness.config().borrow().clone();
    subscribe(&harness, &config).await;
    let canary = vestibule::domain::canary::sender().to_string();
    harness.mail_from(canary, "it", 1).await;
    assert_eq!(waiting(&harness).await, 0);
    harness.mail("it", 2).await;
    assert!(waiting(&harness).await > 0);
}
