//! Effects of a draft of the access settings, as pages show them: the changed settings, the warnings, and the
//! messages of the last 30 days decided again.

use jiff::SignedDuration;
use minijinja::{Value, context};

use super::{AppState, when};
use crate::access::AccessSettings;
use crate::domain::Timestamp;
use crate::operations::stopped;
use crate::store::{Revision, Simulated, StoreError, WhatIf};
use crate::web::display::one_line;

/// Period whose messages are decided again.
pub(super) const OVER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Maximum domains and messages that are listed one by one.
const MOST: usize = 20;

impl AppState {
    /// Compares a draft with a revision, over all messages or those of one domain.
    pub async fn simulation(
        &self,
        revision: &Revision,
        draft: &AccessSettings,
        domain: Option<String>,
    ) -> Result<Value, StoreError> {
        let since = Timestamp::now()
            .saturating_sub(OVER)
            .unwrap_or(Timestamp::MIN);
        let what = WhatIf {
            draft: draft.clone(),
            since,
            portal: None,
            domain,
            most: MOST,
        };
        let simulated = self.store().simulate(what, |_, _| {}).await?;
        let changes = revision.settings.changes_to(draft);
        let warnings = draft.warnings_beside(&revision.settings);
        let stops = stopped(self.store(), &revision.settings, draft).await?;
        Ok(context! {
            changes => changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            warnings => warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            stops => stops.map(|stops| context! {
                accounts => stops.accounts,
                addresses => stops.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            }),
            ..shown(&simulated)
        })
    }
}

fn shown(simulated: &Simulated) -> Value {
    let shifts: Vec<_> = simulated
        .shifts
        .iter()
        .map(|shift| {
            context! {
                from => shift.from.as_str(),
                to => shift.to.as_str(),
                messages => shift.messages,
                people => shift.people,
            }
        })
        .collect();
    let domains: Vec<_> = simulated
        .domains
        .iter()
        .map(|row| {
            context! {
                domain => row.domain.as_str(),
                portal => row.portal.as_str(),
                shift => row.shift().to_string(),
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
                shift => row.shift().to_string(),
                sender => row.sender.as_deref().map(one_line),
                subject => row.subject.as_deref().map(one_line).filter(|text| !text.is_empty()),
            }
        })
        .collect();
    context! {
        messages => simulated.messages,
        changed => simulated.changed,
        shifts => shifts,
        domains => domains,
        domains_changed => simulated.domains_changed,
        examples => examples,
    }
}
