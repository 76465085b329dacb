//! What operators do to one thing, each as an operation of the store; and the same done to many. The
//! log hears of it from the audit, as of what is done at the command line.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Desk;
use super::gate::Visit;
use super::refusal::Refusal;
use crate::domain::{
    Account, AccountId, LedgerId, Proof, Release, RequestId, RequestState, Status, Timestamp,
};
use crate::store::{Choice, LetterCause, Proved, Recovered, StoreError, Terms};

/// The most that one form acts on.
pub(super) const MOST_AT_ONCE: usize = 1000;

/// What can be done to a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum RequestAct {
    Release,
    Discard,
    Retry,
}

impl RequestAct {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "release" => Some(Self::Release),
            "discard" => Some(Self::Discard),
            "retry" => Some(Self::Retry),
            _ => None,
        }
    }

    /// The word on the button.
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Discard => "discard",
            Self::Retry => "retry",
        }
    }

    /// Whether it can be done to a request in this state, so far as the state tells.
    pub fn applies_to(self, state: RequestState) -> bool {
        use RequestState::{Discarded, Expired, Failed, Held, Released};
        match self {
            Self::Release => matches!(state, Held | Discarded | Expired),
            Self::Discard => matches!(state, Held | Failed),
            Self::Retry => matches!(state, Failed | Released),
        }
    }

    /// What has become of the request.
    pub fn done(self) -> &'static str {
        match self {
            Self::Release => "released",
            Self::Discard => "discarded",
            Self::Retry => "retried",
        }
    }
}

/// What can be done to an account.
#[derive(Debug, Clone, Copy)]
pub(super) enum CustomerAct {
    Verify,
    Block,
    Unblock,
    Resend,
}

impl CustomerAct {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "verify" => Some(Self::Verify),
            "block" => Some(Self::Block),
            "unblock" => Some(Self::Unblock),
            "resend" => Some(Self::Resend),
            _ => None,
        }
    }

    /// What has become of the account.
    pub fn done(self) -> &'static str {
        match self {
            Self::Verify => "verified",
            Self::Block => "blocked",
            Self::Unblock => "unblocked",
            Self::Resend => "resent",
        }
    }
}

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
        let (by, now) = (visit.by(), Timestamp::now());
        let store = self.store();
        match act {
            RequestAct::Release => {
                let release = Release::Operator(visit.name.to_string());
                store.release_request(id, release, now).await?;
            }
            RequestAct::Discard => {
                store.discard_request(id, by, now).await?;
            }
            RequestAct::Retry => {
                store.retry_request(id, by, now).await?;
            }
        }
        Ok(())
    }

    pub async fn act_on_customer(
        &self,
        account: &Account,
        act: CustomerAct,
        visit: &Visit,
    ) -> Result<(), Refusal> {
        let (by, now) = (visit.by(), Timestamp::now());
        let id = account.id;
        match act {
            CustomerAct::Verify => return self.verify(id, visit).await,
            CustomerAct::Block => {
                self.store().block_customer(id, by, now).await?;
            }
            CustomerAct::Unblock => {
                self.store().unblock_customer(id, by, now).await?;
            }
            CustomerAct::Resend if account.status == Status::Pending => {
                let address = account.address.clone();
                self.store()
                    .renew_link(address, LetterCause::Operator, now)
                    .await?;
            }
            CustomerAct::Resend => {
                return Err(Refusal::NotAllowed(
                    "Only a pending account gets a verification mail".to_owned(),
                ));
            }
        }
        Ok(())
    }

    async fn verify(&self, id: AccountId, visit: &Visit) -> Result<(), Refusal> {
        let proof = Proof::Operator(visit.name.to_string());
        let proved = self
            .store()
            .prove(proof, Some(id), Choice::All, Timestamp::now())
            .await?;
        match proved {
            Proved::Now { .. } | Proved::Before { .. } => Ok(()),
            Proved::Expired | Proved::Unknown => Err(Refusal::NotAllowed(
                "A blocked account has to be unblocked first".to_owned(),
            )),
        }
    }

    /// Decides about a dropped message again; whether it is a request now.
    pub async fn recover(&self, ledger: LedgerId, visit: &Visit) -> Result<bool, StoreError> {
        let config = self.config();
        let terms = Terms {
            quota: config.quota,
            hold_for: config.verification.hold_for,
        };
        let recovered = self
            .store()
            .recover(ledger, terms, visit.by(), Timestamp::now())
            .await?;
        Ok(matches!(recovered, Recovered::Now { .. }))
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
