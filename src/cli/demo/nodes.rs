//! The demo of several nodes: two daemons share a PostgreSQL server of their own. One is killed while mail arrives.
//! The messages that they acknowledged are then counted at the help desk.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::postgres::DemoServer;
use super::tour::{self, this_program};
use super::{Scene, link_in, press, read_delivered, send_to, wait_for};
use crate::cli::failure::CommandError;
use crate::cli::output::{Output, TableColumn, columns};
use crate::cli::shell_path::quote_for_shell;
use crate::config::Config;
use crate::store::{Location, Store};

/// Messages of one sender with an unverified address: fewer than the limit of held requests per account.
const MESSAGES: usize = 40;

/// Concurrent connections, as an MTA opens them.
const CONNECTIONS: usize = 4;

/// Number of messages that the first node acknowledges before it is killed.
const BEFORE_KILL: usize = 8;

const PERSON: &str = "ann@corp.example";

/// A daemon in a process of its own, which is killed when this value is dropped.
struct DemoNode {
    name: &'static str,
    config: PathBuf,
    _process: NodeProcess,
    bound: Bound,
}

/// A process that is killed when this is dropped.
struct NodeProcess(Child);

/// The addresses in a ready file.
#[derive(Deserialize)]
struct Bound {
    smtp: Vec<SocketAddr>,
    http: SocketAddr,
    admin: SocketAddr,
}

impl DemoNode {
    async fn start(scene: &Scene, name: &'static str, store: &str) -> anyhow::Result<Self> {
        let at = |end: &str| scene.folder.join(format!("{name}{end}"));
        let (config, ready) = (at(".toml"), at(".json"));
        let text = include_str!("vestibule.toml")
            .replace("data_dir = \"data\"", &format!("data_dir = \"{name}\""));
        std::fs::write(
            &config,
            format!("{text}\n[store]\ntype = \"postgres\"\nurl = \"{store}\"\n"),
        )?;
        let process = Command::new(std::env::current_exe()?)
            .arg("--config")
            .arg(&config)
            .args(["serve", "--ready-file"])
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(at(".log"))?)
            // Ctrl-C is for the demo only, which then stops this process.
            .process_group(0)
            .spawn()?;
        let process = NodeProcess(process);
        let bound = wait_for("a node to start", || {
            serde_json::from_slice(&std::fs::read(&ready).ok()?).ok()
        });
        let bound = bound.await.with_context(|| {
            let log = std::fs::read_to_string(at(".log")).unwrap_or_default();
            format!("node {name}: {}", log.trim())
        })?;
        Ok(Self {
            name,
            config,
            _process: process,
            bound,
        })
    }

    fn smtp(&self) -> anyhow::Result<SocketAddr> {
        self.bound.smtp.first().copied().context("no listener")
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Counts of the whole demo, a line each.
type Count = (&'static str, usize);

const COUNT_COLUMNS: &[TableColumn<Count>] = columns! { row: Count;
    "messages" Whole => row.0,
    "" Number => row.1,
};

/// Runs the demo; without `once`, keeps running until a signal.
pub(super) async fn show(once: bool, scene: &Scene, out: &mut Output) -> Result<(), CommandError> {
    let folder = scene.folder.join("postgres");
    let starting = tokio::task::spawn_blocking(move || DemoServer::start(folder));
    let server = starting.await.map_err(anyhow::Error::from)??;
    let first = DemoNode::start(scene, "a", &server.url()).await?;
    let second = DemoNode::start(scene, "b", &server.url()).await?;
    out.line(
        "Two nodes share a PostgreSQL server of their own, and an MTA has both as next hops:",
    )?;
    for node in [&first, &second] {
        out.line(format_args!("  {}  {}", node.name, node.smtp()?))?;
    }
    out.line(format_args!(
        "\n{PERSON} writes {MESSAGES} mails. Node a is killed (SIGKILL) when it has answered 250 to {BEFORE_KILL}."
    ))?;
    out.flush()?;

    // The verification mail for this message is sent first, so that its link can be opened at the end.
    send_to(first.smtp()?, PERSON, &mail(0)).await?;
    let verification_mails = scene.folder.join("letters");
    let link = wait_for("the verification mail", || link_in(&verification_mails)).await?;
    let sent = send_all(first, &second).await?;
    out.line("Node b accepted the rest. The link of her verification mail is opened there.\n")?;
    let path = link.find("/verify/").map(|at| &link[at..]);
    let path = path.context("no link in the mail")?;
    press(&format!("http://{}{path}", second.bound.http)).await?;
    let help_desk = scene.folder.join("desk/new");
    let arrived = wait_for("all requests at the help desk", || {
        let subjects = subjects(&help_desk)?;
        (subjects.iter().collect::<BTreeSet<_>>().len() >= MESSAGES).then_some(subjects)
    });
    let arrived = arrived.await?;
    let different: BTreeSet<_> = arrived.iter().cloned().collect();
    let is_missing = |number: &usize| !different.contains(&subject(*number));
    let lost = (0..MESSAGES).filter(is_missing).count();
    let repeated = arrived.len() - different.len();
    let counts = [
        (
            "answered 250 by node a, before it was killed",
            sent.by_first,
        ),
        ("answered 250 by node b", sent.by_second),
        (
            "of these, resent because the connection to node a broke",
            sent.again,
        ),
        ("at the help desk", different.len()),
        ("lost", lost),
        ("twice at the help desk", repeated),
    ];
    out.table(&counts, COUNT_COLUMNS, true)?;
    if lost + repeated > 0 {
        return Err(anyhow::anyhow!("a message was lost or repeated").into());
    }
    if once {
        return Ok(());
    }
    print_tour(scene, &second, out).await?;
    std::future::pending().await
}

/// Counts of acknowledged messages.
struct Sent {
    by_first: usize,
    by_second: usize,
    /// Messages among them that were resent because a connection broke.
    again: usize,
}

/// Sends all messages but the first over several connections, and kills the first node in the middle.
async fn send_all(first: DemoNode, second: &DemoNode) -> anyhow::Result<Sent> {
    let hops = [first.smtp()?, second.smtp()?];
    let counted = Arc::new([
        AtomicUsize::new(1),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    ]);
    let is_time = Arc::new(Notify::new());
    let next = Arc::new(AtomicUsize::new(1));
    let mut senders = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (counted, is_time, next) = (counted.clone(), is_time.clone(), next.clone());
        senders.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= MESSAGES {
                    return anyhow::Ok(());
                }
                // An MTA tries the next hop when a connection breaks.
                let turn = number % 2;
                let mut hop = turn;
                if send_to(hops[turn], PERSON, &mail(number)).await.is_err() {
                    counted[2].fetch_add(1, Ordering::Relaxed);
                    hop = 1 - turn;
                    send_to(hops[hop], PERSON, &mail(number)).await?;
                }
                let so_far = counted[hop].fetch_add(1, Ordering::Relaxed) + 1;
                if hop == 0 && so_far == BEFORE_KILL {
                    is_time.notify_one();
                }
            }
        });
    }
    tokio::select! {
        () = is_time.notified() => {}
        Some(sent) = senders.join_next() => {
            sent??;
            bail!("node a answered 250 to fewer than {BEFORE_KILL} mails");
        }
    }
    drop(first);
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    let count = |place: usize| counted[place].load(Ordering::Relaxed);
    let sent = Sent {
        by_first: count(0),
        by_second: count(1),
        again: count(2),
    };
    if sent.again == 0 || sent.by_first + sent.by_second != MESSAGES {
        bail!("node a was not killed while messages were being sent; run the demo again");
    }
    Ok(sent)
}

