//! `find`: customers and messages by whatever is known of them.

use std::time::{Duration, Instant};

use super::context::Global;
use super::failure::{CommandError, CommandResult};
use super::output::{Layout, Output, TableColumn, note, or_dash, time};
use super::paging::Paging;
use super::requests::{age, ago};
use crate::domain::{Account, Timestamp, Vocabulary};
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
    /// Only messages received since then: a day, a time, or how long ago, such as 7d
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<Timestamp>,
    /// Only messages received before then, likewise
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<Timestamp>,
    #[command(flatten)]
    paging: Paging,
}

/// Messages that are indexed in one step, and the time for which a command indexes.
const STEP: usize = 25;
const INDEXING: Duration = Duration::from_secs(2);

/// A time: RFC 3339, a day in the zone of the machine, or how long ago.
fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        let midnight = day.to_zoned(jiff::tz::TimeZone::system());
        return Ok(midnight.map_err(|error| error.to_string())?.timestamp());
    }
    age(text).map(ago).map_err(|_| {
        "write a day (2026-11-28), a time (2026-11-28T10:00Z), or how long ago (7d)".to_owned()
    })
}

const CUSTOMERS: &[TableColumn<Account>] = &[
    TableColumn::new("customer", Layout::Whole, |account| {
        account.address.to_string()
    }),
    TableColumn::new("status", Layout::Word, |account| account.status.to_string()),
];

const MESSAGES: &[TableColumn<FoundMessage>] = &[
    TableColumn::new("ledger", Layout::Id, |message| message.ledger.to_string()),
    TableColumn::new("received", Layout::Time, |message| {
        time(message.received_at)
    }),
    TableColumn::new("verdict", Layout::Word, |message| {
        message.verdict.to_string()
    }),
    TableColumn::optional(1, "reason", Layout::Text, |message| {
        let words = Vocabulary::Reason.words(message.reason.as_str());
        words.to_owned()
    }),
    TableColumn::new("sender", Layout::Text, |message| {
        or_dash(message.sender.as_ref())
    }),
    TableColumn::new("subject", Layout::Text, |message| {
        or_dash(message.subject.as_ref())
    }),
];

pub async fn run(args: Args, global: &Global, out: &mut Output) -> CommandResult {
    let context = global.open().await?;
    let question = args.words.join(" ");
    let limit = args.paging.clone().page().limit;
    let mut page = args.paging.page();
    let (mut customers, mut messages) = (Vec::new(), Vec::new());
    // Without a running daemon nobody else indexes what came last.
    let begin = Instant::now();
    while context.store.index_entries(STEP).await?.more && begin.elapsed() < INDEXING {}
    // A search ends early when it has compared many; at the command line it goes on.
    let (next, gap) = loop {
        page.limit = limit - messages.len();
        let found = operations::find(
            &context.store,
            FindFilter {
                question: question.clone(),
                since: args.since,
                until: args.until,
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
            "no customer and no message has {question:?} in its address, name or subject"
        )));
    }
    if !out.is_json() && !customers.is_empty() {
        out.table(&customers, CUSTOMERS, true)?;
        if messages.is_empty() {
            return Ok(());
        }
        out.line("")?;
    }
    out.list(&messages, next.as_deref(), MESSAGES)
}
