//! `vestibule demo`: a complete installation on loopback, in a temporary folder.
//!
//! Everything is real: the daemon is the one that `serve` runs, the mail arrives over SMTP, the verification
//! mail is written to a file because there is no mail server to send it to, the link is opened over HTTP, and
//! the help desk is a Maildir.

mod nodes;
mod postgres;
mod tour;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use lettre::address::Envelope;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::failure::{CommandError, CommandResult};
use super::output::{Output, TableColumn, columns};
use crate::config::Config;
use crate::daemon::{Daemon, Listeners, Signals};
use crate::domain::LedgerId;
use crate::store::LedgerEntry;
use tour::Tour;

/// Run a complete installation on loopback, with sample mail, in a temporary folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule demo          prints a tour of five steps; Ctrl-C ends it
  vestibule demo --once   opens the link itself, shows the release, and exits
  vestibule demo --nodes 2   two nodes on PostgreSQL; one is killed")]
pub struct Args {
    /// Open the link, show the release, and exit
    #[arg(long)]
    once: bool,
    /// Start two nodes on a PostgreSQL server of their own, and kill one midway; needs the server's programs
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    nodes: u8,
}

/// Sample mail. A row has the sender, the file and the purpose.
macro_rules! samples {
    ($($from:literal $file:literal $purpose:literal;)+) => {
        [$(($from, include_bytes!($file), $purpose)),+]
    };
}

/// The sample mail in the order of sending.
const SAMPLES: [(&str, &[u8], &str); 8] = samples! {
    "ann@corp.example" "1-employee.eml" "an employee's first mail";
    "ann@corp.example" "2-employee-again.eml" "and her second";
    "bob@partner.example" "3-customer.eml" "a customer on the allow list";
    "eve@elsewhere.example" "4-stranger.eml" "somebody who is not on it";
    "x@evil.example" "5-forged.eml" "a forged display name";
    "carol@corp.example" "6-vacation.eml" "an out-of-office note";
    "news@partner.example" "7-newsletter.eml" "a newsletter";
    "" "8-report.eml" "a delivery report";
};

/// Time limit of each wait of the demo. Only a hang reaches it, even on a slow machine.
const TIMEOUT: Duration = Duration::from_mins(3);

/// The folder for the demo's data; it is removed when the demo ends.
struct Scene {
    folder: PathBuf,
}

