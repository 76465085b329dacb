//! Repair of times that a wrong clock wrote: after the clock was set back, no row keeps a time further ahead
//! than the daemon ever plans.
//!
//! The repair needs a right clock: with one that is behind, it would shorten every hold and every link, and nothing
//! could restore them. Work that waits for a time in the future can be made due at once by any clock.
//!
//! A due or expiry time becomes the latest time allowed for its kind. The time of a past event becomes that
//! of the row before it, the latest time known to be no later; without such a row, it becomes now. Nothing
//! happens twice: a row moved forward is due, and the worker that claims it checks limits and state as
//! always.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::rate_limits::bring_back;
use crate::store::{Result, Store, Topic};

/// Upper bound for the pauses between attempts that are not configured (four hours at most) and for all
/// leases. A longer configured pause is cut to this.
const MAX_PAUSE: i64 = 5 * Millis::HOUR;

/// Longest time for which the API keeps an answer.
pub(super) const MAX_ANSWER: i64 = Millis::DAY;

/// Tolerance for the clocks of two machines, or for a clock under gradual correction.
const TOLERANCE: i64 = Millis::MINUTE;

/// Upper bounds for how far ahead of now each kind of time may be.
#[derive(Debug, Clone, Copy)]
pub struct MaxDelays {
    pub hold_for: Duration,
    pub token_ttl: Duration,
    pub keep_dropped: Duration,
    pub quiet_for: Duration,
}

/// The repair of one kind of time.
struct TimeRepair {
    /// Selects the keys of the rows with a time after `?1`; in row order if a row takes the time of the one before.
    find: &'static str,
    /// Sets the time of row `?1` to `?2`.
    repair: &'static str,
    /// Latest allowed time, relative to now.
    latest: fn(MaxDelays) -> Millis,
    becomes: Becomes,
}

/// Repair of the time of a past event, which is no later than now.
const fn past_event(find: &'static str, repair: &'static str) -> TimeRepair {
    TimeRepair {
        find,
        repair,
        latest: |_| Millis(TOLERANCE),
        becomes: Becomes::Now,
    }
}

/// Times of events that have happened, with the key of their table: `past!(operator[n]: created_at)`.
macro_rules! past {
    ($table:ident[$key:ident]: $first:ident $(, $column:ident)*) => {
        past_event(
            concat!(
                "SELECT ", stringify!($key), " FROM ", stringify!($table),
                " WHERE ", stringify!($first), " > ?1", $(" OR ", stringify!($column), " > ?1",)*
                " ORDER BY ", stringify!($key),
            ),
            concat!(
                "UPDATE ", stringify!($table), " SET ", past!(@set $first),
                $(", ", past!(@set $column),)*
                " WHERE ", stringify!($key), " = ?1",
            ),
        )
    };
    (@set $column:ident) => {
        concat!(
            stringify!($column), " = CASE WHEN ", stringify!($column), " > ?2 THEN ?2 ELSE ",
            stringify!($column), " END",
        )
    };
}

/// A due or expiry time, with the conditions of the rows that are found and of those that are repaired, its latest
/// allowed value, and its new value: `planned!(letter[n]: due_at if "state = 'claimed' AND ", "" => latest,
/// Latest)`.
macro_rules! planned {
    ($table:ident[$key:ident]: $column:ident => $latest:expr, $becomes:ident) => {
        planned!($table[$key]: $column if "", "" => $latest, $becomes)
    };
    (
        $table:ident[$key:ident]: $column:ident if $found:literal, $repaired:literal
        => $latest:expr, $becomes:ident
    ) => {
        TimeRepair {
            find: concat!(
                "SELECT ", stringify!($key), " FROM ", stringify!($table),
                " WHERE ", $found, stringify!($column), " > ?",
            ),
            repair: concat!(
                "UPDATE ", stringify!($table), " SET ", stringify!($column), " = ?2 WHERE ",
                stringify!($key), " = ?1 AND ", $repaired, stringify!($column), " > ?2",
            ),
            latest: $latest,
            becomes: Becomes::$becomes,
        }
    };
}

