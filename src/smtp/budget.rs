//! The memory that messages may take while they come in, all connections together.
//!
//! A connection holds what its buffer has grown to and asks before it grows. When everything is
//! given out, it waits — the client is not told, TCP holds it back — and nobody waits for ever: a
//! last reserve, one message long, goes to one waiting client at a time, which then needs nothing
//! more from anybody and is bound by its own timeouts to come to an end.

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// Octets are given out in pieces of this size.
const PIECE: usize = 1024;

pub struct Budget {
    pieces: Semaphore,
    reserve: Mutex<()>,
}

impl Budget {
    /// `total` octets, of which `largest`, the size of the largest message, are the reserve.
    #[must_use]
    pub fn new(total: u64, largest: u64) -> Self {
        let pieces = usize::try_from(total.saturating_sub(largest)).unwrap_or(usize::MAX) / PIECE;
        Self {
            pieces: Semaphore::new(pieces.min(Semaphore::MAX_PERMITS)),
            reserve: Mutex::new(()),
        }
    }

    /// A share of nothing yet.
    #[must_use]
    pub fn share(&self) -> Share<'_> {
        Share {
            budget: self,
            octets: 0,
            pieces: None,
            reserve: None,
        }
    }
}

/// What one message holds of the budget; given back when dropped.
pub struct Share<'a> {
    budget: &'a Budget,
    octets: usize,
    pieces: Option<SemaphorePermit<'a>>,
    reserve: Option<MutexGuard<'a, ()>>,
}

impl Share<'_> {
    /// Whether so many octets are held already.
    #[must_use]
    pub fn covers(&self, octets: usize) -> bool {
        self.reserve.is_some() || octets <= self.octets
    }

    /// Waits until the message may take `octets` in all.
    pub async fn grow(&mut self, octets: usize) {
        if self.covers(octets) {
            return;
        }
        let more = octets.div_ceil(PIECE) - self.octets / PIECE;
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            Ok(permit) = self.budget.pieces.acquire_many(more) => {
                match &mut self.pieces {
                    Some(held) => held.merge(permit),
                    none => *none = Some(permit),
                }
                self.octets = octets.div_ceil(PIECE) * PIECE;
            }
            reserve = self.budget.reserve.lock() => self.reserve = Some(reserve),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn shares_come_back() {
        let budget = Budget::new(10 * 1024, 0);
        let mut share = budget.share();
        share.grow(1).await;
        share.grow(1024).await;
        assert_eq!(budget.pieces.available_permits(), 9);
        share.grow(1025).await;
        share.grow(10 * 1024).await;
        assert_eq!(budget.pieces.available_permits(), 0);
        drop(share);
        assert_eq!(budget.pieces.available_permits(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_gets_through_when_it_is_spent() {
        // Each of 50 holds a part and wants the rest: without the reserve they would wait for
        // each other for ever.
        let budget = Arc::new(Budget::new(60 * 1024, 10 * 1024));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let budget = Arc::clone(&budget);
                tokio::spawn(async move {
                    let mut share = budget.share();
                    for kib in 1..=10 {
                        share.grow(kib * 1024).await;
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            tokio::time::timeout(std::time::Duration::from_mins(1), task)
                .await
                .expect("no deadlock")
                .expect("no panic");
        }
        assert_eq!(budget.pieces.available_permits(), 50);
    }

    #[tokio::test]
    async fn only_one_has_the_reserve() {
        let budget = Budget::new(0, 1024);
        let mut first = budget.share();
        first.grow(1024).await;
        let mut second = budget.share();
        assert!(
            futures_now(second.grow(1)).is_none(),
            "the second must wait"
        );
        drop(first);
        assert!(futures_now(second.grow(1)).is_some(), "its turn");
    }

    /// What a future has to say without waiting.
    fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
