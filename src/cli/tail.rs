//! `tail`: what is decided, as it is decided, one line each.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Serialize;

use super::context::Global;
use super::failure::{Failure, Outcome};
use super::output::{Output, or_dash, time};
use super::value_parser::word;
use crate::domain::{EmailAddress, LedgerId, PortalName, Reason, RequestId, Timestamp, Verdict};
use crate::observe::Escaped;
use crate::store::{LedgerEntry, LedgerFilter, Page, Store};

/// Watch what becomes of messages, as they come
///
/// Shows the last decisions, and each new one until Ctrl-C. It reads the ledger, so it shows what is
/// on disk, and works beside the daemon without a log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule tail
  vestibule tail --verdict dropped --portal it
  vestibule tail --sender ann@corp.example --lines 50
  vestibule tail --json | jq .reason")]
pub struct Args {
    /// Only this verdict
    #[arg(long, value_parser = word(Verdict::ALL, Verdict::as_str))]
    verdict: Option<Verdict>,
    /// Only this reason
    #[arg(long, value_parser = word(Reason::ALL, Reason::as_str))]
    reason: Option<Reason>,
    /// Only this portal
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
    /// Only from this address
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<EmailAddress>,
    /// Begin with so many that came before
    #[arg(long, value_name = "N", default_value = "10")]
    lines: usize,
}

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(500);

/// Entries read at a time.
const PART: usize = 100;

/// No message is longer on its way from its receipt to the ledger.
const OVERTAKING: SignedDuration = SignedDuration::from_hours(1);

#[derive(Serialize)]
struct Decision<'a> {
    ledger: LedgerId,
    received_at: Timestamp,
    verdict: Verdict,
    reason: Reason,
    rule: u8,
    portal: Option<&'a PortalName>,
    sender: Option<&'a EmailAddress>,
    account: Option<&'a EmailAddress>,
    request: Option<RequestId>,
    message_id: Option<&'a str>,
}

pub async fn run(args: Args, global: &Global, out: &mut Output) -> Outcome {
    let context = global.open().await?;
    let filter = LedgerFilter {
        verdict: args.verdict,
        reason: args.reason,
        portal: context.portal(args.portal)?,
        sender: args.sender,
        message_id: None,
        page: Page::default(),
    };
    // Before the look back, so that nothing is lost between the two.
    let newest = context.store.newest_entries(part(PART, None)).await?;
    let mut seen = Seen::default();
    seen.add(&newest.rows);
    let mut before = Vec::new();
    if args.lines > 0 {
        let last = LedgerFilter {
            page: part(args.lines, None),
            ..filter.clone()
        };
        before = context.store.ledger(last).await?.rows;
        show(&before, out)?;
    }
    loop {
        tokio::time::sleep(PAUSE).await;
        let mut new = since(&context.store, &seen).await?;
        seen.add(&new);
        new.retain(|entry| {
            let was_shown = before.iter().any(|shown| shown.ledger == entry.ledger);
            lets_through(&filter, entry) && !was_shown
        });
        show(&new, out)?;
    }
}

/// The newest that were read, which tell where the new ones end. More than one, because any of them may
/// be forgotten meanwhile.
#[derive(Default)]
struct Seen {
    newest: Vec<LedgerId>,
    at: Option<Timestamp>,
}

impl Seen {
    fn add(&mut self, newer: &[LedgerEntry]) {
        let newer_ids = newer.iter().map(|entry| entry.ledger);
        self.newest.splice(0..0, newer_ids);
        self.newest.truncate(PART);
        let newest = newer.iter().map(|entry| entry.received_at).max();
        self.at = self.at.max(newest);
    }

    /// An entry is committed after others that came later, but not much after them.
    fn knows(&self, entry: &LedgerEntry) -> bool {
        let is_old = |at: Timestamp| entry.received_at.duration_since(at) < -OVERTAKING;
        self.newest.contains(&entry.ledger) || self.at.is_some_and(is_old)
    }
}

/// Those after the ones that were seen, newest first. What is asked for may be rare: so all that is new
/// is read and then narrowed, rather than all that is old searched for it.
async fn since(store: &Store, seen: &Seen) -> Result<Vec<LedgerEntry>, Failure> {
    let mut new = Vec::new();
    let mut cursor = None;
    loop {
        let listed = store.newest_entries(part(PART, cursor)).await?;
        for entry in listed.rows {
            if seen.knows(&entry) {
                return Ok(new);
            }
            new.push(entry);
        }
        match listed.next {
            Some(next) => cursor = Some(next),
            None => return Ok(new),
        }
    }
}

fn part(limit: usize, after: Option<String>) -> Page {
    Page { limit, after }
}

fn lets_through(filter: &LedgerFilter, entry: &LedgerEntry) -> bool {
    let is_sender = |wanted: &EmailAddress| {
        let sender = entry.sender.as_ref().map(EmailAddress::key);
        sender.is_some_and(|key| key == wanted.key())
    };
    filter
        .verdict
        .is_none_or(|verdict| entry.verdict == verdict)
        && filter.reason.is_none_or(|reason| entry.reason == reason)
        && (filter.portal.is_none() || filter.portal == entry.portal)
        && filter.sender.as_ref().is_none_or(is_sender)
}

/// Oldest first, at once even where the output is a pipe.
fn show(entries: &[LedgerEntry], out: &mut Output) -> Outcome {
    for entry in entries.iter().rev() {
        if out.is_json() {
            out.object(&Decision {
                ledger: entry.ledger,
                received_at: entry.received_at,
                verdict: entry.verdict,
                reason: entry.reason,
                rule: entry.rule,
                portal: entry.portal.as_ref(),
                sender: entry.sender.as_ref(),
                account: entry.account.as_ref(),
                request: entry.request,
                message_id: entry.facts.message_id.as_deref(),
            })?;
        } else {
            let verdict = out.word(entry.verdict.as_str(), 8);
            out.line(format_args!(
                "{}  {verdict}  {:<26}  {:<10}  {}  {}",
                time(entry.received_at),
                entry.reason,
                or_dash(entry.portal.as_ref()),
                entry.ledger,
                Escaped(&or_dash(entry.sender.as_ref())),
            ))?;
        }
    }
    out.flush()
}
