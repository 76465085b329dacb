//! Length of the queues over time: for each hour, the most requests that waited in each state.

use crate::domain::{RequestState, Timestamp};
use crate::store::ledger::counts::backlog;
use crate::store::sql::{FromRow, Row, Tx};
use crate::store::{Result, Store, StoreError};

const HOUR: i64 = 3600;

/// Hours that are kept: a little more than a page shows.
const KEPT: i64 = 24 * 100;

/// The longest queues of one hour. Each is counted up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourlyBacklog {
    /// Start of the hour.
    pub hour: Timestamp,
    pub held: u64,
    pub released: u64,
    pub failed: u64,
}

impl FromRow for HourlyBacklog {
    fn from_row(row: &Row) -> Result<Self> {
        let hour: i64 = row.get("hour")?;
        Ok(Self {
            hour: Timestamp::from_second(hour.saturating_mul(HOUR)).unwrap_or(Timestamp::MIN),
            held: row.get("held")?,
            released: row.get("released")?,
            failed: row.get("failed")?,
        })
    }
}

impl HourlyBacklog {
    /// Merges two samples: the greater length of each queue.
    fn max(self, other: Self) -> Self {
        Self {
            hour: self.hour,
            held: self.held.max(other.held),
            released: self.released.max(other.released),
            failed: self.failed.max(other.failed),
        }
    }
}

impl Store {
    /// Raises the recorded maximum of each queue's length for this hour. Writes only for a new hour or maximum, however
    /// often it is called.
    pub async fn sample_queues(&self, now: Timestamp) -> Result<()> {
        let hour = now.as_second().div_euclid(HOUR);
        let changed = self.read(move |tx| {
            let now = sample(tx, hour)?;
            let before = of_hour(tx, hour)?;
            let longest = before.map_or(now, |before| before.max(now));
            Ok((before != Some(longest)).then_some(longest))
        });
        let Some(longest) = changed.await? else {
            return Ok(());
        };
        self.write(move |work| {
            work.tx
                .run("DELETE FROM queue_depth WHERE hour < ?", &[&(hour - KEPT)])?;
            work.tx.run(
                "INSERT INTO queue_depth (hour, held, released, failed) VALUES (?, ?, ?, ?)
                 ON CONFLICT (hour) DO UPDATE SET held = excluded.held,
                     released = excluded.released, failed = excluded.failed",
                &[&hour, &longest.held, &longest.released, &longest.failed],
            )?;
            Ok(())
        })
        .await
    }

    /// The samples since `since`, oldest first.
    pub async fn backlog_history(&self, since: Timestamp) -> Result<Vec<HourlyBacklog>> {
        let hour = since.as_second().div_euclid(HOUR);
        self.read(move |tx| {
            tx.all(
                "SELECT hour, held, released, failed FROM queue_depth WHERE hour >= ? ORDER BY hour",
                &[&hour],
            )
        })
        .await
    }
}

fn of_hour(tx: &Tx, hour: i64) -> Result<Option<HourlyBacklog>> {
    let sql = "SELECT hour, held, released, failed FROM queue_depth WHERE hour = ?";
    tx.maybe(sql, &[&hour])
}

fn sample(tx: &Tx, hour: i64) -> Result<HourlyBacklog> {
    let count = |state| Ok::<_, StoreError>(backlog(tx, state)?.requests.number);
    Ok(HourlyBacklog {
        hour: Timestamp::from_second(hour.saturating_mul(HOUR)).unwrap_or(Timestamp::MIN),
        held: count(RequestState::Held)?,
        released: count(RequestState::Released)?,
        failed: count(RequestState::Failed)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_hour_has_its_longest_queues() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vestibule.db");
        let store = Store::open(&path).expect("a store");
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let hour = at("2026-11-28T10:00:00Z");
        store
            .sample_queues(at("2026-11-28T10:01:00Z"))
            .await
            .expect("sampled");
        let none = HourlyBacklog {
            hour,
            held: 0,
            released: 0,
            failed: 0,
        };
        assert_eq!(store.backlog_history(hour).await.expect("read"), [none]);
        // A longer queue of the same hour, which a shorter one does not replace.
        let longer = store.write(|work| work.tx.run("UPDATE queue_depth SET held = 7", &[]));
        longer.await.expect("written");
        store
            .sample_queues(at("2026-11-28T10:59:00Z"))
            .await
            .expect("sampled");
        store
            .sample_queues(at("2026-11-28T11:00:00Z"))
            .await
            .expect("sampled");
        let depths = store.backlog_history(hour).await.expect("read");
        assert_eq!(
            depths.iter().map(|depth| depth.held).collect::<Vec<_>>(),
            [7, 0]
        );
        // Samples that are too old are deleted.
        let later = at("2027-04-01T00:00:00Z");
        store.sample_queues(later).await.expect("sampled");
        assert_eq!(store.backlog_history(hour).await.expect("read").len(), 1);
    }
}
