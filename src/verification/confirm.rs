//! Handles a token that came back: one call into the store, then the events.
//!
//! The page of the link and the reply to the mail use it; neither decides anything itself.

use std::time::Duration;

use crate::domain::{AccountId, PortalName, RequestId, Timestamp, TokenHash, VerificationMethod};
use crate::observe::events;
use crate::observe::metrics::{self, ProcessingStep};
use crate::store::{Choice, Refused, Store, StoreError, TakenBack, VerificationOutcome};

/// Confirms that the address is the person's, and which of the held requests are not theirs.
///
/// # Errors
/// Errors of the store; nothing has changed then.
pub async fn confirm(
    store: &Store,
    method: VerificationMethod,
    choice: Choice,
    now: Timestamp,
) -> Result<VerificationOutcome, StoreError> {
    let by = method.name();
    let verification = store.verify_account(method, None, choice, now).await?;
    emit_events(&verification, &by);
    Ok(verification)
}

/// Emits the events of a verification.
pub fn emit_events(verification: &VerificationOutcome, by: &str) {
    match verification {
        VerificationOutcome::Verified {
            account,
            address,
            created_at,
            released,
            discarded,
            ..
        } => {
            events::verification_confirmed(*account, address, by);
            events::account_verified(*account, address, by, None);
            let took = Timestamp::now().duration_since(*created_at);
            metrics::took(ProcessingStep::Verify, took.try_into().unwrap_or_default());
            emit_released(*account, released, by);
            for request in discarded {
                events::request_discarded(*request, "person", None);
            }
        }
        VerificationOutcome::AlreadyVerified {
            account, released, ..
        } => emit_released(*account, released, by),
        VerificationOutcome::Expired | VerificationOutcome::Unknown => {}
    }
}

fn emit_released(account: AccountId, released: &[(RequestId, PortalName)], by: &str) {
    for (request, portal) in released {
        events::request_released(*request, account, portal, by, None);
    }
}

/// Records "This was not me".
///
/// # Errors
/// Errors of the store; nothing has changed then.
pub async fn refuse(
    store: &Store,
    token: TokenHash,
    quiet_for: Duration,
    now: Timestamp,
) -> Result<Refused, StoreError> {
    let refused = store.refuse(token, quiet_for, now).await?;
    match &refused {
        Refused::Recorded {
            account,
            address,
            discarded,
        } => {
            events::verification_refused(*account, address);
            for request in discarded {
                events::request_discarded(*request, "person", None);
            }
        }
        Refused::AlreadyVerified {
            account, address, ..
        } => events::verification_refused(*account, address),
        Refused::AlreadyRefused | Refused::Expired | Refused::Unknown => {}
    }
    Ok(refused)
}

/// Withdraws "This was not me".
///
/// # Errors
/// Errors of the store; nothing has changed then.
pub async fn take_back(
    store: &Store,
    token: TokenHash,
    hold_for: Duration,
    now: Timestamp,
) -> Result<TakenBack, StoreError> {
    let outcome = store.take_back_refusal(token, hold_for, now).await?;
    if let TakenBack::Restored {
        account,
        address,
        restored,
        ..
    } = &outcome
    {
        events::verification_taken_back(*account, address, restored.len());
    }
    Ok(outcome)
}
