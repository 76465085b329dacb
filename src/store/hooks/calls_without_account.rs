//! Hook calls about no account: dropped messages, destinations that are down or up, failed logins.
//!
//! None of these calls waits for another. Strangers cause them, so only a bounded number waits for each hook and
//! event. Calls about dropped messages are written outside of the acceptance of mail, by a cursor into the ledger
//! that stops while too many calls wait: none is left out. Other calls beyond the bound are only counted, and the
//! next call says how many were left out.

use serde::Serialize;

use crate::domain::{
    Actor, DestinationName, EmailAddress, HookCallId, LedgerId, PortalName, Reason, Timestamp,
    Verdict, canary,
};
use crate::store::engine::job::Work;
use crate::store::error::readable;
use crate::store::hooks::calls_about_accounts::Payload;
use crate::store::hooks::subscriptions::{MESSAGE_DROPPED, subscribers};
use crate::store::sql::sql_types::{Millis, from_row, json};
use crate::store::sql::{FromRow, Tx, insert};
use crate::store::{Result, Store, Topic};

/// Maximum calls of one event that wait for one hook.
const MAX_WAITING: u64 = 100;

/// Ledger entries that are read at a time.
const ENTRIES: usize = 200;

/// A message that was dropped.
#[derive(Serialize)]
struct DroppedMessage {
    ledger: LedgerId,
    portal: Option<PortalName>,
    sender: Option<EmailAddress>,
    domain: Option<String>,
    reason: Reason,
    received_at: Timestamp,
}
from_row!(DroppedMessage, row: ledger, portal, sender, domain, reason, received_at);

/// Subject of a call.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum About<'a> {
    Message(DroppedMessage),
    /// A destination or hook that went down or up.
    Destination {
        name: &'a DestinationName,
        /// Time since which it is, or was, down.
        since: Timestamp,
    },
    /// A login that failed.
    Login {
        /// The operator of that name, if there is one.
        operator: Option<&'a str>,
        /// The reason and the client.
        cause: Option<&'a str>,
    },
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    about: &'a About<'a>,
    by: String,
    /// Calls that were left out before this one because too many waited.
    #[serde(skip_serializing_if = "is_zero")]
    left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A call to be written.
struct NewCall<'a> {
    event: &'a str,
    about: &'a About<'a>,
    by: &'a Actor,
    /// The ledger entry that it is about.
    entry: Option<i64>,
    happened_at: Millis,
}

/// Number of calls of an event that wait for a hook, up to the bound.
fn count_waiting(tx: &Tx, hook: &DestinationName, event: &str) -> Result<u64> {
    tx.one(
        "SELECT count(*) FROM (
             SELECT 1 FROM hook_call
             WHERE hook = ?1 AND event = ?2 AND account IS NULL AND state = 'waiting' LIMIT ?3
         ) AS waiting",
        &[&hook, &event, &MAX_WAITING],
    )
}

/// Owes a call to a hook, due at once.
fn owe(tx: &Tx, hook: &DestinationName, call: &NewCall, left_out: u64, now: Millis) -> Result<()> {
    let payload = json(&Payload {
        r#type: call.event,
        timestamp: call.happened_at.timestamp(),
        data: Data {
            about: call.about,
            by: call.by.to_string(),
            left_out,
        },
    })?;
    insert!(
        tx,
        hook_call {
            n: tx.next_number()?,
            id: HookCallId::new(),
            hook,
            entry: call.entry,
            event: call.event,
            payload,
            created_at: now,
            state: "waiting",
            released_at: now,
            due_at: now
        }
    )?;
    Ok(())
}

/// Owes a call to each hook that subscribed to the event, or counts it where too many wait.
fn tell_all(
    tx: &Tx,
    event: &'static str,
    but: Option<&DestinationName>,
    by: &Actor,
    now: Millis,
    about: &About,
) -> Result<()> {
    for hook in subscribers(tx, event)? {
        if Some(&hook) == but {
            continue;
        }
        if count_waiting(tx, &hook, event)? >= MAX_WAITING {
            let sql = "UPDATE hook SET left_out = left_out + 1 WHERE name = ?";
            tx.run(sql, &[&hook])?;
            continue;
        }
        let left_out = tx.one("SELECT left_out FROM hook WHERE name = ?", &[&hook])?;
        if left_out > 0 {
            tx.run("UPDATE hook SET left_out = 0 WHERE name = ?", &[&hook])?;
        }
        let call = NewCall {
            event,
            about,
            by,
            entry: None,
            happened_at: now,
        };
        owe(tx, &hook, &call, left_out, now)?;
    }
    Ok(())
}

