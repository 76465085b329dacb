//! Duties: what one node does for all that share the store, such as housekeeping. A node holds a duty for a
//! time, its lease, and renews it; after a node that is gone, another takes it over.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::store::sql::sql_types::Millis;
use crate::store::{Store, StoreError};

/// A kind of work that is done once, however many nodes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    Housekeeping,
    /// Logs what operators did.
    OperatorLog,
    Canary,
}

impl Duty {
    fn name(self) -> &'static str {
        match self {
            Self::Housekeeping => "housekeeping",
            Self::OperatorLog => "operator_log",
            Self::Canary => "canary",
        }
    }
}

impl Store {
    /// Takes or renews a duty, for a node that asks again after this time. Returns false if another node holds
    /// it.
    ///
    /// # Errors
    /// The database cannot be written: nobody knows who holds it.
    pub async fn hold_duty(
        &self,
        duty: Duty,
        again_after: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(shortest) = self.driver.duty_lease() else {
            return Ok(true);
        };
        let lease = shortest.max(again_after + again_after / 2);
        // It would do too early, or too late, what is due.
        if !self.is_clock_right() {
            return Ok(false);
        }
        let holder = self.holder.opening().to_owned();
        self.write(move |work| {
            let now = Millis::from(now);
            // A lease that ends later than any that is given now comes from a clock that was wrong.
            let held = work.tx.run(
                "INSERT INTO duty (name, holder, held_until) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET holder = ?2, held_until = ?3
                 WHERE duty.holder = ?2 OR duty.held_until <= ?4 OR duty.held_until > ?5",
                &[
                    &duty.name(),
                    &holder,
                    &now.plus(lease),
                    &now,
                    &now.plus(lease * 2),
                ],
            )?;
            Ok(held > 0)
        })
        .await
    }

    /// Longest interval at which a duty is asked for. None where no other node can be there.
    #[must_use]
    pub fn duty_interval(&self) -> Option<Duration> {
        self.driver.duty_lease().map(|lease| lease / 3)
    }
}
