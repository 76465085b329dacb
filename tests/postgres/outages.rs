//! Outages of destinations, which one node records for all.

use crate::nodes::{configuration, number};
use crate::support::client::send;
use crate::support::harness::{Harness, wait_for};
use crate::support::postgres::server;

#[test]
fn a_node_that_starts_keeps_an_outage_until_a_message_is_delivered() {
    let schema = server().schema();
    let mut node = Harness::start(&configuration(&schema.url));
    for action in ["add", "verify"] {
        let done = node.run(&["customers", action, "bob@corp.example"]);
        assert_eq!(done.status, 0, "{}", done.err);
    }
    node.kill();
    server().run(
        &schema.name,
        "INSERT INTO down_destination (destination, since, next_try_at, last_error)
             VALUES ('desk', 1, 1, 'refused at another node')",
    );
    node.restart();
    let next = "SELECT coalesce(max(next_try_at), 0) FROM down_destination
         WHERE since = 1 AND last_error = 'refused at another node'";
    wait_for("the outage at this node", || {
        (number(&schema, next) > 1).then_some(())
    });
    send(node.smtp, "bob@corp.example", "trial");
    wait_for("the delivery", || node.delivered().pop());
    let recorded = "SELECT count(*) FROM down_destination";
    wait_for("the end of the outage", || {
        (number(&schema, recorded) == 0).then_some(())
    });
}
