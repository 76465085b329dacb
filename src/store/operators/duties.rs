//! Duties: work that one node does for all that share the store, such as housekeeping. A node holds a duty under a
//! lease and renews it; when the node is gone, another takes the duty over.

use std::time::{Duration, Instant};

use crate::domain::{Timestamp, keywords};
use crate::store::sql::sql_types::Millis;
use crate::store::{Result, Store};

/// Work that is done once, however many nodes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    Housekeeping,
    /// Logs what operators did.
    OperatorLog,
    Canary,
}
keywords!(Duty {
    Housekeeping => "housekeeping",
    OperatorLog => "operator_log",
    Canary => "canary",
});

impl Store {
    /// Takes or renews a duty, for a node that asks again after `again_after`. Returns false if another node holds
    /// it.
    ///
    /// # Errors
    /// The database cannot be written: it is unknown which node holds the duty.
    pub async fn hold_duty(
        &self,
        duty: Duty,
        again_after: Duration,
        now: Timestamp,
    ) -> Result<bool> {
        let Some(shortest) = self.driver.duty_lease() else {
            return Ok(true);
        };
        let lease = shortest.max(again_after + again_after / 2);
        let holder = self.holder.opening().to_owned();
        let asked = Instant::now();
        self.write(move |work| {
            // With a wrong clock, this node would do due work too early or too late.
            if !work.driver.is_clock_right() {
                return Ok(false);
            }
            let now = Millis::from(now);
            // A lease that ends later than any lease granted now comes from a wrong clock. This process may have been
            // stopped since `now`.
            let latest = now.plus(lease * 2).plus(asked.elapsed());
            let held = work.tx.run(
                "INSERT INTO duty (name, holder, held_until) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET holder = ?2, held_until = ?3
                 WHERE duty.holder = ?2 OR duty.held_until <= ?4 OR duty.held_until > ?5",
                &[&duty.as_str(), &holder, &now.plus(lease), &now, &latest],
            )?;
            Ok(held > 0)
        })
        .await
    }

    /// The duties that are held now, each at most once, with the id of the node. Empty if no other node can share
    /// the store.
    pub async fn held_duties(&self, now: Timestamp) -> Result<Vec<(Duty, String)>> {
        let rows: Vec<(String, String)> = self
            .read(move |tx| {
                // A holder's name begins with that of its node.
                tx.all(
                    "SELECT duty.name, node.id FROM duty JOIN node
                         ON node.id <> '' AND substr(duty.holder, 1, length(node.id)) = node.id
                     WHERE duty.held_until > ?",
                    &[&now],
                )
            })
            .await?;
        // Nodes of other versions may have other duties.
        let held = rows.into_iter();
        Ok(held
            .filter_map(|(name, node)| Some((Duty::from_name(&name)?, node)))
            .collect())
    }

    /// Longest interval at which a node asks for a duty. None if no other node can share the store.
    #[must_use]
    pub fn duty_interval(&self) -> Option<Duration> {
        self.driver.duty_lease().map(|lease| lease / 3)
    }
}
