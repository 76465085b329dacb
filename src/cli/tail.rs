//! `tail`: prints each verdict as it is recorded, one line each.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Serialize;

use super::context::Global;
use super::failure::{CommandError, CommandResult};
use super::output::{Output, cut, or_dash, short_id, time};
use super::value_parser::word;
use crate::domain::{EmailAddress, LedgerId, PortalName, Reason, RequestId, Timestamp, Verdict};
use crate::observe::Escaped;
use crate::store::{LedgerEntry, LedgerFilter, Page, Store};

/// Watch the verdicts on messages as they arrive
///
/// Shows the last verdicts, and each new one until Ctrl-C. It reads the ledger, so it shows the state on
/// disk, and works beside the daemon without a log.
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
    /// Begin with this number of earlier messages
    #[arg(long, value_name = "N", default_value = "10")]
    lines: usize,
}

/// Interval between polls.
const PAUSE: Duration = Duration::from_millis(500);

/// Entries read at a time.
const PART: usize = 100;

/// Maximum time between the receipt of a message and its entry in the ledger.
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
    /// Absent where the log is redacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
}

pub async fn run(args: Args, global: &Global, out: &mut Output) -> CommandResult {
    let context = global.open().await?;
    let redact = context.config.log.redact;
    let filter = LedgerFilter {
        verdict: args.verdict,
        reason: args.reason,
        portal: context.listed_portal(args.portal).await?,
        sender: args.sender,
        ..LedgerFilter::default()
    };
    // Read before the earlier entries, so that none is lost in between.
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
        show(&before, redact, out)?;
    }
    loop {
        tokio::time::sleep(PAUSE).await;
        let mut new = since(&context.store, &seen).await?;
        seen.add(&new);
        new.retain(|entry| {
            let was_shown = before.iter().any(|shown| shown.ledger == entry.ledger);
            lets_through(&filter, entry) && !was_shown
        });
        show(&new, redact, out)?;
    }
}

/// The newest entries that were read; unseen entries come after them. Several are kept, because some may be deleted
/// meanwhile.
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

    /// True if the entry was read before, or is too old to be new: entries may be committed out of order, but only
    /// within a short time.
    fn knows(&self, entry: &LedgerEntry) -> bool {
        let is_old = |at: Timestamp| entry.received_at.duration_since(at) < -OVERTAKING;
        self.newest.contains(&entry.ledger) || self.at.is_some_and(is_old)
    }
}

/// Entries after those already seen, newest first. Matching entries may be rare, so all new entries are read
/// and then filtered, instead of searching all old ones.
async fn since(store: &Store, seen: &Seen) -> Result<Vec<LedgerEntry>, CommandError> {
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

/// Prints the oldest first, and flushes even if the output is a pipe. Subjects are redacted if the log redacts
/// addresses.
fn show(entries: &[LedgerEntry], redact: bool, out: &mut Output) -> CommandResult {
    for entry in entries.iter().rev() {
        let subject = entry.facts.subject.as_deref().filter(|_| !redact);
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
                subject,
            })?;
            continue;
        }
        let verdict = out.word(entry.verdict.as_str(), 8);
        let sender = Escaped(&or_dash(entry.sender.as_ref())).to_string();
        let subject = Escaped(subject.unwrap_or_default()).to_string();
        let Some(width) = out.width().filter(|width| *width < WIDE) else {
            let line = format!(
                "{}  {verdict}  {:<26}  {:<10}  {}  {sender}  {subject}",
                time(entry.received_at),
                entry.reason,
                or_dash(entry.portal.as_ref()),
                entry.ledger,
            );
            out.line(line.trim_end())?;
            continue;
        };
        let (at, ledger) = (clock(entry.received_at), entry.ledger.to_string());
        let id = short_id(&ledger);
        // The verdict may contain the codes of its colour, which have no width.
        let start = at.len() + 2 + 8 + 2 + id.len() + 2;
        // On a narrow terminal, only a dropped message shows its reason.
        let reason = match entry.verdict {
            Verdict::Dropped => format!("{}: ", entry.reason),
            Verdict::Accepted | Verdict::Held => String::new(),
        };
        let about = format!("{sender:<SENDER$}  {reason}{subject}");
        let about = cut(about.trim_end(), width.saturating_sub(start));
        out.line(format_args!("{at}  {verdict}  {id}  {about}"))?;
    }
    out.flush()
}

/// Width from which lines are not shortened.
const WIDE: usize = 140;

/// Columns of a sender of usual length; a longer one shifts the rest of the line.
const SENDER: usize = 22;

/// The time of day, without the date.
fn clock(at: Timestamp) -> String {
    format!("{}Z", at.strftime("%H:%M:%S"))
}
