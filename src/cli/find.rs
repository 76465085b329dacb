//! `find`: customers and messages by whatever is known about them.

use std::time::{Duration, Instant};

use super::context::Global;
use super::failure::{CommandError, CommandResult};
use super::output::{Output, TableColumn, columns, note, or_dash, time};
use super::paging::Paging;
use super::time_range::TimeRange;
use super::value_parser::word;
use crate::domain::{Account, PortalName, Reason, Verdict, Vocabulary};
use crate::operations::{self, FoundMessage};
use crate::store::FindFilter;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule find miller                 part of an address or a name
  vestibule find vpn miller@corp        each word must match
  vestibule find @corp.example --since 7d
  vestibule find invoice --since 2026-11-01 --until 2026-11-08")]
pub struct Args {
    /// Parts of the sender's address or name and words of the subject, a domain, an id or a Message-ID
    #[arg(value_name = "WORDS", required = true)]
    words: Vec<String>,
    #[command(flatten)]
    period: TimeRange,
    /// Only messages of this verdict
    #[arg(long, value_parser = word(Verdict::ALL, Verdict::as_str))]
    verdict: Option<Verdict>,
    /// Only messages whose verdict has this reason
    #[arg(long, value_parser = word(Reason::ALL, Reason::as_str))]
    reason: Option<Reason>,
    /// Only messages for this portal
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
    #[command(flatten)]
    paging: Paging,
}

/// Messages indexed in one step, and the time limit for indexing in a command.
const STEP: usize = 25;
const INDEXING: Duration = Duration::from_secs(2);

const CUSTOMERS: &[TableColumn<Account>] = columns! { account: Account;
    "customer" Whole => account.address,
    "status" Word => account.status,
};

const MESSAGES: &[TableColumn<FoundMessage>] = columns! { message: FoundMessage;
    "ledger" Id => message.ledger,
    "received" Time 1 => time(message.received_at),
    "verdict" Word => message.verdict,
    "reason" Text 2 => Vocabulary::Reason.words(message.reason.as_str()),
    "sender" Text => or_dash(message.sender.as_ref()),
    "subject" Text => or_dash(message.subject.as_ref()),
};

pub async fn run(args: Args, global: &Global, out: &mut Output) -> CommandResult {
    let context = global.open().await?;
    let portal = context.listed_portal(args.portal.clone()).await?;
    let search_text = args.words.join(" ");
    let limit = args.paging.clone().page().limit;
    let mut page = args.paging.page();
    let (mut customers, mut messages) = (Vec::new(), Vec::new());
    // Without a running daemon nothing else indexes the latest messages.
    let begin = Instant::now();
    while context.store.index_entries(STEP).await?.more && begin.elapsed() < INDEXING {}
    // A search pauses after many comparisons; the command resumes it from the cursor.
    let (next, gap) = loop {
        page.limit = limit - messages.len();
        let found = operations::find(
            &context.store,
            FindFilter {
                search_text: search_text.clone(),
                since: args.period.since,
                until: args.period.until,
                verdict: args.verdict,
                reason: args.reason,
                portal: portal.clone(),
                page: page.clone(),
                ..FindFilter::default()
            },
        )
        .await?;
        let gap = found.explain_gap();
        customers.extend(found.customers);
        messages.extend(found.messages);
        if messages.len() >= limit || found.next.is_none() {
            break (found.next, gap);
        }
        page.after = found.next;
    };
    if let Some(gap) = gap {
        note(gap);
    }
    if customers.is_empty() && messages.is_empty() {
        return Err(CommandError::NotFound(format!(
            "no customer and no message has {search_text:?} in its address, name or subject"
        )));
    }
    if out.is_json() {
        for account in &customers {
            out.object(account)?;
        }
    } else if !customers.is_empty() {
        out.table(&customers, CUSTOMERS, true)?;
        if messages.is_empty() {
            return Ok(());
        }
        out.line("")?;
    }
    out.list(&messages, next.as_deref(), MESSAGES)
}
