//! Bulk actions. They run concurrently, so that the database can combine many into one transaction; a failure
//! of one does not affect the others.

use tokio::task::JoinSet;

use crate::store::StoreError;

/// Maximum items of one request or one form.
pub const MOST_AT_ONCE: usize = 1000;

/// Returns the outcome of each, in the order of `things`. An action that is not possible is `NotFound` or
/// `NotAllowed`.
///
/// # Errors
/// An internal error, which concerns no particular item.
pub async fn bulk<T, R, F>(
    things: Vec<T>,
    act: impl Fn(T) -> F,
) -> Result<Vec<(T, Result<R, StoreError>)>, StoreError>
where
    T: Copy + Send + 'static,
    R: Send + 'static,
    F: Future<Output = Result<R, StoreError>> + Send + 'static,
{
    let mut acts = JoinSet::new();
    for (place, thing) in things.into_iter().enumerate() {
        let act = act(thing);
        acts.spawn(async move { (place, thing, act.await) });
    }
    let mut outcomes = Vec::with_capacity(acts.len());
    while let Some(ended) = acts.join_next().await {
        let (place, thing, outcome) =
            ended.map_err(|error| StoreError::Other(error.to_string()))?;
        match outcome {
            Ok(_) | Err(StoreError::NotFound { .. } | StoreError::NotAllowed(_)) => {
                outcomes.push((place, thing, outcome));
            }
            Err(error) => return Err(error),
        }
    }
    outcomes.sort_by_key(|(place, ..)| *place);
    Ok(outcomes
        .into_iter()
        .map(|(_, thing, outcome)| (thing, outcome))
        .collect())
}