#[derive(Clone, Copy)]
enum Becomes {
    Now,
    Latest,
}

/// Due times of work, which does no harm if it is done early: the worker that claims it checks limits and state.
const WORK: &[TimeRepair] = &[
    planned!(notice[n]: due_at => |_| Millis(MAX_PAUSE), Now),
    planned!(request[ledger]: due_at if "state = 'released' AND in_work = 0 AND ",
        "state = 'released' AND in_work = 0 AND " => |_| Millis(MAX_PAUSE), Now),
    planned!(letter[n]: due_at if "state = 'waiting' AND ",
        "state = 'waiting' AND " => |_| Millis(0), Now),
    planned!(hook_call[n]: due_at if "in_work = 0 AND ",
        "in_work = 0 AND " => |_| Millis(MAX_PAUSE), Now),
];

/// All other times.
const REPAIRS: &[TimeRepair] = &[
    // Past events. Retention walks rows ordered by number in that order.
    past_event(
        "SELECT n FROM ledger WHERE received_at > ? ORDER BY n",
        "UPDATE ledger SET received_at = coalesce((
                     SELECT received_at FROM ledger WHERE n < ?1 AND received_at <= ?2
                     ORDER BY n DESC LIMIT 1
                 ), ?2) WHERE n = ?1 AND received_at > ?2",
    ),
    past_event(
        "SELECT ledger FROM request
               WHERE received_at > ?1 OR released_at > ?1 OR settled_at > ?1 ORDER BY ledger",
        "UPDATE request SET
                     received_at = (SELECT received_at FROM ledger WHERE n = ?1),
                     released_at = CASE WHEN released_at > ?2 THEN ?2 ELSE released_at END,
                     settled_at = CASE WHEN settled_at > ?2 THEN ?2 ELSE settled_at END
                 WHERE ledger = ?1",
    ),
    past_event(
        "SELECT n FROM letter
               WHERE created_at > ?1 OR claimed_at > ?1 OR settled_at > ?1 ORDER BY n",
        "UPDATE letter SET
                     created_at = CASE WHEN created_at > ?2 THEN coalesce((
                         SELECT p.created_at FROM letter AS p
                         WHERE p.n < ?1 AND p.created_at <= ?2 ORDER BY p.n DESC LIMIT 1
                     ), ?2) ELSE created_at END,
                     claimed_at = CASE WHEN claimed_at > ?2 THEN ?2 ELSE claimed_at END,
                     settled_at = CASE WHEN settled_at > ?2 THEN ?2 ELSE settled_at END
                 WHERE n = ?1",
    ),
    past_event(
        "SELECT n FROM event WHERE at > ? ORDER BY n",
        "UPDATE event SET at = coalesce((
                     SELECT at FROM event WHERE n < ?1 AND at <= ?2 ORDER BY n DESC LIMIT 1
                 ), ?2) WHERE n = ?1 AND at > ?2",
    ),
    past!(account[n]: created_at, verified_at, forgotten_at),
    past!(account[n]: deactivated_at),
    past!(account[n]: refused_at),
    past!(account[n]: last_active_at),
    past!(directory_user[n]: created_at, changed_at),
    past!(hook_call[n]: created_at, released_at, settled_at),
    past!(token[letter]: used_at, refused_at),
    past!(offer[n]: refused_at),
    past!(access_revision[number]: at),
    past!(operator[n]: created_at),
    past!(notice[n]: created_at, claimed_at),
    // A digest with a due time in the future would keep others from being sent.
    past_event(
        "SELECT due_at FROM digest WHERE due_at > ? ORDER BY due_at",
        "DELETE FROM digest WHERE due_at = ?1 AND due_at > ?2",
    ),
    TimeRepair {
        // The mail was sent, perhaps just now: it counts from now, and no longer than any other.
        find: "SELECT letter FROM letter_claim WHERE at > ?",
        repair: "UPDATE letter_claim SET at = ?2 WHERE letter = ?1 AND at > ?2
                 AND NOT EXISTS (
                     SELECT 1 FROM letter_claim AS c
                     WHERE c.mailbox = letter_claim.mailbox AND c.letter = ?1
                         AND c.at >= ?2 AND c.at < letter_claim.at
                 )",
        latest: |_| Millis(0),
        becomes: Becomes::Now,
    },
    // Leases and holds. A worker may hold a released request.
    planned!(request[ledger]: due_at if "state = 'released' AND in_work = 1 AND ",
        "state = 'released' AND " => |_| Millis(MAX_PAUSE), Latest),
    planned!(request[ledger]: due_at if "state = 'held' AND reminded IN (0, 1) AND ",
        "state = 'held' AND " => |delays| Millis(0).plus(delays.hold_for), Latest),
    planned!(letter[n]: due_at if "state = 'claimed' AND ", "" => |_| Millis(Millis::HOUR), Latest),
    planned!(hook_call[n]: due_at if "in_work = 1 AND ", "" => |_| Millis(MAX_PAUSE), Latest),
    // Expiry times. Content that the hold quota dropped is kept as long as held content, and while the person can
    // restore it.
    planned!(ledger[n]: forget_at
        => |delays| Millis(0).plus(delays.keep_dropped.max(delays.hold_for).max(delays.token_ttl)),
        Latest),
    planned!(offer[n]: kept_otherwise_until
        => |delays| Millis(0).plus(delays.keep_dropped), Latest),
    planned!(token[letter]: expires_at => |delays| Millis(0).plus(delays.token_ttl), Latest),
    planned!(account[n]: quiet_until => |delays| Millis(0).plus(delays.quiet_for), Latest),
    planned!(request[ledger]: restorable_until if "state = 'discarded' AND ", ""
        => |delays| Millis(0).plus(delays.token_ttl), Latest),
    planned!(offer[n]: restorable_until => |delays| Millis(0).plus(delays.token_ttl), Latest),
    planned!(answer[n]: expires_at => |_| Millis(MAX_ANSWER), Latest),
];

