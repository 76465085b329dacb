//! What operators do to one thing, each as an operation of the store; and the same done to many. The
//! log hears of it from the audit, as of what is done at the command line.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Desk;
use super::gate::Visit;
use super::refusal::Refusal;
use crate::domain::{LedgerId, RequestId, Timestamp};
use crate::operations::{self, RequestAct};
use crate::store::StoreError;

/// The most that one form acts on.
pub(super) const MOST_AT_ONCE: usize = 1000;

/// How many of many things were done.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub done: usize,
    pub failed: usize,
}

impl Desk {
    pub async fn act_on_request(
        &self,
        id: RequestId,
        act: RequestAct,
        visit: &Visit,
    ) -> Result<(), StoreError> {
        let name = visit.name.as_str();
        act.carry_out(self.store(), id, name, Timestamp::now())
            .await?;
        Ok(())
    }

    /// Decides about a dropped message again; whether it is a request now.
    pub async fn recover(&self, ledger: LedgerId, visit: &Visit) -> Result<bool, StoreError> {
        let terms = operations::terms(&self.config());
        let taken = operations::recover(self.store(), ledger, terms, visit.name.to_string());
        Ok(taken.await?.request.is_some())
    }
}

/// Does the same to each, side by side, so that the database can take many into one transaction.
/// `act` says whether it did anything.
pub(super) async fn each<T: Send + 'static, F>(
    things: Vec<T>,
    act: impl Fn(T) -> F,
) -> Result<Tally, Refusal>
where
    F: Future<Output = Result<bool, StoreError>> + Send + 'static,
{
    let mut acts: JoinSet<_> = things.into_iter().map(act).collect();
    let mut tally = Tally::default();
    while let Some(outcome) = acts.join_next().await {
        match outcome.map_err(|error| StoreError::Other(error.to_string()))? {
            Ok(true) => tally.done += 1,
            Ok(false) | Err(StoreError::NotAllowed(_) | StoreError::NotFound { .. }) => {
                tally.failed += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(tally)
}

/// A handle on the desk for each of many.
pub(super) fn handles(desk: &Arc<Desk>, visit: &Visit) -> (Arc<Desk>, Visit) {
    (Arc::clone(desk), visit.clone())
}
