//! A load balancer in front of two nodes, with the backend of `docs/cluster.md`.

use std::process::{Child, Command, Stdio};

use crate::nodes::configuration;
use crate::support::client::try_http;
use crate::support::harness::{Folder, Harness, wait_for};
use crate::support::port::Port;
use crate::support::postgres::server;

/// The documented backend, with the addresses of these nodes.
fn backend(nodes: &[Harness; 2]) -> String {
    let page = include_str!("../../docs/cluster.md");
    let start = page.find("backend vestibule").expect("the backend");
    let block = page[start..].split("```").next().unwrap_or_default();
    let named = ["gate-a.corp.example:8080", "gate-b.corp.example:8080"];
    let replaced = named
        .iter()
        .zip(nodes)
        .fold(block.to_owned(), |text, (name, node)| {
            assert!(text.contains(name), "{text}");
            text.replace(name, &node.http.to_string())
        });
    // A dead node is noticed sooner.
    replaced.replace(" check\n", " check inter 200ms\n")
}

struct Balancer(Child);

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn people_are_sent_to_a_node_that_is_ready() {
    let schema = server().schema();
    let mut nodes = [0, 1].map(|_| Harness::start(&configuration(&schema.url)));
    let folder = Folder::new();
    let port = Port::reserve();
    let file = folder.path().join("haproxy.cfg");
    let front = format!(
        "defaults\n  mode http\n  timeout connect 2s\n  timeout client 10s\n  timeout server 10s\n  \
         timeout check 1m\nfrontend people\n  bind {}\n  default_backend vestibule\n{}",
        port.address,
        backend(&nodes)
    );
    std::fs::write(&file, front).expect("a file");
    let log = std::fs::File::create(folder.path().join("log")).expect("a file");
    let process = Command::new("/usr/sbin/haproxy")
        .args(["-db", "-f"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("haproxy; tests/run installs it");
    let mut balancer = Balancer(process);
    let is_served =
        || try_http(port.address, "GET", "/", &[]).is_ok_and(|(status, _)| status == 200);
    wait_for("a page through the balancer", || {
        let ended = balancer.0.try_wait().expect("a child");
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(ended.is_none(), "{log}");
        is_served().then_some(())
    });
    // The balancer alternates, so it has noticed once two requests in a row are served.
    nodes[0].kill();
    wait_for("pages by the other node", || {
        (is_served() && is_served()).then_some(())
    });
}