/// Owes calls that report a destination or hook as down, or up again; a hook gets none about itself.
pub(crate) fn tell_destination(
    tx: &Tx,
    name: &DestinationName,
    is_down: bool,
    since: Millis,
    by: &Actor,
    now: Millis,
) -> Result<()> {
    let event = if is_down {
        "destination.down"
    } else {
        "destination.up"
    };
    let since = since.timestamp();
    let about = About::Destination { name, since };
    tell_all(tx, event, Some(name), by, now, &about)
}

/// Owes calls that report a failed login. `by` is the operator whose name was entered.
pub(crate) fn tell_failed_login(
    tx: &Tx,
    by: &Actor,
    cause: Option<&str>,
    now: Millis,
) -> Result<()> {
    let stored = by.to_string();
    let operator = Actor::operator_name(&stored).filter(|name| *name != "?");
    let (event, about) = ("operator.login_failed", About::Login { operator, cause });
    tell_all(tx, event, None, &Actor::Person, now, &about)
}

/// The part of a ledger entry that a call reports.
struct Entry {
    verdict: Verdict,
    message: DroppedMessage,
}
from_row!(Entry, row: verdict, message = DroppedMessage::from_row(row)?);

/// Hooks whose cursor is behind the newest entry and whose number of waiting calls is below the bound, with their
/// cursors.
fn list_hooks_behind(tx: &Tx) -> Result<Vec<(DestinationName, i64)>> {
    let newest: i64 = tx.one("SELECT coalesce(max(n), 0) FROM ledger", &[])?;
    let sql = "SELECT name, told_entry FROM hook WHERE told_entry < ? ORDER BY name";
    let hooks: Vec<(DestinationName, i64)> = tx.all(sql, &[&newest])?;
    let mut behind = Vec::new();
    for (hook, cursor) in hooks {
        if count_waiting(tx, &hook, MESSAGE_DROPPED)? < MAX_WAITING {
            behind.push((hook, cursor));
        }
    }
    Ok(behind)
}

impl Work<'_> {
    /// Writes the next calls about dropped messages. Returns true if there may be more to write now.
    fn tell_dropped(&mut self, now: Millis) -> Result<bool> {
        let tx = self.tx;
        let mut more = false;
        for (hook, cursor) in list_hooks_behind(tx)? {
            let mut room = MAX_WAITING.saturating_sub(count_waiting(tx, &hook, MESSAGE_DROPPED)?);
            let entries = tx.all_with(
                "SELECT n, id AS ledger, portal, received_at, verdict, sender, domain, rule AS reason
                 FROM ledger WHERE n > ?1 ORDER BY n LIMIT ?2",
                &[&cursor, &ENTRIES],
                |row| Ok((row.get("n")?, readable(Entry::from_row(row))?)),
            )?;
            let mut told = cursor;
            let is_full_page = entries.len() == ENTRIES;
            for (n, entry) in entries {
                // A damaged entry cannot be reported, and must not hold up the entries after it.
                let Some(Entry { verdict, message }) = entry else {
                    told = n;
                    continue;
                };
                let is_ours = message.sender.as_ref().is_some_and(canary::is_sender);
                if verdict == Verdict::Dropped && !is_ours {
                    if room == 0 {
                        break;
                    }
                    room -= 1;
                    let call = NewCall {
                        event: MESSAGE_DROPPED,
                        happened_at: message.received_at.into(),
                        about: &About::Message(message),
                        by: &Actor::Daemon,
                        entry: Some(n),
                    };
                    owe(tx, &hook, &call, 0, now)?;
                    self.wakeups.add(Topic::Calls);
                }
                told = n;
            }
            let sql = "UPDATE hook SET told_entry = ?2 WHERE name = ?1";
            tx.run(sql, &[&hook, &told])?;
            more |= is_full_page && room > 0;
        }
        Ok(more)
    }
}

impl Store {
    /// Owes calls about messages that were dropped since the last run, up to the bound. Returns true if there may
    /// be more to write now.
    pub async fn tell_dropped(&self, now: Timestamp) -> Result<bool> {
        if self.read(list_hooks_behind).await?.is_empty() {
            return Ok(false);
        }
        self.write(move |work| work.tell_dropped(now.into())).await
    }
}
