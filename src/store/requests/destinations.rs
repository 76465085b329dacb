//! The state of destinations and hooks, for operators: the ones that are down, and the work that waits for each.
//!
//! The workers record when their breaker opens and closes, so that other processes can tell. An operator who wants
//! an attempt at once removes the row and wakes the workers, whose breaker closes when they find the row gone.

use crate::domain::{Actor, DestinationName, PortalName, Timestamp};
use crate::store::audit::events::NewEvent;
use crate::store::engine::job::Work;
use crate::store::hooks::calls_without_account;
use crate::store::sql::sql_types::{Millis, from_row};
use crate::store::sql::{Row, Tx};
use crate::store::{Result, Store, Topic};

/// Maximum rows at either end of a queue that are examined for the oldest one and for the last error.
const MAX_EXAMINED: u32 = 500;

/// A destination or hook that is down, or that asked for a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownDestination {
    pub name: DestinationName,
    pub since: Timestamp,
    /// Time of the next trial.
    pub next_try_at: Timestamp,
    pub last_error: String,
    /// True if it asked for a pause and is not down.
    pub is_requested: bool,
}
from_row!(
    DownDestination, row: name, since, next_try_at, last_error, is_requested = row.get("requested")?,
);

/// Work that waits for a destination or hook. For queues of more than a thousand accounts it is an estimate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitingWork {
    /// Time since which the oldest request or call waits.
    pub oldest: Option<Timestamp>,
    /// Time of the next attempt.
    pub next_attempt_at: Option<Timestamp>,
    /// Error of a failed attempt whose request or call waits for a retry.
    pub last_error: Option<String>,
}

impl WaitingWork {
    fn add(&mut self, other: Self) {
        let earlier = |a: Option<Timestamp>, b| [a, b].into_iter().flatten().min();
        self.oldest = earlier(self.oldest, other.oldest);
        self.next_attempt_at = earlier(self.next_attempt_at, other.next_attempt_at);
        self.last_error = self.last_error.take().or(other.last_error);
    }

    fn add_row(&mut self, row: &Row) -> Result<()> {
        self.add(Self {
            oldest: Some(row.get("released_at")?),
            next_attempt_at: Some(row.get("due_at")?),
            last_error: row.get("last_error")?,
        });
        Ok(())
    }
}

/// The heads of the queues of a portal, in due order from either end.
const REQUESTS: [&str; 2] = [
    "SELECT due_at, released_at, last_error FROM request INDEXED BY request_due
     WHERE state = 'released' AND portal = ?1 AND due_at > 0 ORDER BY due_at LIMIT ?2",
    "SELECT due_at, released_at, last_error FROM request INDEXED BY request_due
     WHERE state = 'released' AND portal = ?1 AND due_at > 0 ORDER BY due_at DESC LIMIT ?2",
];

/// The same for a hook.
const CALLS: [&str; 2] = [
    "SELECT due_at, released_at, last_error FROM hook_call INDEXED BY hook_call_due
     WHERE hook = ?1 AND due_at > 0 ORDER BY due_at LIMIT ?2",
    "SELECT due_at, released_at, last_error FROM hook_call INDEXED BY hook_call_due
     WHERE hook = ?1 AND due_at > 0 ORDER BY due_at DESC LIMIT ?2",
];

fn examine(tx: &Tx, statements: [&str; 2], place: &str) -> Result<WaitingWork> {
    let mut work = WaitingWork::default();
    for sql in statements {
        tx.each(sql, &[&place, &MAX_EXAMINED], |row| work.add_row(row))?;
    }
    Ok(work)
}

pub(crate) fn waiting_requests(tx: &Tx, portals: &[PortalName]) -> Result<WaitingWork> {
    let mut work = WaitingWork::default();
    for portal in portals {
        work.add(examine(tx, REQUESTS, portal.as_str())?);
    }
    Ok(work)
}

pub(crate) fn waiting_calls(tx: &Tx, hook: &DestinationName) -> Result<WaitingWork> {
    examine(tx, CALLS, hook.as_str())
}

pub(crate) fn stopped_requests(tx: &Tx) -> Result<Vec<(PortalName, u64)>> {
    tx.all(
        "SELECT portal, count(*) FROM request INDEXED BY request_stopped
         WHERE stopped = 1 AND portal > '' GROUP BY portal",
        &[],
    )
}