impl Store {
    /// Corrects all times too far ahead of `now`, `limit` rows at a time. Returns the number of corrected
    /// rows.
    ///
    /// Scans each table that has a time without an index, so call it only after the clock was set back.
    pub async fn repair_times(
        &self,
        now: Timestamp,
        delays: MaxDelays,
        limit: usize,
    ) -> Result<usize> {
        let mut repaired = self.repair(WORK, now, delays, limit).await?;
        repaired += self.repair(REPAIRS, now, delays, limit).await?;
        self.write(move |work| {
            bring_back(work.tx, now.into())?;
            repair_small_tables(work.tx, now.into())
        })
        .await?;
        Ok(repaired)
    }

    /// Makes work due that waits for a time too far ahead of `now`, `limit` rows at a time. For a clock that was set
    /// back and may be wrong now.
    pub async fn hasten_work(
        &self,
        now: Timestamp,
        delays: MaxDelays,
        limit: usize,
    ) -> Result<usize> {
        self.repair(WORK, now, delays, limit).await
    }

    async fn repair(
        &self,
        repairs: &'static [TimeRepair],
        now: Timestamp,
        delays: MaxDelays,
        limit: usize,
    ) -> Result<usize> {
        let now = Millis::from(now);
        let mut repaired = 0;
        for repair in repairs {
            let latest = Millis(now.0.saturating_add((repair.latest)(delays).0));
            let becomes = match repair.becomes {
                Becomes::Now => now,
                Becomes::Latest => latest,
            };
            let found: Vec<i64> = self
                .read_long(move |tx| tx.all(repair.find, &[&latest]))
                .await?;
            repaired += found.len();
            for some in found.chunks(limit) {
                let some = some.to_vec();
                self.write(move |work| {
                    for n in &some {
                        work.tx.run(repair.repair, &[&n, &becomes])?;
                    }
                    work.wakeups.add(Topic::VerificationMail);
                    work.wakeups.add(Topic::Requests);
                    work.wakeups.add(Topic::Calls);
                    Ok(())
                })
                .await?;
            }
        }
        Ok(repaired)
    }
}

