//! The latest times in the database, by which a clock that jumped is recognized.

use crate::domain::Timestamp;
use crate::store::sql::sql_types::Millis;
use crate::store::upkeep::clock_repair::MAX_ANSWER;
use crate::store::{Result, Store};

/// Number of newest events that are checked for a time in the future.
const RECENT_EVENTS: i64 = 1000;

impl Store {
    /// Latest time of any write, as far as an index or the newest rows show.
    pub async fn latest_time(&self) -> Result<Option<Timestamp>> {
        self.read(|tx| {
            tx.one(
                "SELECT max(at) FROM (
                         SELECT max(received_at) AS at FROM ledger
                         UNION ALL SELECT max(at) FROM (
                             SELECT at FROM event ORDER BY n DESC LIMIT ?1
                         ) AS recent
                         UNION ALL SELECT max(created_at) FROM operator_key
                         UNION ALL SELECT max(expires_at) - ?2 FROM answer
                         UNION ALL SELECT max(hour) * 3600000 FROM queue_depth
                     ) AS times",
                &[&RECENT_EVENTS, &MAX_ANSWER],
            )
        })
        .await
    }

    /// Time of the newest entry of the ledger, or of the newest sample of the queues, before `end`. The queues are
    /// sampled in each hour, also without mail, as long as the clock is trusted.
    pub async fn latest_time_before(&self, end: Timestamp) -> Result<Option<Timestamp>> {
        self.read(move |tx| {
            tx.one(
                "SELECT max(at) FROM (
                         SELECT max(received_at) AS at FROM ledger WHERE received_at < ?1
                         UNION ALL SELECT max(hour) * 3600000 FROM queue_depth
                             WHERE hour * 3600000 < ?1
                     ) AS times",
                &[&Millis::from(end)],
            )
        })
        .await
    }
}
