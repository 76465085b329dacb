//! `stats`: counts of messages, of their outcomes, and of queues.

use super::context::Global;
use super::failure::CommandResult;
use super::output::{Output, TableColumn, columns, note, or_dash, time};
use super::time_range::instant;
use crate::domain::{PortalName, Timestamp};
use crate::operations::count_messages;
use crate::store::{EntryCount, HeldDomain, RequestCount};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule stats
  vestibule stats --since 1h --portal it
  vestibule stats --since 30d --json")]
pub struct Args {
    /// Count messages since this time: a day, a time, or how long ago, such as 30d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = instant)]
    since: Timestamp,
    /// Only this portal
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
}

/// A count, and the largest of the same group.
struct Share<T> {
    count: T,
    number: u64,
    most: u64,
}

impl<T> Share<T> {
    fn of_all(counts: Vec<T>, number: fn(&T) -> u64) -> Vec<Self> {
        let most = counts.iter().map(number).max().unwrap_or(0);
        let share = |count| Self {
            number: number(&count),
            count,
            most,
        };
        counts.into_iter().map(share).collect()
    }

    /// Bar of a count: twenty characters for the largest one; a count above zero is always visible.
    fn bar(&self) -> String {
        const WIDTH: u64 = 20;
        let eighths = (self.number * WIDTH * 8)
            .checked_div(self.most)
            .unwrap_or(0)
            .max(u64::from(self.number > 0));
        let mut bar: String = (0..eighths / 8).map(|_| '█').collect();
        // From one eighth of a block (U+258F) to seven.
        let rest = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
        let rest = usize::try_from(eighths % 8)
            .ok()
            .and_then(|eighths| rest.get(eighths.checked_sub(1)?));
        bar.extend(rest);
        bar
    }
}

const ENTRIES: &[TableColumn<Share<EntryCount>>] = columns! { share: Share<EntryCount>;
    "portal" Whole => or_dash(share.count.portal.as_ref()),
    "verdict" Word => share.count.verdict,
    "reason" Whole => share.count.reason,
    "messages" Number => share.number,
    "" Text => share.bar(),
};

const REQUESTS: &[TableColumn<Share<RequestCount>>] = columns! { share: Share<RequestCount>;
    "portal" Whole => share.count.portal,
    "state" Word => share.count.state,
    "requests" Number => share.number,
    "" Text => share.bar(),
};

const HELD: &[TableColumn<HeldDomain>] = columns! { held: HeldDomain;
    "domain" Whole => held.domain,
    "messages" Number => held.messages,
    "people" Number => held.people,
};

pub async fn run(args: Args, global: &Global, out: &mut Output) -> CommandResult {
    let context = global.open().await?;
    let portal = context.listed_portal(args.portal).await?;
    let since = args.since;
    let counts = count_messages(&context.store, since, portal.as_ref()).await?;
    if out.is_json() {
        return out.object(&counts);
    }
    let messages = counts.messages;
    out.heading(&format!("Messages since {}: {messages}", time(since)))?;
    if !counts.entries.is_empty() {
        let shares = Share::of_all(counts.entries, |count| count.messages);
        out.table(&shares, ENTRIES, true)?;
    }
    if !counts.held_domains.is_empty() {
        out.line("")?;
        out.heading("Held for verification, by domain")?;
        out.table(&counts.held_domains, HELD, true)?;
    }
    if counts.undeliverable > 0 {
        out.line("")?;
        out.line(format_args!(
            "Accounts that our mail cannot reach: {} (vestibule customers list --undeliverable)",
            counts.undeliverable
        ))?;
    }
    if counts.refused_mails > 0 {
        out.line("")?;
        out.line(format_args!(
            "Accounts whose verification mail was given up: {} (vestibule customers mail --state refused)",
            counts.refused_mails
        ))?;
    }
    out.line("")?;
    out.heading("Requests now")?;
    if counts.requests.is_empty() {
        out.flush()?;
        note("none");
        return Ok(());
    }
    let shares = Share::of_all(counts.requests, |count| count.requests);
    out.table(&shares, REQUESTS, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share_and_never_empty_above_zero() {
        let bars: Vec<_> = Share::of_all(vec![240, 120, 1, 0], |number| *number)
            .iter()
            .map(Share::bar)
            .collect();
        assert_eq!(bars[0], "█".repeat(20));
        assert_eq!(bars[1], "█".repeat(10));
        assert_eq!(bars[2], "▏");
        assert_eq!(bars[3], "");
        let share = &Share::of_all(vec![16, 9], |number| *number)[1];
        assert_eq!(share.bar(), "█".repeat(11) + "▎");
    }
}
