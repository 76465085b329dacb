//! Recovery of dropped messages: `dropped recover` and `access allow --recover`.

use super::context::{Context, actor};
use super::failure::{Failure, Outcome};
use super::output::{Column, Layout, Output, note, or_dash};
use crate::domain::{DomainPattern, EmailAddress, LedgerId};
use crate::operations::{self, Taken, recoverable};
use crate::store::StoreError;

/// Entries that are decided again.
pub enum Which {
    Entries(Vec<LedgerId>),
    /// Entries of all domains that one of the patterns matches.
    Domains(Vec<DomainPattern>),
    All,
}

const COLUMNS: &[Column<Taken>] = &[
    Column::new("ledger", Layout::Whole, |row: &Taken| {
        row.ledger.to_string()
    }),
    Column::new("verdict", Layout::Word, |row: &Taken| {
        row.verdict.to_string()
    }),
    Column::new("reason", Layout::Whole, |row: &Taken| {
        row.reason.to_string()
    }),
    Column::new("request", Layout::Whole, |row: &Taken| {
        or_dash(row.request.as_ref())
    }),
    Column::new("what became of it", Layout::Text, Taken::outcome),
];

/// Decides them again by the current settings, oldest first. The results are printed even after an error.
/// Returns the number of new requests.
pub async fn recover(context: &Context, which: Which, out: &mut Output) -> Result<usize, Failure> {
    let entries = match which {
        Which::Entries(entries) => entries,
        Which::All => recoverable(&context.store, None, usize::MAX).await?,
        Which::Domains(patterns) => {
            let mut entries = Vec::new();
            for pattern in patterns {
                entries.extend(recoverable(&context.store, Some(pattern), usize::MAX).await?);
            }
            entries.sort_unstable();
            entries.dedup();
            entries
        }
    };
    each(&entries, out, async |ledger| {
        operations::recover(&context.store, &context.config, ledger, actor()).await
    })
    .await
}

/// Releases them as they are.
pub async fn force(
    context: &Context,
    entries: &[LedgerId],
    named: Option<&EmailAddress>,
    out: &mut Output,
) -> Outcome {
    each(entries, out, async |ledger| {
        let named = named.cloned();
        operations::force(&context.store, &context.config, ledger, named, actor()).await
    })
    .await
    .map(drop)
}

async fn each(
    entries: &[LedgerId],
    out: &mut Output,
    act: impl AsyncFn(LedgerId) -> Result<Taken, StoreError>,
) -> Result<usize, Failure> {
    let mut rows = Vec::with_capacity(entries.len());
    let mut failure = None;
    for &ledger in entries {
        match act(ledger).await {
            Ok(taken) => rows.push(taken),
            Err(error) if entries.len() == 1 => return Err(error.into()),
            // A message that cannot be recovered does not affect the others.
            Err(
                error @ (StoreError::NotAllowed(_)
                | StoreError::NotFound { .. }
                | StoreError::DamagedRow(_)),
            ) => {
                note(format_args!("error: {error}"));
                failure = Some(Failure::Said);
            }
            Err(error) => {
                failure = Some(error.into());
                break;
            }
        }
    }
    out.list(&rows, None, COLUMNS)?;
    let back = rows.iter().filter(|row| row.request.is_some()).count();
    out.flush()?;
    note(format_args!("{back} of {} recovered", entries.len()));
    failure.map_or(Ok(back), Err)
}
