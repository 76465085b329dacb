//! Effects of a draft of the access settings, as pages show them: the changed settings, the warnings, and the
//! messages of the last 30 days decided again.

use minijinja::value::Serde;
use minijinja::{Value, context};

use super::{AppState, when};
use crate::access::{AccessSettings, Outcome, Shift, Warning};
use crate::domain::{AccountKind, Vocabulary};
use crate::operations::{Preview, preview};
use crate::store::{Simulated, StoreError};
use crate::web::display::one_line;

/// Warnings for a page. Those about unknown top-level domains, which a site with internal names has for many of its
/// domains, are folded into one line.
pub(super) fn warning_lines(warnings: &[Warning]) -> Value {
    let (unknown, others): (Vec<_>, Vec<_>) = warnings
        .iter()
        .partition(|warning| matches!(warning, Warning::UnknownTopLevel(_)));
    let lines = |warnings: Vec<&Warning>| -> Vec<String> {
        warnings.into_iter().map(ToString::to_string).collect()
    };
    context! { lines => lines(others), unknown => lines(unknown) }
}

/// Maximum domains and messages that are listed one by one.
const MAX_ROWS: usize = 20;

impl AppState {
    /// Compares a draft with the current settings, over all messages or those of one domain.
    pub async fn simulation(
        &self,
        before: &AccessSettings,
        draft: &AccessSettings,
        domain: Option<String>,
    ) -> Result<Value, StoreError> {
        let Preview {
            changes,
            warnings,
            stops,
            unlisted,
            simulated,
        } = preview(self.store(), before, draft, domain, MAX_ROWS).await?;
        Ok(context! {
            changes => changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            warnings => warning_lines(&warnings),
            stops => stops.map(|stops| Value::from(Serde(stops))),
            unlisted => unlisted.map(|unlisted| Value::from(Serde(unlisted))),
            ..effect(&simulated)
        })
    }
}

/// The change of one message, in plain words.
fn shift_words(shift: Shift) -> String {
    let (before, after) = (shift.before, shift.after);
    let verdict = |outcome: Outcome| Vocabulary::Verdict.words(outcome.verdict.as_str());
    match (before.account, after.account) {
        (Some(old), Some(new)) if before.verdict == after.verdict => {
            let kind = |kind: AccountKind| Vocabulary::Kind.words(kind.as_str());
            format!("{}: {} → {}", verdict(after), kind(old), kind(new))
        }
        _ => format!("{} → {}", verdict(before), verdict(after)),
    }
}

fn effect(simulated: &Simulated) -> Value {
    let domains: Vec<_> = simulated
        .domains
        .iter()
        .map(|row| {
            context! {
                domain => row.domain.as_str(),
                portal => row.portal.as_str(),
                shift => shift_words(row.shift()),
                reason => row.after.reason.as_str(),
                messages => row.messages,
                people => row.people,
            }
        })
        .collect();
    let examples: Vec<_> = simulated
        .examples
        .iter()
        .map(|row| {
            context! {
                ledger => row.ledger.to_string(),
                received_at => when(row.received_at),
                portal => row.portal.as_str(),
                shift => shift_words(row.shift()),
                sender => row.sender.as_deref().map(one_line),
                subject => row.subject.as_deref().map(one_line).filter(|text| !text.is_empty()),
            }
        })
        .collect();
    context! {
        messages => simulated.messages,
        changed => simulated.changed,
        shifts => Value::from(Serde(&simulated.shifts)),
        domains => domains,
        domains_changed => simulated.domains_changed,
        examples => examples,
    }
}
