//! `access simulate`: effects that a draft would have had on the messages of the last days.

use super::change::warn;
use crate::access::AccessSettings;
use crate::cli::context::Context;
use crate::cli::failure::CommandResult;
use crate::cli::output::{Output, TableColumn, columns, count_of, or_dash, progress_first, time};
use crate::domain::{PortalName, Timestamp};
use crate::operations::Simulation;
use crate::store::{DomainShift, Example, ShiftCount, Simulated, WhatIf};

const DOMAINS: &[TableColumn<DomainShift>] = columns! { row: DomainShift;
    "domain" Whole => row.domain,
    "portal" Whole 3 => row.portal,
    "change" Whole => row.shift(),
    "messages" Number => row.messages,
    "people" Number 2 => row.people,
    "new reason" Whole => row.after.reason,
};

const EXAMPLES: &[TableColumn<Example>] = columns! { row: Example;
    "ledger" Id => row.ledger,
    "received" Time => time(row.received_at),
    "portal" Whole 1 => row.portal,
    "change" Whole => row.shift(),
    "sender" Whole => or_dash(row.sender.as_ref()),
    "subject" Text => or_dash(row.subject.as_ref()),
};

pub async fn run(
    context: &Context,
    draft: AccessSettings,
    portal: Option<PortalName>,
    since: Timestamp,
    most: usize,
    out: &mut Output,
) -> CommandResult {
    let current = context.store.access().await?.settings;
    let changes = current.changes_to(&draft);
    let warnings = draft.warnings_beside(&current);
    let bar = progress_first();
    let shown = bar.clone();
    let what = WhatIf {
        draft: draft.clone(),
        since,
        portal,
        domain: None,
        most,
    };
    let simulated = context
        .store
        .simulate(what, move |done, all| {
            shown.set_length(all);
            shown.set_position(done);
        })
        .await;
    bar.finish_and_clear();
    let simulated = simulated?;
    if out.is_json() {
        return out.object(&Simulation::of(&current, &draft, simulated));
    }
    for change in &changes {
        out.line(change)?;
    }
    if changes.is_empty() {
        out.line(format_args!(
            "the draft is the same as the current settings, revision {}",
            simulated.revision
        ))?;
    }
    print_simulation(&simulated, out)?;
    warn(&warnings, out)
}

fn print_simulation(simulated: &Simulated, out: &mut Output) -> CommandResult {
    out.line(format_args!(
        "\n{} since {}",
        count_of(simulated.messages, "message"),
        time(simulated.since)
    ))?;
    if simulated.shifts.is_empty() {
        return out.line("nothing would change");
    }
    for shift in &simulated.shifts {
        out.line(sentence(shift))?;
    }
    out.line("")?;
    out.table(&simulated.domains, DOMAINS, true)?;
    let told: std::collections::BTreeSet<_> =
        simulated.domains.iter().map(|row| &row.domain).collect();
    let more = simulated.domains_changed.saturating_sub(told.len() as u64);
    if more > 0 {
        out.line(format_args!("and {} more", count_of(more, "domain")))?;
    }
    out.line("")?;
    out.table(&simulated.examples, EXAMPLES, true)?;
    let more = simulated
        .changed
        .saturating_sub(simulated.examples.len() as u64);
    if more > 0 {
        out.line(format_args!(
            "and {} more; see them with --limit",
            count_of(more, "message")
        ))?;
    }
    Ok(())
}

fn sentence(shift: &ShiftCount) -> String {
    let who = format!(
        "{} of {}",
        count_of(shift.messages, "message"),
        if shift.people == 1 {
            "1 person".to_owned()
        } else {
            format!("{} people", shift.people)
        }
    );
    if shift.from == shift.to {
        format!("{who} would stay {}, as another kind of customer", shift.to)
    } else {
        format!("{who} would change from {} to {}", shift.from, shift.to)
    }
}
