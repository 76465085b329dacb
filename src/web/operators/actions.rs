//! Operators' actions on one thing, each an operation of the store, and the same actions in bulk. They are
//! logged through the audit log, as those of the command line are.

use std::sync::Arc;

use super::AppState;
use super::auth::CurrentOperator;
use crate::domain::{LedgerId, RequestId, Timestamp};
use crate::operations::{self, RequestAct, Taken};
use crate::store::StoreError;

/// Count of the successful actions of a bulk action.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub done: usize,
    pub failed: usize,
}

impl Tally {
    /// Counts outcomes. `is_done` tells whether an action changed anything.
    pub fn of<T, R>(outcomes: &[(T, Result<R, StoreError>)], is_done: impl Fn(&R) -> bool) -> Self {
        let done =
            |(_, outcome): &&(T, Result<R, StoreError>)| outcome.as_ref().is_ok_and(&is_done);
        let done = outcomes.iter().filter(done).count();
        Self {
            done,
            failed: outcomes.len() - done,
        }
    }
}

impl AppState {
    pub async fn act_on_request(
        &self,
        id: RequestId,
        act: RequestAct,
        operator: &CurrentOperator,
    ) -> Result<(), StoreError> {
        let by = operator.actor();
        act.apply(self.store(), id, by, Timestamp::now()).await?;
        Ok(())
    }

    /// Decides a dropped message again.
    pub async fn recover(
        &self,
        ledger: LedgerId,
        operator: &CurrentOperator,
    ) -> Result<Taken, StoreError> {
        let (config, by) = (self.config(), operator.actor());
        operations::recover(self.store(), &config, ledger, by).await
    }
}

/// A clone of the request queue for each of many actions.
pub(super) fn handles(
    app: &Arc<AppState>,
    operator: &CurrentOperator,
) -> (Arc<AppState>, CurrentOperator) {
    (Arc::clone(app), operator.clone())
}
