//! Hook subscriptions: replaced by those of the configuration, looked up for an event, and removed with their calls.
//!
//! Nodes that share a store may have different hooks, for example while one after the other gets a new
//! configuration. Until all listed nodes have recorded the same hooks, subscriptions are only added: the events of a
//! hook that one node lacks still go to the node that has it.

use std::collections::BTreeMap;

use crate::domain::{DestinationName, EventPattern, Timestamp};
use crate::store::claims::leases::HOOK_CALLS;
use crate::store::engine::job::Work;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::{Millis, json};
use crate::store::{Result, Store};

/// The event of a dropped message. A hook that subscribed to it has a cursor into the ledger.
pub(crate) const MESSAGE_DROPPED: &str = "message.dropped";

const HOOKS: &str = "SELECT name, events FROM hook";

/// Section of the configuration under which a node records the digest of its hooks.
const SECTION: &str = "hook";

/// Runs the query of every event as a [prefetch](crate::store::engine::job::Operation::prefetch).
pub(crate) fn prefetch(tx: &Tx) {
    let _ = subscribers(tx, "");
}

/// Hooks that subscribed to this event. Usually there are none, and a single query shows that.
pub(crate) fn subscribers(tx: &Tx, event: &str) -> Result<Vec<DestinationName>> {
    let mut hooks = Vec::new();
    tx.each(HOOKS, &[], |row| {
        let patterns: Vec<EventPattern> = row.get(1)?;
        if patterns.iter().any(|pattern| pattern.matches(event)) {
            hooks.push(row.get(0)?);
        }
        Ok(())
    })?;
    Ok(hooks)
}

/// Restores a hook whose calls were being removed: of the remaining calls, the oldest of each account is due again.
fn give_heads_back(tx: &Tx, hook: &DestinationName, now: Millis) -> Result<()> {
    let accounts: Vec<i64> = tx.all(
        "SELECT DISTINCT c.account FROM hook_call AS c JOIN hook AS h ON h.name = c.hook
             WHERE c.account IS NOT NULL AND c.hook = ? AND c.state = 'waiting' AND h.events = '[]'",
        &[&hook],
    )?;
    for account in accounts {
        HOOK_CALLS.promote(tx, Some(account), hook, now)?;
    }
    Ok(())
}

impl Work<'_> {
    /// True if there are hooks. Every request asks, so a transaction queries only until it knows; only
    /// [`subscribe`](Self::subscribe) adds hooks.
    pub(crate) fn has_hooks(&mut self) -> Result<bool> {
        if let Some(known) = self.has_hooks {
            return Ok(known);
        }
        let found = self.tx.exists(HOOKS, &[])?;
        self.has_hooks = Some(found);
        Ok(found)
    }

    /// Records the digest of this node's hooks, and returns true if another listed node recorded a different one. A
    /// node that is gone counts until it is removed from the list, since it may come back. Both are in the transaction
    /// of the subscription: otherwise, another node could compare with a digest from before a reload.
    fn compare_hooks(&self, node: &str, digest: &str) -> Result<bool> {
        if self.driver.duty_lease().is_none() {
            return Ok(false);
        }
        let sql = "SELECT id, sections FROM node";
        let listed: Vec<(String, Option<String>)> = self.tx.all(sql, &[])?;
        let mut another_differs = false;
        for (id, sections) in listed {
            let sections = sections.unwrap_or_default();
            // Written by nodes of other versions, too.
            let mut digests: BTreeMap<String, String> =
                serde_json::from_str(&sections).unwrap_or_default();
            if digests.get(SECTION).map(String::as_str) == Some(digest) {
                continue;
            }
            if id == node {
                digests.insert(SECTION.to_owned(), digest.to_owned());
                let sql = "UPDATE node SET sections = ? WHERE id = ?";
                self.tx.run(sql, &[&json(&digests)?, &node])?;
            } else {
                another_differs = true;
            }
        }
        Ok(another_differs)
    }

    /// Replaces the set of subscribed hooks, or adds to it while another node has other hooks. Returns the names of
    /// the hooks whose calls are to be removed.
    fn subscribe(
        &mut self,
        hooks: &[(DestinationName, Vec<EventPattern>)],
        node: &str,
        digest: &str,
        now: Millis,
    ) -> Result<Vec<DestinationName>> {
        let tx = self.tx;
        self.has_hooks = None;
        let keeps_others = self.compare_hooks(node, digest)?;
        let subscribed: Vec<(DestinationName, Vec<EventPattern>)> =
            tx.all("SELECT name, events FROM hook ORDER BY name", &[])?;
        let mut removed = Vec::new();
        for (name, events) in &subscribed {
            let is_configured = hooks.iter().any(|(hook, _)| hook == name);
            // The calls of a hook without events are being removed already.
            if is_configured || (keeps_others && !events.is_empty()) {
                continue;
            }
            let sql = "UPDATE hook SET events = '[]', told_entry = NULL WHERE name = ?";
            tx.run(sql, &[&name])?;
            removed.push(name.clone());
        }
        for (name, own) in hooks {
            let before = subscribed.iter().find(|(hook, _)| hook == name);
            let before = before.map_or(&[][..], |(_, events)| events.as_slice());
            let events: Vec<EventPattern> = if keeps_others {
                let added = own.iter().filter(|event| !before.contains(event));
                before.iter().chain(added).cloned().collect()
            } else {
                own.clone()
            };
            if !before.is_empty() && events == before {
                continue;
            }
            give_heads_back(tx, name, now)?;
            let follows = events
                .iter()
                .any(|pattern| pattern.matches(MESSAGE_DROPPED));
            // A hook gets calls about messages dropped from now on, or after its existing cursor.
            tx.run(
                "INSERT INTO hook (name, events, told_entry)
                 VALUES (?1, ?2, CASE WHEN ?3 = 1 THEN (SELECT coalesce(max(n), 0) FROM ledger) END)
                 ON CONFLICT (name) DO UPDATE SET events = excluded.events,
                     told_entry = CASE WHEN ?3 = 1
                         THEN coalesce(hook.told_entry, excluded.told_entry) END",
                &[&name, &json(&events)?, &follows],
            )?;
        }
        Ok(removed)
    }
}