fn subject(number: usize) -> String {
    format!("Mail {number}")
}

fn mail(number: usize) -> Vec<u8> {
    format!(
        "From: Ann <{PERSON}>\r\nTo: it-help@corp.example\r\nSubject: {}\r\n\
         Message-ID: <{number}@corp.example>\r\nDate: Sat, 28 Nov 2026 09:00:00 +0000\r\n\r\n\
         This is mail {number}.\r\n",
        subject(number)
    )
    .into_bytes()
}

/// Subjects at the help desk.
fn subjects(help_desk: &Path) -> Option<Vec<String>> {
    let delivered = read_delivered(help_desk)?;
    Some(
        delivered
            .into_iter()
            .map(|message| message.subject)
            .collect(),
    )
}

async fn print_tour(scene: &Scene, node: &DemoNode, out: &mut Output) -> Result<(), CommandError> {
    let config = Config::load(Some(&node.config))?;
    let store = Store::open_existing(Location::of(&config))?;
    let password = tour::add_operator(&store).await?;
    let program = this_program()?;
    let file = |name: &str| quote_for_shell(&scene.folder.join(name));
    let command = |name: &str, rest: &str| format!("  {program} --config {} {rest}", file(name));
    out.line("\nThe operators' pages of node b, with a page about the nodes:")?;
    out.line(format_args!("  http://{}/nodes", node.bound.admin))?;
    out.line(format_args!("  name {}, password {password}", tour::NAME))?;
    out.line("The same at the command line; then start node a again, and look once more:")?;
    out.line(command("b.toml", "nodes list"))?;
    out.line(command("a.toml", "serve"))?;
    out.line("Ctrl-C ends the demo and removes its folder.")?;
    out.flush()?;
    Ok(())
}
