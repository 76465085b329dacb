//! Taking up again what was dropped: `dropped recover` and `access allow --recover`.

use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::house::{House, operator};
use super::output::{Column, Layout, Output, note, or_dash};
use crate::domain::{DomainPattern, LedgerId, Reason, RequestId, Timestamp, Verdict};
use crate::store::{Page, Recovered, Terms};

/// Which entries are decided again.
pub enum Which {
    Entries(Vec<LedgerId>),
    /// Those of all domains that one of the patterns matches.
    Domains(Vec<DomainPattern>),
    All,
}

/// What became of one entry.
#[derive(Serialize)]
struct Row {
    ledger: LedgerId,
    /// Under the settings of now.
    verdict: Verdict,
    reason: Reason,
    /// None when it is still dropped.
    request: Option<RequestId>,
}

const COLUMNS: &[Column<Row>] = &[
    Column::new("ledger", Layout::Whole, |row: &Row| row.ledger.to_string()),
    Column::new("verdict", Layout::Word, |row: &Row| row.verdict.to_string()),
    Column::new("reason", Layout::Whole, |row: &Row| row.reason.to_string()),
    Column::new("request", Layout::Whole, |row: &Row| {
        or_dash(row.request.as_ref())
    }),
];

/// How many entries are asked for at a time.
const PART: usize = 500;

/// Decides them again by the settings of now, oldest first.
pub async fn recover(house: &House, which: Which, out: &mut Output) -> Outcome {
    let entries = match which {
        Which::Entries(entries) => entries,
        Which::All => recoverable(house, None).await?,
        Which::Domains(patterns) => {
            let mut entries = Vec::new();
            for pattern in patterns {
                entries.extend(recoverable(house, Some(pattern)).await?);
            }
            entries.sort_unstable();
            entries.dedup();
            entries
        }
    };
    let terms = Terms {
        quota: house.config.quota,
        hold_for: house.config.verification.hold_for,
    };
    let mut rows = Vec::with_capacity(entries.len());
    for ledger in entries {
        let recovered = house
            .store
            .recover(ledger, terms, operator(), Timestamp::now())
            .await?;
        rows.push(match recovered {
            Recovered::Now {
                verdict,
                reason,
                request,
                ..
            } => Row {
                ledger,
                verdict,
                reason,
                request: Some(request),
            },
            Recovered::StillDropped(decision) => Row {
                ledger,
                verdict: decision.verdict,
                reason: decision.reason,
                request: None,
            },
        });
    }
    out.list(&rows, None, COLUMNS)?;
    let back = rows.iter().filter(|row| row.request.is_some()).count();
    out.flush()?;
    note(format_args!("{back} of {} recovered", rows.len()));
    Ok(())
}

async fn recoverable(
    house: &House,
    pattern: Option<DomainPattern>,
) -> Result<Vec<LedgerId>, Failure> {
    let mut entries = Vec::new();
    let mut after = None;
    loop {
        let page = Page { limit: PART, after };
        let part = house.store.recoverable(pattern.clone(), page).await?;
        entries.extend(part.rows);
        after = part.next;
        if after.is_none() {
            return Ok(entries);
        }
    }
}
