//! The same done to many things at once, side by side, so that the database can take many into one
//! transaction; one that cannot be done does not keep the others from it.

use tokio::task::JoinSet;

use super::problem::Problem;
use crate::store::StoreError;

/// The most that one request acts on.
pub(super) const MOST_AT_ONCE: usize = 1000;

/// What became of each, in the order of `things`.
///
/// # Errors
/// A fault of ours, which is nobody's in particular.
pub(super) async fn each<T, R, F>(
    things: Vec<T>,
    act: impl Fn(T) -> F,
) -> Result<Vec<(T, Result<R, Problem>)>, Problem>
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
        let outcome = match outcome {
            Ok(done) => Ok(done),
            Err(error @ (StoreError::NotFound { .. } | StoreError::NotAllowed(_))) => {
                Err(Problem::from(error))
            }
            Err(error) => return Err(error.into()),
        };
        outcomes.push((place, thing, outcome));
    }
    outcomes.sort_by_key(|(place, ..)| *place);
    Ok(outcomes
        .into_iter()
        .map(|(_, thing, outcome)| (thing, outcome))
        .collect())
}
