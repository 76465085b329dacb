//! Decides about one part of an arriving message: reads what the store knows of its sender and of earlier copies,
//! and asks `access`, or the rules of our own addresses. Writes nothing.

use std::sync::Arc;

use crate::access::{Decision, DecisionInput, Effective, Standing, decide};
use crate::domain::Reason;
use crate::store::Result;
use crate::store::engine::job::Work;
use crate::store::intake::arrival::ArrivalPart;
use crate::store::intake::decision_effects::standing;
use crate::store::intake::own_addresses::decide_own_address;
use crate::store::intake::prepared::{PreparedMessage, PreparedPart};
use crate::store::rows::account_rows::{SenderAccount, find_sender_at};
use crate::store::rows::duplicates::{Earlier, Likeness, find_original};
use crate::store::sql::Tx;

/// A decision, with the revision of the settings that it used.
pub(super) struct Decided {
    pub(super) decision: Decision,
    pub(super) revision: u64,
    pub(super) settings: Arc<Effective>,
}

/// Facts about a part that the decision needs.
pub(super) struct PartContext {
    pub(super) account: Option<SenderAccount>,
    pub(super) original: Option<Earlier>,
    pub(super) standing: Standing,
}

impl PreparedMessage {
    /// Reads what the decision depends on.
    pub(super) fn look_up(&self, tx: &Tx, prepared: &PreparedPart) -> Result<PartContext> {
        let account = match &prepared.sender_key {
            Some(key) => find_sender_at(tx, key, prepared.portal.as_ref())?,
            None => None,
        };
        let original = self.original(tx, prepared)?;
        let size = self.arrival.facts.size;
        let standing = Standing {
            account: match &account {
                Some(account) => Some(standing(tx, account, size, self.arrival.quota)?),
                None => None,
            },
            original: original.map(|earlier| earlier.original),
        };
        Ok(PartContext {
            account,
            original,
            standing,
        })
    }

    /// Finds the entry for the same portal that this message repeats.
    fn original(&self, tx: &Tx, prepared: &PreparedPart) -> Result<Option<Earlier>> {
        let like = Likeness {
            message_key: self.id_key,
            copy_key: prepared.copy_key,
            portal: prepared.portal.as_ref(),
            sender_key: prepared.sender_key.as_deref(),
            facts: &self.arrival.facts,
            received_at: self.at,
        };
        find_original(tx, &like, None)
    }

    /// Decides about a part by the present settings.
    pub(super) fn decide(
        &self,
        work: &mut Work,
        part: &ArrivalPart,
        standing: &Standing,
    ) -> Result<Decided> {
        let facts = &self.arrival.facts;
        let portal = match part {
            ArrivalPart::Portal { circumstances, .. } => Some(&circumstances.portal),
            ArrivalPart::Bounce { .. } | ArrivalPart::Confirmation { .. } => None,
        };
        let (revision, settings) = work.settings.effective(work.tx, portal)?;
        let decision = match part {
            ArrivalPart::Portal { circumstances, .. } => decide(&DecisionInput {
                facts,
                circumstances,
                standing,
                settings: &settings,
            }),
            ArrivalPart::Bounce { .. } => decide_own_address(facts, standing, Reason::Automatic),
            ArrivalPart::Confirmation { .. } => match facts.sender.address() {
                Some(sender) if settings.denies(sender).is_some() => {
                    decide_own_address(facts, standing, Reason::SenderDenied)
                }
                _ => decide_own_address(facts, standing, Reason::Confirmation),
            },
        };
        Ok(Decided {
            decision,
            revision,
            settings,
        })
    }
}
