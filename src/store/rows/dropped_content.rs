//! The limit on the content of dropped messages: `dropped.max_content`.
//!
//! Over the limit, the oldest content of the sender domain with the most content is erased, so that a flood
//! erases its own. A domain is the registered domain, because subdomains are free; messages that it vouches
//! for are counted apart from those that anybody may have written in its name. A forger can use another
//! domain for each message. So once half of the limit is used, unknown domains that do not vouch for their
//! messages are counted together, as one swarm. Older content, and content of known domains, stays.
//!
//! Ledger entries stay in every case.

use crate::domain::EmailAddress;
use crate::store::engine::time_slice::{TimeSlice, WorkStep};
use crate::store::rows::keys::octets;
use crate::store::rows::keys::registered_domain;
use crate::store::sql::Tx;
use crate::store::{Result, Store};

/// Maximum number of contents erased in the transaction of a new message; housekeeping erases the others.
const MAX_EVICTED: usize = 64;

/// The domain that a message is attributed to.
pub(crate) struct Author<'a> {
    pub(crate) sender: Option<&'a EmailAddress>,
    /// The domain vouches for the message.
    pub(crate) authenticated: bool,
}

impl Author<'_> {
    fn name(&self) -> String {
        let domain = self
            .sender
            .map_or("", |sender| registered_domain(sender.domain()));
        if self.authenticated && self.sender.is_some() {
            domain.to_owned()
        } else {
            format!("?{domain}")
        }
    }

    /// True if the message counts towards the swarm of unknown domains.
    fn is_of_the_swarm(&self, tx: &Tx, name: &str, limit: i64) -> Result<bool> {
        let (false, Some(sender)) = (self.authenticated, self.sender) else {
            return Ok(false);
        };
        if total(tx)? < limit / 2 {
            return Ok(false);
        }
        let sql = "SELECT 1 FROM dropped_sender WHERE swarm = 0 AND sender = ?";
        let has_some = tx.exists(sql, &[&name])?;
        let is_known = has_some
            || tx.exists(
                "SELECT 1 FROM account WHERE domain = ? LIMIT 1",
                &[&sender.domain().as_str()],
            )?;
        Ok(!is_known)
    }
}

/// Total size of dropped content in octets.
fn total(tx: &Tx) -> Result<i64> {
    tx.one("SELECT CAST(sum(octets) AS bigint) FROM dropped_total", &[])
}

/// Counts the content stored under an entry, unless a request needs it, and makes room for it.
pub(crate) fn count(tx: &Tx, carrier: i64, author: &Author, limit: u64) -> Result<()> {
    let limit = octets(limit);
    let name = author.name();
    let swarm = author.is_of_the_swarm(tx, &name, limit)?;
    tx.run(
        "INSERT INTO dropped_content (ledger, swarm, sender, octets)
             SELECT ledger, ?2, ?3, length(raw) FROM content WHERE ledger = ?1
             ON CONFLICT (ledger) DO NOTHING",
        &[&carrier, &swarm, &name],
    )?;
    let mut erased = 0;
    while total(tx)? > limit {
        let next = match erased {
            // Erasing many small contents did not make enough room, so the new content is erased instead.
            MAX_EVICTED if total(tx)? > limit.saturating_add(limit / 8) => Some(carrier),
            MAX_EVICTED => None,
            _ => find_next_to_erase(tx)?,
        };
        let Some(next) = next else {
            return Ok(());
        };
        erase(tx, next)?;
        if next == carrier {
            return Ok(());
        }
        erased += 1;
    }
    Ok(())
}

/// True if a request needs the content stored under an entry.
pub(crate) fn is_wanted(tx: &Tx, carrier: i64) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM ledger AS other JOIN request AS r ON r.ledger = other.n
             WHERE (other.n = ?1 OR other.message = ?1)
                 AND coalesce(other.message, other.n) = ?1 AND r.kept = 1",
        &[&carrier],
    )
}

