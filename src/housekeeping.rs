//! Time-driven work: expires holds and pending accounts, sends one reminder, and deletes content and old entries.
//!
//! Every step is bounded in rows and in time, so that it never blocks the writer for long. A pause after each
//! round leaves nine tenths of the time to mail. The clock is only compared with times in the database, so a
//! clock that jumps makes steps run early or late, but never twice. For a day after a jump ahead, and for an hour after
//! a long one back, nothing is deleted. Delivery gives nothing up meanwhile: each check of the clock is sent to it.

pub mod search_index;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Clock, Movement};
use crate::config::Config;
use crate::domain::Timestamp;
use crate::observe::events;
use crate::store::{Duty, MaxDelays, Store, StoreError};

/// Interval between checks for due work. Holds last for days, so a minute is precise enough.
const INTERVAL: Duration = Duration::from_mins(1);

/// The pause between two rounds, as a multiple of the duration of a round.
const PAUSE_FACTOR: u32 = 10;

/// Maximum rows that a step touches.
const STEP: usize = 100;

/// Compares the wall clock with the newest time in the database. To be called before this process writes any: a time
/// that a wrong clock gave would confirm it.
pub async fn check_clock(store: &Store) -> (Clock, Movement) {
    let (wall, counting) = (Timestamp::now(), Instant::now());
    let found = async {
        let earlier = store.latest_time_before(wall - clock::DOUBT).await?;
        Ok::<_, StoreError>((store.latest_time().await?, earlier))
    };
    match found.await {
        Ok((newest, earlier)) => Clock::restart(newest, earlier, wall, counting),
        Err(error) => {
            events::fault("housekeeping", &error);
            Clock::start_unconfirmed(wall, counting)
        }
    }
}

/// The repair that is pending since the clock was set back, which left times in the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PendingRepair {
    None,
    /// Of all times, once the clock is trusted.
    Times,
    /// Of the work that waits for such a time, at once; then of all times.
    WorkAndTimes,
}

impl PendingRepair {
    /// The pending repair after a movement.
    fn after(self, movement: Movement) -> Self {
        match movement {
            Movement::Steady | Movement::Doubted | Movement::Ahead(_) => self,
            Movement::Back(_) => Self::Times,
            Movement::FarBack(_) => Self::WorkAndTimes,
        }
    }
}

/// Runs until `shutdown`, and sends each check of the clock to `checks`. `movement` is the result of the first.
pub async fn run(
    config: watch::Receiver<Arc<Config>>,
    store: Store,
    checks: watch::Sender<Clock>,
    mut movement: Movement,
    shutdown: CancellationToken,
) {
    let mut pending = PendingRepair::None;
    loop {
        match movement {
            Movement::Steady | Movement::Doubted => {}
            Movement::Ahead(by) => events::clock_jumped("ahead", by),
            Movement::Back(by) | Movement::FarBack(by) => events::clock_jumped("back", by),
        }
        let now = config.borrow().clone();
        if let Err(error) = keep(movement, &mut pending, &now, &store, &shutdown).await {
            events::fault("housekeeping", &error);
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        checks.send_modify(|clock| movement = clock.look(Timestamp::now(), Instant::now()));
    }
}

/// Does all work that is due, as far as the clock is trusted, unless another node has this duty. A repair stays
/// `pending` until it is done, even if the clock is not trusted or the database fails meanwhile.
async fn keep(
    movement: Movement,
    pending: &mut PendingRepair,
    config: &Config,
    store: &Store,
    shutdown: &CancellationToken,
) -> Result<(), StoreError> {
    let before = *pending;
    *pending = before.after(movement);
    let duty = store.hold_duty(Duty::Housekeeping, INTERVAL, Timestamp::now());
    if !duty.await? {
        *pending = before;
        return Ok(());
    }
    let delays = MaxDelays {
        hold_for: config.verification.hold_for,
        token_ttl: config.verification.token_ttl,
        keep_dropped: config.dropped.keep_content,
        quiet_for: config.verification.quiet_for,
    };
    let now = Timestamp::now();
    match movement {
        Movement::Steady | Movement::Back(_) => {}
        Movement::Ahead(_) => return Ok(()),
        Movement::Doubted | Movement::FarBack(_) => {
            if *pending == PendingRepair::WorkAndTimes {
                store.hasten_work(now, delays, STEP).await?;
                *pending = PendingRepair::Times;
            }
            return Ok(());
        }
    }
    // Checks miss a clock that was wrong only between two of them, but times written meanwhile are in the future.
    let latest = store.latest_time().await?;
    let has_later = latest.is_some_and(|latest| latest > now + clock::BACK);
    if has_later || *pending != PendingRepair::None {
        *pending = PendingRepair::Times;
        store.repair_times(now, delays, STEP).await?;
        *pending = PendingRepair::None;
    }
    tidy(config, store, shutdown).await
}

async fn tidy(
    config: &Config,
    store: &Store,
    shutdown: &CancellationToken,
) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let retention = &config.retention;
    let mut more = true;
    while more && !shutdown.is_cancelled() {
        let begin = Instant::now();
        let expired = store.expire_holds(now, STEP).await?;
        for &request in &expired.done {
            events::request_expired(request);
        }
        let verification = &config.verification;
        let (remind_before, token_ttl) = (verification.remind_before, verification.token_ttl);
        let reminded = store
            .owe_reminders(now, remind_before, token_ttl, STEP)
            .await?;
        let contents = store
            .delete_expired_content(now, retention.delivered_content, STEP)
            .await?;
        let max_content = config.dropped.max_content;
        let over = store.trim_dropped_content(max_content, STEP).await?;
        let entries = store
            .delete_expired_entries(now, retention.ledger, STEP)
            .await?;
        let verification_mails = store
            .delete_expired_mail(now, retention.ledger, STEP)
            .await?;
        let keep_pending = retention.pending_accounts;
        let accounts = store
            .expire_pending_accounts(now, keep_pending, STEP)
            .await?;
        for (account, address) in &accounts.done {
            events::account_expired(*account, address);
        }
        let keep_calls = retention.hook_calls;
        let calls = store.delete_settled_calls(now, keep_calls, STEP).await?;
        store.sample_queues(now).await?;
        let pages = store.give_pages_back().await?;
        more = expired.more
            || reminded.more
            || contents.more
            || over.more
            || entries.more
            || verification_mails.more
            || accounts.more
            || calls.more
            || pages.more;
        if more {
            let pause = tokio::time::sleep(begin.elapsed() * PAUSE_FACTOR);
            shutdown.run_until_cancelled(pause).await;
            more = store
                .hold_duty(Duty::Housekeeping, INTERVAL, Timestamp::now())
                .await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
