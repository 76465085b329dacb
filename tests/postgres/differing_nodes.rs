//! Nodes whose configurations differ, for example while one after the other gets a new one: no node takes away what
//! only another has.

use vestibule::domain::{DestinationName, EventPattern, Timestamp};
use vestibule::store::{Node, Store};

use crate::nodes::{configuration, number};
use crate::store_harness::open;
use crate::support::client::{Smtp, message};
use crate::support::harness::{Harness, Signal, wait_for};
use crate::support::postgres::{Schema, server};

/// A portal with a destination of its own.
const HR: &str = "
[[portal]]
name = \"hr\"
title = \"HR\"
addresses = [\"hr@corp.example\"]
destination = \"hr\"

[destination.hr]
type = \"maildir\"
path = \"hr\"
";

fn hook(name: &str) -> String {
    format!(
        "\n[[hook]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:9/\"\nallow_private = true\n\
         events = [\"account.*\"]\n"
    )
}

/// Records a node, with this digest of its hooks.
async fn record(store: &Store, id: &str, hooks: &str) {
    let node = Node {
        id: id.to_owned(),
        name: "gate-b".to_owned(),
        version: "1".to_owned(),
        configuration: hooks.to_owned(),
        sections: [("hook".to_owned(), hooks.to_owned())].into(),
        clock_offset: 0,
        started_at: Timestamp::now(),
        seen_at: Timestamp::now(),
    };
    store.record_node(node).await.expect("recorded");
}

/// Subscribes hooks with their events, and returns the names of those to be removed.
async fn subscribe(store: &Store, digest: &str, hooks: &[(&str, &[&str])]) -> Vec<String> {
    let name = |name: &str| DestinationName::parse(name).expect("a name");
    let pattern = |event: &&str| EventPattern::parse(event).expect("a pattern");
    let hooks = hooks
        .iter()
        .map(|(hook, events)| (name(hook), events.iter().map(pattern).collect()))
        .collect();
    let removed = store.subscribe_hooks(hooks, digest, Timestamp::now()).await;
    let removed = removed.expect("subscribed");
    removed.iter().map(ToString::to_string).collect()
}

fn subscriptions(schema: &Schema) -> Vec<String> {
    let sql = "SELECT name || ' ' || events FROM hook ORDER BY name";
    server().run(&schema.name, sql)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_unsubscribed_before_all_nodes_have_the_same_hooks() {
    let schema = server().schema();
    let store = open(&schema.url).await;
    record(&store, "other", "old").await;
    record(&store, store.node_id(), "old").await;
    let before: &[(&str, &[&str])] = &[
        ("directory", &["account.*", "message.dropped"]),
        ("siem", &["operator.login_failed"]),
    ];
    assert!(subscribe(&store, "old", before).await.is_empty());

    let after: &[(&str, &[&str])] = &[("directory", &["request.held", "account.*"])];
    for _ in 0..2 {
        assert!(subscribe(&store, "new", after).await.is_empty());
        assert_eq!(
            subscriptions(&schema),
            [
                "directory [\"account.*\",\"message.dropped\",\"request.held\"]",
                "siem [\"operator.login_failed\"]"
            ]
        );
    }
    // The other node must not compare with the hooks that this one had before.
    let own = "SELECT count(*) FROM node WHERE id <> 'other' AND sections = '{\"hook\":\"new\"}'";
    assert_eq!(number(&schema, own), 1);
    let cursors = "SELECT count(*) FROM hook WHERE told_entry IS NOT NULL";
    assert_eq!(number(&schema, cursors), 1);

    record(&store, "other", "new").await;
    assert_eq!(subscribe(&store, "new", after).await, ["siem"]);
    let agreed = ["directory [\"request.held\",\"account.*\"]", "siem []"];
    assert_eq!(subscriptions(&schema), agreed);
    assert_eq!(number(&schema, cursors), 0);
    // Its removal was decided, so it goes on.
    record(&store, "other", "old").await;
    assert_eq!(subscribe(&store, "new", after).await, ["siem"]);
    assert_eq!(subscriptions(&schema), agreed);
}

/// A node removes the hooks that no listed node has.
#[test]
fn a_new_node_is_listed_before_its_hooks_are_subscribed() {
    let schema = server().schema();
    let text = format!("{}{}", configuration(&schema.url), hook("directory"));
    let mut node = Harness::at_rest(&text);
    node.json(&["migrate"]);
    server().run(
        &schema.name,
        "CREATE FUNCTION refuse_hook() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NOT EXISTS (SELECT FROM node) THEN RAISE EXCEPTION 'no node is listed'; END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse_hook BEFORE INSERT ON hook
             FOR EACH ROW EXECUTE FUNCTION refuse_hook()",
    );
    node.restart();
    wait_for("the subscription, or its refusal", || {
        let is_refused = node.log().contains("no node is listed");
        assert!(!is_refused, "{}", node.log());
        (number(&schema, "SELECT count(*) FROM hook") == 1).then_some(())
    });
}

#[test]
fn a_starting_node_leaves_the_hooks_and_outages_of_another_alone() {
    let schema = server().schema();
    let both = configuration(&schema.url);
    let first = format!("{both}{HR}{}", hook("directory"));
    let first = Harness::start(&first);
    let subscribed = |name: &str| {
        let sql = format!("SELECT count(*) FROM hook WHERE name = '{name}' AND events <> '[]'");
        number(&schema, &sql)
    };
    wait_for("the hook and the record of the first node", || {
        let nodes = number(&schema, "SELECT count(*) FROM node");
        (subscribed("directory") == 1 && nodes == 1).then_some(())
    });
    server().run(
        &schema.name,
        "INSERT INTO down_destination (destination, since, next_try_at, last_error)
             VALUES ('desk', 1, 1, 'refused'), ('hr', 1, 1, 'refused')",
    );

    let second = Harness::start(&format!("{both}{}", hook("siem")));
    // It takes over the outage of the destination that both have, before its workers start.
    wait_for("the second node's record of the outage", || {
        let sql =
            "SELECT count(*) FROM down_destination WHERE destination = 'desk' AND next_try_at = 1";
        (subscribed("siem") == 1 && number(&schema, sql) == 0).then_some(())
    });
    assert_eq!(subscribed("directory"), 1);
    let of_hr = "SELECT count(*) FROM down_destination WHERE destination = 'hr'";
    assert_eq!(number(&schema, of_hr), 1);

    // Once both have the same hooks, the other hook is removed.
    std::fs::copy(first.path("vestibule.toml"), second.path("vestibule.toml")).expect("a copy");
    second.signal(Signal::HUP);
    wait_for("the removal of the hook", || {
        let left = number(&schema, "SELECT count(*) FROM hook WHERE name = 'siem'");
        (left == 0 && subscribed("directory") == 1).then_some(())
    });

    // And so is the record of a destination that neither has.
    server().run(
        &schema.name,
        "INSERT INTO down_destination (destination, since, next_try_at, last_error)
             VALUES ('former', 1, 1, 'refused')",
    );
    wait_for("the end of the outage", || {
        let sql = "SELECT count(*) FROM down_destination WHERE destination = 'former'";
        (number(&schema, sql) == 0).then_some(())
    });
}

#[test]
fn a_starting_node_keeps_to_the_pause_that_a_destination_asked_for() {
    let schema = server().schema();
    let mut node = Harness::start(&format!("{}{HR}", configuration(&schema.url)));
    let run = |node: &Harness, args: &[&str]| {
        let done = node.run(args);
        assert_eq!(done.status, 0, "{args:?}: {}", done.err);
    };
    run(&node, &["customers", "add", "bob@corp.example"]);
    run(&node, &["customers", "verify", "bob@corp.example"]);
    run(&node, &["deliveries", "pause", "desk"]);
    let send = |node: &Harness, to: &str| {
        let from = "bob@corp.example";
        let message = message(from, if to.starts_with("hr") { "other" } else { "one" });
        let sent = Smtp::connect(node.smtp).and_then(|mut smtp| smtp.send(from, to, &message));
        let reply = sent.unwrap_or_else(|error| error.to_string());
        assert!(reply.starts_with("250"), "{reply}");
    };
    send(&node, "it-help@corp.example");
    node.kill();
    server().run(
        &schema.name,
        "DELETE FROM paused_destination;
         INSERT INTO down_destination (destination, since, next_try_at, last_error, requested)
             SELECT 'desk', now, now + 1800000, '429', 1
             FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) AS clock",
    );
    node.restart();
    send(&node, "hr@corp.example");
    wait_for("a delivery to the other destination", || {
        let sql = "SELECT count(*) FROM request WHERE portal = 'hr' AND state = 'delivered'";
        (number(&schema, sql) == 1).then_some(())
    });
    let waiting = "SELECT count(*) FROM request
         WHERE portal = 'it' AND state = 'released' AND attempts = 0";
    assert_eq!(number(&schema, waiting), 1);
}

#[test]
fn mail_for_a_portal_of_another_node_is_deferred_until_both_have_it() {
    let schema = server().schema();
    let base = configuration(&schema.url);
    let first = Harness::start(&format!("{base}{HR}"));
    let second = Harness::start(&base);
    let reply = |node: &Harness, to: &str| {
        let from = "bob@corp.example";
        let message = message(from, "one");
        let sent = Smtp::connect(node.smtp).and_then(|mut smtp| smtp.send(from, to, &message));
        sent.unwrap_or_else(|error| error.to_string())
    };
    // The first node notices the second at its next heartbeat.
    wait_for("both nodes", || {
        let nodes = number(&schema, "SELECT count(*) FROM node");
        let unknown = reply(&first, "nobody@corp.example");
        (nodes == 2 && unknown.starts_with("451 4.3.5")).then_some(())
    });
    let deferred = reply(&second, "hr@corp.example");
    assert!(deferred.starts_with("451 4.3.5"), "{deferred}");
    let accepted = reply(&first, "hr@corp.example");
    assert!(accepted.starts_with("250"), "{accepted}");

    // Its request waits for a node that has the portal, as this one says.
    let listed = second.json(&["requests", "list", "--portal", "hr"]);
    let id = listed[0]["id"].as_str().expect("an id");
    let released = second.run(&["requests", "release", id]);
    let cause = "portal hr is not in the configuration of this node";
    assert!(
        released.out.contains(cause),
        "{} {}",
        released.out,
        released.err
    );
    wait_for("the delivery by the node that has it", || {
        let sql = "SELECT count(*) FROM request WHERE portal = 'hr' AND state = 'delivered'";
        (number(&schema, sql) == 1).then_some(())
    });

    std::fs::copy(first.path("vestibule.toml"), second.path("vestibule.toml")).expect("a copy");
    second.signal(Signal::HUP);
    wait_for("equal portals", || {
        let is_final = |node| reply(node, "nobody@corp.example").starts_with("550 5.1.1");
        (is_final(&first) && is_final(&second)).then_some(())
    });
    let accepted = reply(&second, "hr@corp.example");
    assert!(accepted.starts_with("250"), "{accepted}");
}