impl Store {
    /// Replaces the set of subscribed hooks with that of the configuration. A hook that is not in it is owed no
    /// further calls, and its name is returned until its calls are removed. While another node that shares the
    /// store has other hooks, nothing is unsubscribed. `digest` is that of this node's hooks, as nodes record it.
    pub async fn subscribe_hooks(
        &self,
        hooks: Vec<(DestinationName, Vec<EventPattern>)>,
        digest: &str,
        now: Timestamp,
    ) -> Result<Vec<DestinationName>> {
        let (holder, digest) = (self.holder.clone(), digest.to_owned());
        self.write(move |work| work.subscribe(&hooks, holder.node(), &digest, now.into()))
            .await
    }

    /// Removes up to `limit` calls of a removed hook, and the hook itself with the last of them.
    pub async fn remove_hook(&self, name: DestinationName, limit: usize) -> Result<usize> {
        self.write(move |work| {
            let removed = work.tx.run(
                "DELETE FROM hook_call WHERE n IN (
                     SELECT c.n FROM hook_call AS c JOIN hook AS h ON h.name = c.hook
                     WHERE c.hook = ?1 AND h.events = '[]' LIMIT ?2
                 )",
                &[&name, &limit],
            )?;
            if removed < limit {
                let sql = "DELETE FROM hook WHERE name = ? AND events = '[]'";
                work.tx.run(sql, &[&name])?;
            }
            Ok(removed)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    fn subscribe_one(work: &mut Work) -> Result<()> {
        let hook = DestinationName::parse("directory").expect("a name");
        let pattern = EventPattern::parse("request.held").expect("a pattern");
        work.subscribe(&[(hook, vec![pattern])], "", "", Millis(1))
            .map(drop)
    }

    #[tokio::test]
    async fn a_hook_is_noticed_in_the_transaction_that_subscribes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a store");
        let noticed = store.write(|work| {
            let before = (work.has_hooks()?, work.has_hooks()?);
            subscribe_one(work)?;
            Ok((before, work.has_hooks()?))
        });
        assert_eq!(noticed.await.expect("written"), ((false, false), true));
        let later = store.write(|work| Ok((work.has_hooks()?, work.has_hooks()?)));
        assert_eq!(later.await.expect("read"), (true, true));
    }

    #[tokio::test]
    async fn a_hook_is_not_noticed_after_its_subscription_is_rolled_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a store");
        // The first keeps the writer busy until the others wait, so that they share a transaction.
        let (all_wait, waiting) = std::sync::mpsc::channel();
        let first = store.write(move |_| {
            let _ = waiting.recv();
            Ok(())
        });
        let failing = store.write(|work| {
            subscribe_one(work)?;
            let cause = format!("noticed: {}", work.has_hooks()?);
            Err::<(), _>(StoreError::NotAllowed(cause))
        });
        let late = store.write(|work| Ok((work.has_hooks()?, work.has_hooks()?)));
        let release = async move { all_wait.send(()) };
        let (first, failing, late, _) = tokio::join!(first, failing, late, release);
        first.expect("done");
        let cause = failing.expect_err("it fails").to_string();
        assert!(cause.contains("noticed: true"), "{cause}");
        assert_eq!(late.expect("read"), (false, false));
    }
}
