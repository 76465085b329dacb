//! `SIGKILL` under load, at random moments and at chosen ones: every message is accounted for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::account::settle;
use super::help_desk::HelpDesk;
use super::load::{Book, Load, configuration};
use super::syncs::tamper_with_syncs;
use super::{Dice, rounds};
use crate::support::harness::{Harness, wait_for};

/// Ways to kill the daemon.
enum Death {
    /// A random moment, after this many more acknowledgements and a pause.
    Any { after: usize, pause: Duration },
    /// At the N-th pass of a failpoint.
    Place(&'static str, u64),
    /// At the N-th entry into the syncing system call: written, but not yet on disk.
    Sync(u64),
}

/// The failpoints of `failpoint::pass`, and how often each is passed during the start.
pub const PLACES: [(&str, u64); 6] = [
    ("filled", 10),
    ("committed", 10),
    ("answered", 10),
    ("accepted", 0),
    ("handed over", 0),
    ("letter sent", 0),
];

impl Death {
    /// Runs the daemon under load until it dies.
    fn under_load(&self, harness: &mut Harness, book: &Arc<Book>, round: usize) {
        match self {
            Self::Place(place, passes) => {
                let place = format!("{place}:{passes}");
                if !harness.restart_with(&[("VESTIBULE_FAILPOINT", &place)]) {
                    // It died while it resumed the work of the previous process.
                    return;
                }
            }
            _ => harness.restart(),
        }
        let load = Load::start(harness, book, round);
        match self {
            Self::Any { after, pause } => {
                let goal = book.acknowledged() + after;
                wait_for("some acknowledgements", || {
                    (book.acknowledged() >= goal).then_some(())
                });
                let moment = Instant::now() + *pause;
                while Instant::now() < moment {
                    std::hint::spin_loop();
                }
                harness.kill();
            }
            Self::Place(place, _) => {
                assert_eq!(harness.exit_status(), None, "killed at {place:?}");
            }
            Self::Sync(times) => {
                let mut strace =
                    tamper_with_syncs(harness, &format!("signal=SIGKILL:when={times}"))
                        .spawn()
                        .expect("strace, of the package strace");
                assert_eq!(harness.exit_status(), None, "killed at a sync");
                strace.wait().expect("strace ends with the daemon");
            }
        }
        load.stop();
        harness.kill();
    }
}

/// Survives all these kills, one after another, on one database.
fn survive(deaths: impl IntoIterator<Item = Death>) {
    let help_desk = HelpDesk::open();
    let book = Arc::new(Book::default());
    let mut harness = Harness::at_rest(&configuration(&help_desk));
    let mut count = 0;
    for death in deaths {
        death.under_load(&mut harness, &book, count);
        count += 1;
    }
    harness.restart();
    // However early the kills are, there is enough mail of every kind to account for.
    let load = Load::start(&harness, &book, count);
    wait_for("some of everything", || {
        let is_much = book.acknowledged() > 12 * count;
        (is_much && !book.confirmed().is_empty()).then_some(())
    });
    load.stop();
    book.send_the_rest(harness.smtp);
    let account = settle(&harness, &book, &help_desk);
    println!("{count} deaths survived: {account:?}");
    assert!(
        account.delivered > count && account.held > count,
        "{account:?}"
    );
}

#[test]
fn nothing_is_lost_when_killed_at_any_moment() {
    let mut dice = Dice(
        rustix::process::getpid()
            .as_raw_nonzero()
            .get()
            .cast_unsigned()
            .into(),
    );
    survive((0..rounds(20, 500)).map(|_| Death::Any {
        after: usize::try_from(dice.throw(60) + 1).expect("small"),
        pause: Duration::from_micros(dice.throw(5000)),
    }));
}

#[test]
fn nothing_is_lost_when_killed_at_the_worst_moments() {
    let mut dice = Dice(1);
    survive((0..rounds(2, 40)).flat_map(|_| {
        let places = PLACES.map(|(place, before)| Death::Place(place, before + dice.throw(8) + 1));
        places.into_iter().chain([Death::Sync(dice.throw(8) + 1)])
    }));
}
