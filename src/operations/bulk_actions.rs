//! Bulk actions. They run concurrently, so that the database can combine many into one transaction, and start in
//! their order; a failure of one does not affect the others.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use crate::store::{Result, StoreError};

/// Maximum items of one request or one form, and of one group of actions.
pub const MAX_BULK_ITEMS: usize = 1000;

/// The outcome of each item, in their order.
pub type Outcomes<T, R> = Vec<(T, Result<R>)>;

/// Runs the action for each of `items`, a thousand at a time.
///
/// # Errors
/// The first internal error, if it prevented every action of a group: the database is full or gone. An
/// internal error of one item, and an action that is not possible, is the outcome of that item.
pub async fn bulk<T, R, F>(items: Vec<T>, act: impl Fn(T) -> F) -> Result<Outcomes<T, R>>
where
    T: Copy,
    F: Future<Output = Result<R>>,
{
    let mut outcomes = Vec::with_capacity(items.len());
    for group in items.chunks(MAX_BULK_ITEMS) {
        let ended = run_all(group.iter().map(|item| act(*item)).collect()).await;
        let all_failed = ended.iter().all(Result::is_err);
        for (item, outcome) in group.iter().zip(ended) {
            match outcome {
                Err(error) if all_failed && !concerns_item(&error) => return Err(error),
                outcome => outcomes.push((*item, outcome)),
            }
        }
    }
    Ok(outcomes)
}

/// True for the reasons why an action on one item is not possible; they do not affect the others.
#[must_use]
pub fn concerns_item(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::NotFound { .. } | StoreError::NotAllowed(_) | StoreError::DamagedRow(_)
    )
}

/// Polls all futures until the last one has ended; the first poll is in their order.
async fn run_all<R>(futures: Vec<impl Future<Output = R>>) -> Vec<R> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).map(Some).collect();
    let mut ended: Vec<Option<R>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut is_pending = false;
        for (slot, result) in running.iter_mut().zip(&mut ended) {
            let Some(future) = slot else { continue };
            match Pin::new(future).poll(context) {
                Poll::Ready(value) => {
                    *result = Some(value);
                    *slot = None;
                }
                Poll::Pending => is_pending = true,
            }
        }
        if is_pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    ended.into_iter().flatten().collect()
}

/// Count of the actions of a bulk action that changed something, and of the others.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub done: usize,
    pub failed: usize,
}

impl Tally {
    /// Counts outcomes. `is_done` is true for an action that changed something.
    pub fn of<T, R>(outcomes: &[(T, Result<R>)], is_done: impl Fn(&R) -> bool) -> Self {
        let done = |(_, outcome): &&(T, Result<R>)| outcome.as_ref().is_ok_and(&is_done);
        let done = outcomes.iter().filter(done).count();
        Self {
            done,
            failed: outcomes.len() - done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse() -> StoreError {
        StoreError::NotAllowed("no".to_owned())
    }

    #[tokio::test]
    async fn outcomes_are_in_order_and_a_failure_concerns_one_item() {
        let outcomes = bulk((0..2500_u32).collect(), async |number| {
            if number % 2 == 0 {
                tokio::task::yield_now().await;
            }
            if number == 7 {
                Err(refuse())
            } else {
                Ok(number)
            }
        });
        let outcomes = outcomes.await.expect("outcomes");
        assert_eq!(outcomes.len(), 2500);
        for (place, (item, outcome)) in outcomes.iter().enumerate() {
            assert_eq!(place, *item as usize);
            assert_eq!(outcome.is_err(), *item == 7);
        }
        let tally = Tally::of(&outcomes, |_| true);
        assert_eq!((tally.done, tally.failed), (2499, 1));
    }

    #[tokio::test]
    async fn an_internal_error_of_every_item_fails_the_whole_action() {
        let busy = || StoreError::Busy("locked".to_owned());
        let all = bulk(vec![1, 2], async |_| Err::<(), _>(busy())).await;
        assert!(matches!(all, Err(StoreError::Busy(_))));
        let some = bulk(
            vec![1, 2],
            async |item| {
                if item == 1 { Err(busy()) } else { Ok(()) }
            },
        );
        assert_eq!(some.await.expect("outcomes").len(), 2);
        let refused = bulk(vec![1, 2], async |_| Err::<(), _>(refuse())).await;
        assert_eq!(refused.expect("outcomes").len(), 2);
    }
}
