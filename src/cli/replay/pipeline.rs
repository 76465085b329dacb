//! Runs work on all cores, with results in order and bounded memory.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Maximum pieces in flight per thread. A slow piece delays the results of later ones; this bounds them.
const AHEAD: usize = 8;

/// Applies `work` to every piece on as many threads as there are cores, and passes the results to `take` in
/// the order of the pieces. Ends early if `take` fails.
pub fn run_in_order<P, R, E>(
    pieces: impl Iterator<Item = P> + Send,
    work: impl Fn(P) -> R + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E>
where
    P: Send,
    R: Send,
{
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let window = threads * AHEAD;
    let (todo, pending) = sync_channel::<(usize, P)>(window);
    let (done, finished) = sync_channel::<(usize, R)>(window);
    // A permit for each piece, from its creation until its result is taken.
    let (permit, permits) = sync_channel::<()>(window);
    for _ in 0..window {
        let _ = permit.send(());
    }
    let pending = Mutex::new(pending);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for (place, piece) in pieces.enumerate() {
                if permits.recv().is_err() || todo.send((place, piece)).is_err() {
                    return;
                }
            }
        });
        for _ in 0..threads {
            let done = done.clone();
            let (pending, work) = (&pending, &work);
            scope.spawn(move || {
                while let Some((place, piece)) = next(pending) {
                    if done.send((place, work(piece))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut early = BTreeMap::new();
        let mut expected = 0;
        let mut outcome = Ok(());
        for (place, result) in finished {
            early.insert(place, result);
            while let Some(result) = early.remove(&expected) {
                expected += 1;
                outcome = outcome.and_then(|()| take(result));
                let _ = permit.send(());
            }
            if outcome.is_err() {
                // Ends the producer, then the workers.
                break;
            }
        }
        drop(permit);
        outcome
    })
}

fn next<P>(pending: &Mutex<Receiver<P>>) -> Option<P> {
    let pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
    pending.recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept_even_if_some_pieces_are_slow() {
        let mut taken = Vec::new();
        let slow_first = |piece: u64| {
            // Earlier pieces take more work than later ones.
            (0..(1000 - piece) * 50).fold(piece, |sum, step| std::hint::black_box(sum ^ step));
            piece
        };
        run_in_order(0..1000, slow_first, |piece| {
            taken.push(piece);
            Ok::<_, ()>(())
        })
        .expect("nothing fails");
        assert!(taken.iter().copied().eq(0..1000));
    }

    #[test]
    fn a_failure_ends_it() {
        let mut taken = 0;
        let outcome = run_in_order(
            0..,
            |piece: u64| piece,
            |_| {
                taken += 1;
                if taken == 100 { Err("enough") } else { Ok(()) }
            },
        );
        assert_eq!(outcome, Err("enough"));
        assert_eq!(taken, 100);
    }
}