impl Store {
    /// Requests that wait for the destination of these portals.
    pub async fn waiting_requests(&self, portals: Vec<PortalName>) -> Result<WaitingWork> {
        self.read(move |tx| waiting_requests(tx, &portals)).await
    }

    /// Released requests that their blocked accounts stop, by portal. Reads all of them.
    pub async fn stopped_requests(&self) -> Result<Vec<(PortalName, u64)>> {
        self.read(stopped_requests).await
    }

    /// Calls that wait for a hook.
    pub async fn waiting_calls(&self, hook: DestinationName) -> Result<WaitingWork> {
        self.read(move |tx| waiting_calls(tx, &hook)).await
    }

    /// Destinations and hooks that are down or asked for a pause, by name.
    pub async fn down_destinations(&self) -> Result<Vec<DownDestination>> {
        self.read(|tx| {
            tx.all(
                "SELECT destination AS name, since, next_try_at, last_error, requested
                 FROM down_destination ORDER BY destination",
                &[],
            )
        })
        .await
    }

    /// True while the destination is recorded as down or as waiting.
    pub async fn is_down(&self, name: DestinationName) -> Result<bool> {
        self.read(move |tx| {
            let sql = "SELECT 1 FROM down_destination WHERE destination = ?";
            tx.exists(sql, &[&name])
        })
        .await
    }

    /// Records that a destination is down or asked for a pause, or that another trial failed. Hooks are told when
    /// it goes down. A pause does not replace an outage, which another node may have recorded.
    pub async fn record_down(&self, down: DownDestination) -> Result<()> {
        self.write(move |work| {
            let since = Millis::from(down.since);
            let sql = "SELECT since FROM down_destination WHERE destination = ? AND requested = 0";
            let down_since: Option<Millis> = work.tx.maybe(sql, &[&down.name])?;
            match (down.is_requested, down_since) {
                (true, Some(_)) => return Ok(()),
                (false, None) => {
                    let (name, by) = (&down.name, &Actor::Daemon);
                    calls_without_account::tell_destination(
                        work.tx, name, true, since, by, since,
                    )?;
                    work.wakeups.add(Topic::Calls);
                }
                (true, None) | (false, Some(_)) => {}
            }
            work.tx.run(
                "INSERT INTO down_destination (destination, since, next_try_at, last_error, requested)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (destination) DO UPDATE
                 SET next_try_at = excluded.next_try_at, last_error = excluded.last_error,
                     since = CASE WHEN down_destination.requested = excluded.requested
                         THEN down_destination.since ELSE excluded.since END,
                     requested = excluded.requested",
                &[
                    &down.name,
                    &since,
                    &Millis::from(down.next_try_at),
                    &down.last_error,
                    &down.is_requested,
                ],
            )?;
            work.wakeups.add(Topic::OperatorActions);
            Ok(())
        })
        .await
    }

    /// Records that a destination works again. True if this ended an outage: one that another node ended meanwhile, and
    /// a pause, do not count.
    pub async fn record_up(&self, name: DestinationName, now: Timestamp) -> Result<bool> {
        self.write(move |work| work.clear_down(&name, &Actor::Daemon, now.into()))
            .await
    }

    /// Closes the breaker of a destination or hook for an operator, and wakes its worker.
    pub async fn close_breaker(
        &self,
        name: DestinationName,
        by: Actor,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            work.clear_down(&name, &by, now.into())?;
            work.wakeups.add(Topic::Requests);
            work.wakeups.add(Topic::Calls);
            work.wakeups.add(Topic::OperatorActions);
            NewEvent::new("destination.retried")
                .detail(name.as_str())
                .record(work.tx, &by, now.into())
        })
        .await
    }
}

impl Work<'_> {
    /// Removes the record of a destination, and owes hooks a call if it was down. True if it was.
    fn clear_down(&mut self, name: &DestinationName, by: &Actor, now: Millis) -> Result<bool> {
        let sql = "DELETE FROM down_destination WHERE destination = ? RETURNING since, requested";
        let record: Option<(Millis, bool)> = self.tx.maybe(sql, &[name])?;
        let Some((since, false)) = record else {
            return Ok(false);
        };
        calls_without_account::tell_destination(self.tx, name, false, since, by, now)?;
        self.wakeups.add(Topic::Calls);
        Ok(true)
    }
}