/// Counts a content whose last request released it, because a dropped entry of the same message still needs it.
pub(crate) fn count_if_unwanted(tx: &Tx, carrier: i64) -> Result<()> {
    if is_wanted(tx, carrier)? {
        return Ok(());
    }
    tx.run(
        "INSERT INTO dropped_content (ledger, swarm, sender, octets)
             SELECT c.ledger, 0, '?' || coalesce(l.domain, ''), length(c.raw)
             FROM content AS c JOIN ledger AS l ON l.n = c.ledger
             WHERE c.ledger = ?1
             ON CONFLICT (ledger) DO NOTHING",
        &[&carrier],
    )?;
    Ok(())
}

/// Stops counting the content of this entry, because a request needs it from now on.
pub(crate) fn uncount(tx: &Tx, entry: i64) -> Result<()> {
    tx.run(
        "DELETE FROM dropped_content
             WHERE ledger = (SELECT coalesce(message, n) FROM ledger WHERE n = ?)",
        &[&entry],
    )?;
    Ok(())
}

/// Finds the content to erase next: the oldest of the domain with the most content, or of the swarm.
pub(crate) fn find_next_to_erase(tx: &Tx) -> Result<Option<i64>> {
    let most = |swarm: bool| -> Result<Option<(String, i64)>> {
        tx.maybe(
            "SELECT sender, octets FROM dropped_sender WHERE swarm = ?
                 ORDER BY octets DESC LIMIT 1",
            &[&swarm],
        )
    };
    let oldest_of = |swarm: bool, sender: &str| -> Result<Option<i64>> {
        tx.maybe(
            "SELECT ledger FROM dropped_content WHERE swarm = ? AND sender = ?
                 ORDER BY ledger LIMIT 1",
            &[&swarm, &sender],
        )
    };
    let swarm: i64 = tx.one("SELECT octets FROM dropped_total WHERE swarm = 1", &[])?;
    let largest = most(false)?;
    let of_known = largest.as_ref().map_or(0, |(_, octets)| *octets);
    if swarm > 0 && swarm >= of_known {
        return match most(true)? {
            Some((sender, octets)) if octets.saturating_mul(2) > swarm => oldest_of(true, &sender),
            _ => tx.maybe(
                "SELECT ledger FROM dropped_content WHERE swarm = 1 ORDER BY ledger LIMIT 1",
                &[],
            ),
        };
    }
    match largest {
        Some((sender, _)) => oldest_of(false, &sender),
        None => Ok(None),
    }
}

/// Erases a content; the entries that refer to it stay.
fn erase(tx: &Tx, carrier: i64) -> Result<()> {
    for (condition, sql) in [
        ("n", "UPDATE ledger SET forget_at = NULL WHERE n = ?"),
        (
            "message",
            "UPDATE ledger SET forget_at = NULL WHERE message = ?",
        ),
    ] {
        tx.run(sql, &[&carrier])?;
        tx.run(
            &format!(
                "DELETE FROM offer WHERE ledger IN (SELECT n FROM ledger WHERE {condition} = ?)"
            ),
            &[&carrier],
        )?;
    }
    tx.run("DELETE FROM content WHERE ledger = ?", &[&carrier])?;
    Ok(())
}

impl Store {
    /// Erases dropped content over the limit, in one step. Returns the number of messages that lost their
    /// content.
    pub async fn trim_dropped_content(&self, limit: u64, rows: usize) -> Result<WorkStep<usize>> {
        let limit = octets(limit);
        let over = self.read(move |tx| Ok(total(tx)? > limit)).await?;
        if !over {
            return Ok(WorkStep::default());
        }
        self.write(move |work| {
            let tx = work.tx;
            let mut slice = TimeSlice::of(rows);
            let mut erased = 0;
            while total(tx)? > limit {
                let Some(next) = find_next_to_erase(tx)? else {
                    break;
                };
                if !slice.goes_on() {
                    return Ok(slice.step(erased, true));
                }
                erase(tx, next)?;
                erased += 1;
            }
            Ok(slice.step(erased, false))
        })
        .await
    }
}
