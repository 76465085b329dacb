//! Recovery of dropped messages: `dropped recover` and `access allow --recover`.

use super::context::{Context, actor};
use super::failure::{CommandError, CommandResult};
use super::output::{Output, TableColumn, columns, note, or_dash};
use crate::domain::{DomainPattern, EmailAddress, LedgerId, PortalName};
use crate::operations::{
    Outcomes, RecoveryOutcome, concerns_item, list_recoverable, recover_many, release_many_dropped,
};

/// Entries that are decided again.
pub enum RecoverySelection {
    Entries(Vec<LedgerId>),
    /// Entries of all domains that one of the patterns matches.
    Domains(Vec<DomainPattern>),
    All,
}

const COLUMNS: &[TableColumn<RecoveryOutcome>] = columns! { row: RecoveryOutcome;
    "ledger" Id => row.ledger,
    "verdict" Word => row.verdict,
    "reason" Whole => row.reason,
    "request" Id => or_dash(row.request.as_ref()),
    "outcome" Wrapped => row.outcome(),
};

/// Decides the entries again by the current settings, oldest first. `portal` is the portal of each that came for
/// none. The results are printed even after an error. Returns the number of new requests.
pub async fn recover(
    context: &Context,
    which: RecoverySelection,
    portal: Option<&PortalName>,
    out: &mut Output,
) -> Result<usize, CommandError> {
    let entries = match which {
        RecoverySelection::Entries(entries) => entries,
        RecoverySelection::All => list_recoverable(&context.store, None, usize::MAX).await?,
        RecoverySelection::Domains(patterns) => {
            let mut entries = Vec::new();
            for pattern in patterns {
                entries.extend(list_recoverable(&context.store, Some(pattern), usize::MAX).await?);
            }
            entries.sort_unstable();
            entries.dedup();
            entries
        }
    };
    let Context { store, config } = context;
    print(
        recover_many(store, config, entries, portal, &actor()).await?,
        out,
    )
}

/// Releases the entries as they are.
pub async fn force(
    context: &Context,
    entries: Vec<LedgerId>,
    named: Option<&EmailAddress>,
    portal: Option<&PortalName>,
    out: &mut Output,
) -> CommandResult {
    let Context { store, config } = context;
    let outcomes = release_many_dropped(store, config, entries, named, portal, &actor()).await?;
    print(outcomes, out).map(drop)
}

/// Prints the outcome for each entry. Returns the number of new requests.
fn print(
    outcomes: Outcomes<LedgerId, RecoveryOutcome>,
    out: &mut Output,
) -> Result<usize, CommandError> {
    let all = outcomes.len();
    let mut rows = Vec::with_capacity(all);
    let mut failure = None;
    for (_, outcome) in outcomes {
        match outcome {
            Ok(recovered) => rows.push(recovered),
            Err(error) if all == 1 => return Err(error.into()),
            Err(error) if concerns_item(&error) => {
                note(format_args!("error: {error}"));
                failure = failure.or(Some(CommandError::Said));
            }
            Err(error) => failure = Some(error.into()),
        }
    }
    out.list(&rows, None, COLUMNS)?;
    let back = rows.iter().filter(|row| row.is_request()).count();
    out.flush()?;
    note(format_args!("{back} of {all} recovered"));
    failure.map_or(Ok(back), Err)
}
