//! `tail`: what is decided, as it is decided, one line each.

use std::time::Duration;

use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::house::Global;
use super::output::{Output, or_dash, time};
use super::words::word;
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
    let house = global.open().await?;
    let filter = LedgerFilter {
        verdict: args.verdict,
        reason: args.reason,
        portal: house.portal(args.portal)?,
        sender: args.sender,
        message_id: None,
        page: Page::default(),
    };
    // One at least, to know from where on entries are new.
    let mut before = part(&house.store, &filter, args.lines.max(1), None)
        .await?
        .0;
    let mut last = before.first().map(seen);
    before.truncate(args.lines);
    show(&before, out)?;
    loop {
        tokio::time::sleep(PAUSE).await;
        let new = since(&house.store, &filter, last).await?;
        last = new.first().map(seen).or(last);
        show(&new, out)?;
    }
}

/// What tells an entry that was shown, even when it has been forgotten meanwhile.
type Seen = (LedgerId, Timestamp);

fn seen(entry: &LedgerEntry) -> Seen {
    (entry.ledger, entry.received_at)
}

/// Those after the last one, newest first.
async fn since(
    store: &Store,
    filter: &LedgerFilter,
    last: Option<Seen>,
) -> Result<Vec<LedgerEntry>, Failure> {
    let mut new = Vec::new();
    let mut cursor = None;
    loop {
        let (entries, next) = part(store, filter, PART, cursor).await?;
        for entry in entries {
            if last.is_some_and(|(id, at)| entry.ledger == id || entry.received_at < at) {
                return Ok(new);
            }
            new.push(entry);
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(new),
        }
    }
}

async fn part(
    store: &Store,
    filter: &LedgerFilter,
    limit: usize,
    after: Option<String>,
) -> Result<(Vec<LedgerEntry>, Option<String>), Failure> {
    let filter = LedgerFilter {
        page: Page { limit, after },
        ..filter.clone()
    };
    let listed = store.ledger(filter).await?;
    Ok((listed.rows, listed.next))
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
