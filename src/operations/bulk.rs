//! The same done to many things at once, side by side, so that the database can take many into one
//! transaction; one that cannot be done does not keep the others from it.

use tokio::task::JoinSet;

use crate::store::StoreError;

/// The most that one request, or one form, acts on.
pub const MOST_AT_ONCE: usize = 1000;

/// What became of each, in the order of `things`. What could not be done is `NotFound` or `NotAllowed`.
///
/// # Errors
/// A fault of ours, which is nobody's in particular.
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
