//! Repair of times that a wrong clock wrote: after the clock was set back, no row keeps a time further ahead
//! than the daemon ever plans.
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
use crate::store::{Store, StoreError, Topic};

/// Upper bound for the pauses between attempts that are not configured (four hours at most) and for all
/// leases. A longer configured pause is cut to this.
const LONGEST_PAUSE: i64 = 5 * Millis::HOUR;

/// Longest time for which the API keeps an answer.
const LONGEST_ANSWER: i64 = Millis::DAY;

/// Tolerance for the clocks of two machines, or for a clock under gradual correction.
const TOLERANCE: i64 = Millis::MINUTE;

/// Number of newest events that are checked for a time in the future.
const RECENT_EVENTS: i64 = 1000;

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
    /// Selects the keys of the rows with a time after `?1`, in row order.
    find: &'static str,
    /// Sets the time of row `?1` to `?2`.
    repair: &'static str,
    /// Latest allowed time, relative to now.
    latest: fn(MaxDelays) -> Millis,
    becomes: Becomes,
}

/// The time of something that happened, so no later than now.
const fn past_event(find: &'static str, repair: &'static str) -> TimeRepair {
    TimeRepair {
        find,
        repair,
        latest: |_| Millis(TOLERANCE),
        becomes: Becomes::Now,
    }
}

