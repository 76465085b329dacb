//! Taking up again what was dropped: `dropped recover` and `access allow --recover`.

use super::failure::{Failure, Outcome};
use super::house::{House, operator};
use super::output::{Column, Layout, Output, note, or_dash};
use crate::domain::{DomainPattern, LedgerId};
use crate::operations::{Taken, recover as recover_one, recoverable};
use crate::store::StoreError;

/// Which entries are decided again.
pub enum Which {
    Entries(Vec<LedgerId>),
    /// Those of all domains that one of the patterns matches.
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
];

/// Decides them again by the settings of now, oldest first. What was done is shown, whatever happens.
pub async fn recover(house: &House, which: Which, out: &mut Output) -> Outcome {
    let entries = match which {
        Which::Entries(entries) => entries,
        Which::All => recoverable(&house.store, None, usize::MAX).await?,
        Which::Domains(patterns) => {
            let mut entries = Vec::new();
            for pattern in patterns {
                entries.extend(recoverable(&house.store, Some(pattern), usize::MAX).await?);
            }
            entries.sort_unstable();
            entries.dedup();
            entries
        }
    };
    let mut rows = Vec::with_capacity(entries.len());
    let mut outcome = Ok(());
    for &ledger in &entries {
        match recover_one(&house.store, &house.config, ledger, operator()).await {
            Ok(taken) => rows.push(taken),
            Err(error) if entries.len() == 1 => return Err(error.into()),
            // One that cannot be recovered does not keep the others from it.
            Err(error @ (StoreError::NotAllowed(_) | StoreError::NotFound { .. })) => {
                note(format_args!("error: {error}"));
                outcome = Err(Failure::Said);
            }
            Err(error) => {
                outcome = Err(error.into());
                break;
            }
        }
    }
    out.list(&rows, None, COLUMNS)?;
    let back = rows.iter().filter(|row| row.request.is_some()).count();
    out.flush()?;
    note(format_args!("{back} of {} recovered", entries.len()));
    outcome
}
