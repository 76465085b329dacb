//! After the clock was set back: times in the database that lie further ahead than anything of ours
//! plans, because they were written while the clock was wrong, are brought back.
//!
//! Nothing happens twice for it: what is brought forward is due, and whoever claims it asks the limits
//! and the state as always.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::Millis;
use super::limits::bring_back;
use super::{Store, StoreError, Topic};
use crate::domain::Timestamp;

/// Longer than the longest pause between two attempts that nobody configured (four hours), and any
/// lease. One that was configured longer is cut short.
const LONGEST_PAUSE: i64 = 5 * Millis::HOUR;

/// What is planned at most from now on.
#[derive(Debug, Clone, Copy)]
pub struct Plans {
    pub hold_for: Duration,
    pub token_ttl: Duration,
    pub keep_dropped: Duration,
}

/// What lies too far ahead, and to when it is brought back.
struct Mending {
    /// The numbers of the rows, by the farthest time that may stand there.
    find: &'static str,
    /// For one row and the time.
    mend: &'static str,
    ahead: fn(Plans) -> Millis,
    to: To,
}

#[derive(Clone, Copy)]
enum To {
    Now,
    /// The farthest time that may stand there.
    Ahead,
}

const MENDINGS: [Mending; 10] = [
    Mending {
        find: "SELECT ledger FROM request
               WHERE state = 'released' AND in_work = 0 AND due_at > ?",
        mend: "UPDATE request SET due_at = ?2
               WHERE ledger = ?1 AND state = 'released' AND in_work = 0 AND due_at > ?2",
        ahead: |_| Millis(LONGEST_PAUSE),
        to: To::Now,
    },
    Mending {
        // Somebody may be at work on it.
        find: "SELECT ledger FROM request
               WHERE state = 'released' AND in_work = 1 AND due_at > ?",
        mend: "UPDATE request SET due_at = ?2
               WHERE ledger = ?1 AND state = 'released' AND due_at > ?2",
        ahead: |_| Millis(LONGEST_PAUSE),
        to: To::Ahead,
    },
    Mending {
        find: "SELECT ledger FROM request
               WHERE state = 'held' AND reminded IN (0, 1) AND due_at > ?",
        mend: "UPDATE request SET due_at = ?2
               WHERE ledger = ?1 AND state = 'held' AND due_at > ?2",
        ahead: |plans| Millis(0).plus(plans.hold_for),
        to: To::Ahead,
    },
    Mending {
        // The limits are asked again when it is claimed.
        find: "SELECT n FROM letter WHERE state = 'waiting' AND due_at > ?",
        mend: "UPDATE letter SET due_at = ?2
               WHERE n = ?1 AND state = 'waiting' AND due_at > ?2",
        ahead: |_| Millis(0),
        to: To::Now,
    },
    Mending {
        find: "SELECT n FROM letter WHERE state = 'claimed' AND due_at > ?",
        mend: "UPDATE letter SET due_at = ?2 WHERE n = ?1 AND due_at > ?2",
        ahead: |_| Millis(Millis::HOUR),
        to: To::Ahead,
    },
    Mending {
        // It was sent, perhaps just now: it counts from now on, and no longer than any other.
        find: "SELECT letter FROM letter_claim WHERE at > ?",
        mend: "UPDATE OR IGNORE letter_claim SET at = ?2 WHERE letter = ?1 AND at > ?2",
        ahead: |_| Millis(0),
        to: To::Now,
    },
    Mending {
        find: "SELECT n FROM hook_call WHERE in_work = 0 AND due_at > ?",
        mend: "UPDATE hook_call SET due_at = ?2 WHERE n = ?1 AND in_work = 0 AND due_at > ?2",
        ahead: |_| Millis(LONGEST_PAUSE),
        to: To::Now,
    },
    Mending {
        find: "SELECT n FROM hook_call WHERE in_work = 1 AND due_at > ?",
        mend: "UPDATE hook_call SET due_at = ?2 WHERE n = ?1 AND due_at > ?2",
        ahead: |_| Millis(LONGEST_PAUSE),
        to: To::Ahead,
    },
    Mending {
        find: "SELECT n FROM ledger WHERE forget_at > ?",
        mend: "UPDATE ledger SET forget_at = ?2 WHERE n = ?1 AND forget_at > ?2",
        // What the hold quota dropped is kept as long as what is held.
        ahead: |plans| Millis(0).plus(plans.keep_dropped.max(plans.hold_for)),
        to: To::Ahead,
    },
    Mending {
        find: "SELECT letter FROM token WHERE expires_at > ?",
        mend: "UPDATE token SET expires_at = ?2 WHERE letter = ?1 AND expires_at > ?2",
        ahead: |plans| Millis(0).plus(plans.token_ttl),
        to: To::Ahead,
    },
];

impl Store {
    /// The time of the newest entry of the ledger.
    pub async fn newest_entry_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| {
            Ok(connection
                .prepare_cached("SELECT received_at FROM ledger ORDER BY n DESC LIMIT 1")?
                .query_row([], |row| row.get::<_, Millis>(0))
                .optional()?
                .map(Millis::timestamp))
        })
        .await
    }

    /// Brings back what lies too far ahead, `limit` rows at a time. Says how many there were.
    pub async fn mend_times(
        &self,
        now: Timestamp,
        plans: Plans,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let now = Millis::from(now);
        let mut mended = 0;
        for mending in &MENDINGS {
            let ahead = Millis(now.0.saturating_add((mending.ahead)(plans).0));
            let to = match mending.to {
                To::Now => now,
                To::Ahead => ahead,
            };
            let found = self
                .read(move |connection| find(connection, mending.find, ahead))
                .await?;
            mended += found.len();
            for some in found.chunks(limit) {
                let some = some.to_vec();
                self.write(move |work| {
                    for n in &some {
                        work.connection
                            .prepare_cached(mending.mend)?
                            .execute(params![n, to])?;
                    }
                    work.rings.add(Topic::Letters);
                    work.rings.add(Topic::Requests);
                    work.rings.add(Topic::Calls);
                    Ok(())
                })
                .await?;
            }
        }
        self.write(move |work| bring_back(work.connection, now))
            .await?;
        Ok(mended)
    }
}

fn find(connection: &Connection, sql: &'static str, ahead: Millis) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([ahead], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