/// Repairs tables with one row for each destination, session, token or hour. A session keeps its intended length,
/// counted from now.
fn repair_small_tables(tx: &Tx, now: Millis) -> Result<()> {
    for sql in [
        "UPDATE operator_key SET expires_at = expires_at - (created_at - ?1), created_at = ?1
             WHERE created_at > ?1",
        "UPDATE operator_key SET authenticated_at = ?1 WHERE authenticated_at > ?1",
        "UPDATE paused_destination SET at = ?1 WHERE at > ?1",
        "UPDATE down_destination SET since = ?1 WHERE since > ?1",
        "UPDATE down_destination SET next_try_at = ?1 WHERE next_try_at > ?1",
        "UPDATE operator SET signed_in_at = ?1 WHERE signed_in_at > ?1",
        "UPDATE operator SET totp_confirmed_at = ?1 WHERE totp_confirmed_at > ?1",
        "DELETE FROM queue_depth WHERE hour * 3600000 > ?1",
    ] {
        tx.run(sql, &[&now])?;
    }
    // The next period at the latest: a code that was used must not be accepted again.
    let period = now.0 / 30_000 + 1;
    let sql = "UPDATE operator SET totp_last_period = ?1 WHERE totp_last_period > ?1";
    tx.run(sql, &[&period])?;
    // Sign-in attempts last for minutes.
    let sql = "DELETE FROM sign_in_attempt WHERE expires_at > ?1";
    tx.run(sql, &[&Millis(now.0 + Millis::HOUR)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::session::SqliteSession;

    /// Time columns that need no repair, with the reason.
    const EXCEPT: &[(&str, &str)] = &[
        ("day_count.day", "follows the ledger by triggers"),
        ("shut_out.day", "follows the ledger by triggers"),
        (
            "letter_minute.minute",
            "`bring_back` adds it to this minute",
        ),
        ("operator_key.created_at", "`repair_small_tables`"),
        ("operator_key.expires_at", "`repair_small_tables`"),
        ("operator_key.authenticated_at", "`repair_small_tables`"),
        ("operator.signed_in_at", "`repair_small_tables`"),
        ("operator.totp_confirmed_at", "`repair_small_tables`"),
        ("sign_in_attempt.expires_at", "`repair_small_tables`"),
        ("paused_destination.at", "`repair_small_tables`"),
        ("queue_depth.hour", "`repair_small_tables`"),
        ("moved.at", "only tells when the store left"),
        ("down_destination.since", "`repair_small_tables`"),
        ("down_destination.next_try_at", "`repair_small_tables`"),
        ("committed.written_at", "by the clock of the database"),
        ("node.started_at", "its next start writes it"),
        ("node.seen_at", "renewed at an interval"),
        ("duty.held_until", "a lease that is too long has expired"),
        ("digest.due_at", "one of a time that never came is deleted"),
        (
            "digest.claimed_until",
            "the next digest covers the time of this one",
        ),
        (
            "digest.settled_at",
            "starts only the first period, at most a day after `due_at`",
        ),
    ];

    #[test]
    fn every_time_in_the_schema_is_repaired() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.db");
        drop(Store::open(&path).expect("a database"));
        let tx: &Tx = &SqliteSession::reading(&path).expect("opened");
        let columns: Vec<(String, String)> = tx
            .all(
                "SELECT m.name, c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
                 WHERE m.type = 'table' AND (c.name = 'at' OR c.name = 'day' OR c.name = 'minute'
                     OR c.name = 'hour'
                     OR c.name GLOB '*_at' OR c.name GLOB '*until*' OR c.name GLOB '*_day')",
                &[],
            )
            .expect("read");
        assert!(columns.len() > 30, "{columns:?}");
        for (table, column) in &columns {
            let name = format!("{table}.{column}");
            let is_repaired = WORK.iter().chain(REPAIRS).any(|repair| {
                let mut words = repair
                    .repair
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .skip_while(|word| *word == "UPDATE");
                words.next() == Some(table)
                    && repair.repair.contains(&format!("{column} = "))
                    && repair.find.contains(&format!("{column} > "))
            });
            let is_excepted = EXCEPT.iter().any(|(other, _)| *other == name);
            assert!(is_repaired != is_excepted, "{name}");
        }
    }
}