#[derive(Clone, Copy)]
enum Becomes {
    Now,
    Latest,
}

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
    past_event(
        "SELECT n FROM account
               WHERE created_at > ?1 OR verified_at > ?1 OR forgotten_at > ?1 ORDER BY n",
        "UPDATE account SET
                     created_at = CASE WHEN created_at > ?2 THEN ?2 ELSE created_at END,
                     verified_at = CASE WHEN verified_at > ?2 THEN ?2 ELSE verified_at END,
                     forgotten_at = CASE WHEN forgotten_at > ?2 THEN ?2 ELSE forgotten_at END
                 WHERE n = ?1",
    ),
    past_event(
        "SELECT n FROM account WHERE deactivated_at > ? ORDER BY n",
        "UPDATE account SET deactivated_at = ?2 WHERE n = ?1 AND deactivated_at > ?2",
    ),
    past_event(
        "SELECT n FROM directory_user WHERE created_at > ?1 OR changed_at > ?1 ORDER BY n",
        "UPDATE directory_user SET
                     created_at = CASE WHEN created_at > ?2 THEN ?2 ELSE created_at END,
                     changed_at = CASE WHEN changed_at > ?2 THEN ?2 ELSE changed_at END
                 WHERE n = ?1",
    ),
    // A digest of the time that never came would keep others from being sent.
    past_event(
        "SELECT due_at FROM digest WHERE due_at > ? ORDER BY due_at",
        "DELETE FROM digest WHERE due_at = ?1 AND due_at > ?2",
    ),
    past_event(
        "SELECT n FROM hook_call
               WHERE created_at > ?1 OR released_at > ?1 OR settled_at > ?1 ORDER BY n",
        "UPDATE hook_call SET
                     created_at = CASE WHEN created_at > ?2 THEN ?2 ELSE created_at END,
                     released_at = CASE WHEN released_at > ?2 THEN ?2 ELSE released_at END,
                     settled_at = CASE WHEN settled_at > ?2 THEN ?2 ELSE settled_at END
                 WHERE n = ?1",
    ),
    past_event(
        "SELECT letter FROM token WHERE used_at > ?1 OR refused_at > ?1",
        "UPDATE token SET
                     used_at = CASE WHEN used_at > ?2 THEN ?2 ELSE used_at END,
                     refused_at = CASE WHEN refused_at > ?2 THEN ?2 ELSE refused_at END
                 WHERE letter = ?1",
    ),
    past_event(
        "SELECT number FROM access_revision WHERE at > ? ORDER BY number",
        "UPDATE access_revision SET at = ?2 WHERE number = ?1 AND at > ?2",
    ),
    past_event(
        "SELECT n FROM operator WHERE created_at > ?",
        "UPDATE operator SET created_at = ?2 WHERE n = ?1 AND created_at > ?2",
    ),
    TimeRepair {
        // It was sent, perhaps just now: it counts from now, and no longer than any other.
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
    past_event(
        "SELECT n FROM notice WHERE created_at > ?1 OR claimed_at > ?1 ORDER BY n",
        "UPDATE notice SET
                     created_at = CASE WHEN created_at > ?2 THEN ?2 ELSE created_at END,
                     claimed_at = CASE WHEN claimed_at > ?2 THEN ?2 ELSE claimed_at END
                 WHERE n = ?1",
    ),
    // Due times.
    TimeRepair {
        find: "SELECT n FROM notice WHERE due_at > ?",
        repair: "UPDATE notice SET due_at = ?2 WHERE n = ?1 AND due_at > ?2",
        latest: |_| Millis(LONGEST_PAUSE),
        becomes: Becomes::Now,
    },
    TimeRepair {
        find: "SELECT ledger FROM request
               WHERE state = 'released' AND in_work = 0 AND due_at > ?",
        repair: "UPDATE request SET due_at = ?2
                 WHERE ledger = ?1 AND state = 'released' AND in_work = 0 AND due_at > ?2",
        latest: |_| Millis(LONGEST_PAUSE),
        becomes: Becomes::Now,
    },
    TimeRepair {
        // A worker may hold it.
        find: "SELECT ledger FROM request
               WHERE state = 'released' AND in_work = 1 AND due_at > ?",
        repair: "UPDATE request SET due_at = ?2
                 WHERE ledger = ?1 AND state = 'released' AND due_at > ?2",
        latest: |_| Millis(LONGEST_PAUSE),
        becomes: Becomes::Latest,
    },
    TimeRepair {
        find: "SELECT ledger FROM request
               WHERE state = 'held' AND reminded IN (0, 1) AND due_at > ?",
        repair: "UPDATE request SET due_at = ?2
                 WHERE ledger = ?1 AND state = 'held' AND due_at > ?2",
        latest: |delays| Millis(0).plus(delays.hold_for),
        becomes: Becomes::Latest,
    },
    TimeRepair {
        // The limits are checked again when it is claimed.
        find: "SELECT n FROM letter WHERE state = 'waiting' AND due_at > ?",
        repair: "UPDATE letter SET due_at = ?2
                 WHERE n = ?1 AND state = 'waiting' AND due_at > ?2",
        latest: |_| Millis(0),
        becomes: Becomes::Now,
    },
    TimeRepair {
        find: "SELECT n FROM letter WHERE state = 'claimed' AND due_at > ?",
        repair: "UPDATE letter SET due_at = ?2 WHERE n = ?1 AND due_at > ?2",
        latest: |_| Millis(Millis::HOUR),
        becomes: Becomes::Latest,
    },
    TimeRepair {
        find: "SELECT n FROM hook_call WHERE in_work = 0 AND due_at > ?",
        repair: "UPDATE hook_call SET due_at = ?2 WHERE n = ?1 AND in_work = 0 AND due_at > ?2",
        latest: |_| Millis(LONGEST_PAUSE),
        becomes: Becomes::Now,
    },
    TimeRepair {
        find: "SELECT n FROM hook_call WHERE in_work = 1 AND due_at > ?",
        repair: "UPDATE hook_call SET due_at = ?2 WHERE n = ?1 AND due_at > ?2",
        latest: |_| Millis(LONGEST_PAUSE),
        becomes: Becomes::Latest,
    },
    // Expiry times.
    TimeRepair {
        find: "SELECT n FROM ledger WHERE forget_at > ?",
        repair: "UPDATE ledger SET forget_at = ?2 WHERE n = ?1 AND forget_at > ?2",
        // Content that the hold quota dropped is kept as long as held content.
        latest: |delays| Millis(0).plus(delays.keep_dropped.max(delays.hold_for)),
        becomes: Becomes::Latest,
    },
    TimeRepair {
        find: "SELECT n FROM offer WHERE kept_otherwise_until > ?",
        repair: "UPDATE offer SET kept_otherwise_until = ?2
                 WHERE n = ?1 AND kept_otherwise_until > ?2",
        latest: |delays| Millis(0).plus(delays.keep_dropped),
        becomes: Becomes::Latest,
    },
    TimeRepair {
        find: "SELECT letter FROM token WHERE expires_at > ?",
        repair: "UPDATE token SET expires_at = ?2 WHERE letter = ?1 AND expires_at > ?2",
        latest: |delays| Millis(0).plus(delays.token_ttl),
        becomes: Becomes::Latest,
    },
    TimeRepair {
        find: "SELECT n FROM account WHERE quiet_until > ?",
        repair: "UPDATE account SET quiet_until = ?2 WHERE n = ?1 AND quiet_until > ?2",
        latest: |delays| Millis(0).plus(delays.quiet_for),
        becomes: Becomes::Latest,
    },
    past_event(
        "SELECT n FROM account WHERE refused_at > ?",
        "UPDATE account SET refused_at = ?2 WHERE n = ?1 AND refused_at > ?2",
    ),
    TimeRepair {
        find: "SELECT ledger FROM request
               WHERE state = 'discarded' AND restorable_until > ? ORDER BY ledger",
        repair: "UPDATE request SET restorable_until = ?2
                 WHERE ledger = ?1 AND restorable_until > ?2",
        latest: |delays| Millis(0).plus(delays.token_ttl),
        becomes: Becomes::Latest,
    },
    TimeRepair {
        find: "SELECT n FROM answer WHERE expires_at > ?",
        repair: "UPDATE answer SET expires_at = ?2 WHERE n = ?1 AND expires_at > ?2",
        latest: |_| Millis(LONGEST_ANSWER),
        becomes: Becomes::Latest,
    },
];

