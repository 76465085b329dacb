//! What operators do to one thing, each as an operation of the store; and the same done to many. The
//! log hears of it from the audit, as of what is done at the command line.

use std::sync::Arc;

use super::AppState;
use super::auth::CurrentOperator;
use crate::domain::{LedgerId, RequestId, Timestamp};
use crate::operations::{self, RequestAct, Taken};
use crate::store::StoreError;

/// How many of many things were done.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub done: usize,
    pub failed: usize,
}

impl Tally {
    /// `is_done` tells of what could be acted on whether that did anything.
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
        act.carry_out(self.store(), id, by, Timestamp::now())
            .await?;
        Ok(())
    }

    /// Decides about a dropped message again.
    pub async fn recover(
        &self,
        ledger: LedgerId,
        operator: &CurrentOperator,
    ) -> Result<Taken, StoreError> {
        let (config, by) = (self.config(), operator.actor());
        operations::recover(self.store(), &config, ledger, by).await
    }
}

/// A handle on the desk for each of many.
pub(super) fn handles(
    app: &Arc<AppState>,
    operator: &CurrentOperator,
) -> (Arc<AppState>, CurrentOperator) {
    (Arc::clone(app), operator.clone())
}
