//! In: the outcome of an attempt. Out: the settlement to record.

use super::{Attempt, schedule};
use crate::config::Retry;
use crate::domain::Timestamp;
use crate::store::Settlement;

/// `attempt` counts from 1; the schedule decides by `released_at` when the request fails.
pub fn settlement(
    outcome: &Attempt,
    attempt: u32,
    released_at: Timestamp,
    retry: &Retry,
    now: Timestamp,
) -> Settlement {
    let cause = match outcome {
        Attempt::Delivered => return Settlement::Delivered,
        Attempt::Refused(cause) => {
            return Settlement::Failed {
                cause: cause.text.clone(),
            };
        }
        Attempt::Retry(cause) | Attempt::Unknown(cause) => cause,
    };
    let chance = schedule::chance();
    match schedule::next(retry, attempt, released_at, now, cause.not_before, chance) {
        Some(at) => Settlement::Retry {
            at,
            cause: cause.text.clone(),
        },
        None => Settlement::Failed {
            cause: format!("given up: {}", cause.text),
        },
    }
}