impl Store {
    /// Latest time of any write, as far as an index or the newest rows show.
    pub async fn latest_time(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|tx| {
            let latest: Option<Millis> = tx.one(
                "SELECT max(at) FROM (
                         SELECT max(received_at) AS at FROM ledger
                         UNION ALL SELECT max(at) FROM (
                             SELECT at FROM event ORDER BY n DESC LIMIT ?1
                         ) AS recent
                         UNION ALL SELECT max(created_at) FROM operator_key
                         UNION ALL SELECT max(expires_at) - ?2 FROM answer
                     ) AS times",
                &[&RECENT_EVENTS, &LONGEST_ANSWER],
            )?;
            Ok(latest.map(Millis::timestamp))
        })
        .await
    }

    /// Corrects all times too far ahead of `now`, `limit` rows at a time. Returns the number of corrected
    /// rows.
    ///
    /// Scans each table that has a time without an index, so call it only after the clock was set back.
    pub async fn repair_times(
        &self,
        now: Timestamp,
        delays: MaxDelays,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let now = Millis::from(now);
        let mut repaired = 0;
        for repair in REPAIRS {
            let latest = Millis(now.0.saturating_add((repair.latest)(delays).0));
            let becomes = match repair.becomes {
                Becomes::Now => now,
                Becomes::Latest => latest,
            };
            let found = self
                .read_long(move |tx| find(tx, repair.find, latest))
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
        self.write(move |work| {
            bring_back(work.tx, now)?;
            repair_small_tables(work.tx, now)
        })
        .await?;
        Ok(repaired)
    }
}

fn find(tx: &Tx, sql: &str, after: Millis) -> Result<Vec<i64>, StoreError> {
    tx.all(sql, &[&after])
}

/// Repairs tables with one row for each destination, session or token. A session keeps its intended length,
/// from now on.
fn repair_small_tables(tx: &Tx, now: Millis) -> Result<(), StoreError> {
    tx.run(
        "UPDATE operator_key SET expires_at = expires_at - (created_at - ?1), created_at = ?1
             WHERE created_at > ?1",
        &[&now],
    )?;
    let sql = "UPDATE paused_destination SET at = ?1 WHERE at > ?1";
    tx.run(sql, &[&now])?;
    let sql = "UPDATE down_destination SET since = ?1 WHERE since > ?1";
    tx.run(sql, &[&now])?;
    let sql = "UPDATE down_destination SET next_try_at = ?1 WHERE next_try_at > ?1";
    tx.run(sql, &[&now])?;
    let sql = "UPDATE operator SET signed_in_at = ?1 WHERE signed_in_at > ?1";
    tx.run(sql, &[&now])?;
    let sql = "UPDATE operator SET totp_confirmed_at = ?1 WHERE totp_confirmed_at > ?1";
    tx.run(sql, &[&now])?;
    // The next period at the latest: a code that was used may not count again.
    let period = now.0 / 30_000 + 1;
    let sql = "UPDATE operator SET totp_last_period = ?1 WHERE totp_last_period > ?1";
    tx.run(sql, &[&period])?;
    // Attempts to sign in last for minutes.
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
        ("operator.signed_in_at", "`repair_small_tables`"),
        ("operator.totp_confirmed_at", "`repair_small_tables`"),
        ("sign_in_attempt.expires_at", "`repair_small_tables`"),
        ("paused_destination.at", "`repair_small_tables`"),
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
        ("digest.settled_at", "compared with nothing"),
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
                     OR c.name GLOB '*_at' OR c.name GLOB '*until*' OR c.name GLOB '*_day')",
                &[],
            )
            .expect("read");
        assert!(columns.len() > 30, "{columns:?}");
        for (table, column) in &columns {
            let name = format!("{table}.{column}");
            let is_repaired = REPAIRS.iter().any(|repair| {
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