impl Scene {
    fn create() -> anyhow::Result<Self> {
        let name = format!("vestibule-demo-{}", LedgerId::new());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder })
    }

    fn configuration(&self) -> anyhow::Result<Config> {
        let file = self.folder.join("vestibule.toml");
        std::fs::write(&file, include_str!("vestibule.toml"))?;
        Ok(Config::load(Some(&file))?)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Verdict on one sample.
struct SampleVerdict {
    what: &'static str,
    entry: LedgerEntry,
}

const VERDICT_COLUMNS: &[TableColumn<SampleVerdict>] = columns! { row: SampleVerdict;
    "message" Whole => row.what,
    "sender" Whole => row.entry.facts.sender.addr_spec().unwrap_or("-"),
    "verdict" Word => row.entry.verdict,
    "reason" Whole => row.entry.reason,
};

/// A delivered message.
struct DeliveredMessage {
    subject: String,
    account: String,
    verified: String,
}

const DELIVERED_COLUMNS: &[TableColumn<DeliveredMessage>] = columns! { row: DeliveredMessage;
    "subject" Whole => row.subject,
    "account" Whole => row.account,
    "verified" Whole => row.verified,
};

/// Runs the demo. Every deviation is a failure, so the demo is a test of the installation, too.
pub async fn run(args: Args, out: &mut Output) -> CommandResult {
    // From here on a signal ends the demo cleanly and removes its folder.
    let mut signals = Signals::new()?;
    let scene = Scene::create()?;
    let once = args.once;
    if args.nodes > 1 {
        return tokio::select! {
            outcome = nodes::show(once, &scene, out) => outcome,
            _ = signals.next() => outcome_of_signal(once),
        };
    }
    let config = scene.configuration()?;
    let listeners = Listeners::bind(&config).await?;
    let daemon = Daemon::start(config, listeners).await?;
    let outcome = tokio::select! {
        outcome = show(args, &scene, &daemon, out) => outcome,
        _ = signals.next() => outcome_of_signal(once),
    };
    daemon.drain().await;
    outcome
}

/// Outcome of a demo that a signal ends.
fn outcome_of_signal(once: bool) -> CommandResult {
    if once {
        return Err(anyhow!("ended by a signal before the demo was finished").into());
    }
    Ok(())
}

/// Sends the samples and shows the verdicts. Without `--once` it then runs until a signal, so that the state can be
/// inspected.
async fn show(
    args: Args,
    scene: &Scene,
    daemon: &Daemon,
    out: &mut Output,
) -> Result<(), CommandError> {
    let smtp = daemon.bound_addresses().smtp[0];
    out.line(format_args!("Vestibule listens for mail at {smtp}."))?;
    out.line("Approved domain: corp.example. Customers may write from partner.example.\n")?;

    let mut rows = Vec::new();
    for (from, message, what) in SAMPLES {
        let ledger = send_to(smtp, from, message).await?;
        let entry = daemon.store().ledger_entry(ledger).await?;
        let entry = entry.with_context(|| format!("{ledger} is not in the ledger"))?;
        rows.push(SampleVerdict { what, entry });
    }
    out.table(&rows, VERDICT_COLUMNS, true)?;

    let verification_mails = scene.folder.join("letters");
    let link = wait_for("the verification mail", || link_in(&verification_mails)).await?;
    out.line("\nann@corp.example was sent one verification mail; her two requests wait for her.")?;
    out.line("The customer's request is already at the help desk.")?;
    out.flush()?;

    let help_desk = scene.folder.join("desk/new");
    if args.once {
        press(&link).await?;
        let all = wait_for("all three requests at the help desk", || {
            read_delivered(&help_desk).filter(|rows| rows.len() == 3)
        })
        .await?;
        out.line("\nThe button behind the link was pressed. At the help desk now:\n")?;
        out.table(&all, DELIVERED_COLUMNS, true)?;
        return Ok(());
    }
    let password = tour::add_operator(daemon.store()).await?;
    let tour = Tour {
        daemon,
        config: &scene.folder.join("vestibule.toml"),
        help_desk: &help_desk,
        link: &link,
        password: &password,
    };
    tour.print(out)?;
    std::future::pending().await
}

/// Sends one message as an MTA would, and reads the ledger id from the answer.
async fn send_to(smtp: SocketAddr, from: &str, message: &[u8]) -> anyhow::Result<LedgerId> {
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.ip().to_string())
        .port(smtp.port())
        .build();
    let sender = if from.is_empty() {
        None
    } else {
        Some(from.parse::<Address>()?)
    };
    let envelope = Envelope::new(sender, vec!["it-help@corp.example".parse()?])?;
    let answer = transport.send_raw(&envelope, message).await?;
    let text = answer.message().collect::<Vec<_>>().join(" ");
    text.split_whitespace()
        .next_back()
        .and_then(|id| id.parse().ok())
        .with_context(|| format!("the answer names no ledger id: {text}"))
}

/// Polls until there is an answer.
async fn wait_for<T>(what: &str, ask: impl Fn() -> Option<T>) -> anyhow::Result<T> {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if tokio::time::Instant::now() > deadline {
            bail!("timed out waiting for {what}");
        }
    }
}

/// Finds the verification link in the first mail of a folder.
fn link_in(verification_mails: &Path) -> Option<String> {
    let verification_mail = std::fs::read_dir(verification_mails)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "eml"))?;
    let verification_mail = std::fs::read(verification_mail).ok()?;
    let message = mail_parser::MessageParser::default().parse(&verification_mail)?;
    let text = message.body_text(0)?;
    text.split_whitespace()
        .find(|word| word.contains("/verify/"))
        .map(ToOwned::to_owned)
}

/// Submits the form of the verification page, as a browser does.
async fn press(link: &str) -> anyhow::Result<()> {
    // No URL here uses TLS, but the client requires a TLS library.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::Client::new()
        .post(link)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("action=confirm")
        .send()
        .await?;
    answer.error_for_status()?;
    Ok(())
}

/// Reads the messages in the Maildir.
fn read_delivered(new: &Path) -> Option<Vec<DeliveredMessage>> {
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(new).ok()? {
        let raw = std::fs::read(entry.ok()?.path()).ok()?;
        let message = mail_parser::MessageParser::default().parse(&raw)?;
        let field = |name: &str| {
            let value = message.header_raw(name).unwrap_or_default();
            value.trim().to_owned()
        };
        rows.push(DeliveredMessage {
            subject: message.subject().unwrap_or_default().to_owned(),
            account: field("X-Vestibule-Account"),
            verified: field("X-Vestibule-Verified"),
        });
    }
    rows.sort_by(|a, b| a.subject.cmp(&b.subject));
    Some(rows)
}
