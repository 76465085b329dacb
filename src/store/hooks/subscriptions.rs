//! Hook subscriptions, and the calls owed to them.
//!
//! A call is written in the transaction of its event, so that each event has its call and each call has an
//! event. The payload describes the state at that time and never contains anything that a sender wrote: no
//! subject, no body, no token.

use serde::Serialize;

use crate::domain::{
    AccountId, AccountKind, AccountStatus, Actor, DestinationName, EmailAddress, EventPattern,
    HookCallId, LedgerId, PortalName, RequestId, RequestState, Timestamp, canary,
};
use crate::store::claims::leases::HOOK_CALLS;
use crate::store::hooks::calls_without_account::MESSAGE_DROPPED;
use crate::store::sql::sql_types::{Millis, from_row, json};
use crate::store::sql::{FromRow, Tx, insert};
use crate::store::{Result, Store};

/// Recorded events with their names for hooks; other events are not sent to hooks.
const TOLD: [(&str, &str); 13] = [
    ("account.created", "account.created"),
    ("account.verified", "account.verified"),
    ("account.blocked", "account.blocked"),
    ("account.unblocked", "account.unblocked"),
    ("request.discarded", "request.discarded"),
    ("request.expired", "request.expired"),
    ("request.recovered", "request.recovered"),
    ("delivery.succeeded", "request.delivered"),
    ("delivery.failed", "request.failed"),
    ("verification.sent", "verification.sent"),
    ("verification.bounced", "verification.bounced"),
    ("verification.refused", "verification.refused"),
    ("verification.taken_back", "verification.taken_back"),
];

/// Events of a request's creation and release, which hooks get under the same name.
const OF_REQUESTS: [&str; 2] = ["request.held", "request.released"];

/// Body of a call as Standard Webhooks recommends: a type, a time and data.
#[derive(Serialize)]
pub(crate) struct Payload<'a, T> {
    pub(crate) r#type: &'a str,
    pub(crate) timestamp: Timestamp,
    pub(crate) data: T,
}

#[derive(Serialize)]
struct Data {
    account: Account,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
    /// `daemon`, `person` or `operator:NAME`.
    by: String,
}

#[derive(Serialize)]
struct Account {
    id: AccountId,
    address: EmailAddress,
    kind: AccountKind,
    status: AccountStatus,
    groups: Vec<String>,
    verified_by: Option<String>,
    verified_at: Option<Timestamp>,
    created_at: Timestamp,
}
from_row!(
    Account, row: id, address, kind, status, groups, verified_by, verified_at, created_at,
);

#[derive(Serialize)]
struct Request {
    id: RequestId,
    ledger: LedgerId,
    portal: PortalName,
    state: RequestState,
    received_at: Timestamp,
}
from_row!(Request, row: id, ledger, portal, state, received_at);

/// Owes a call to each hook that subscribed to this event about an account or its request. `name` is that of a
/// recorded event; `account` and `entry` are the `n` of their rows.
pub(crate) fn tell(
    tx: &Tx,
    name: &str,
    account: Option<i64>,
    entry: Option<i64>,
    by: &Actor,
    now: Millis,
) -> Result<()> {
    let Some(event) = told_as(name) else {
        return Ok(());
    };
    let hooks = subscribers(tx, event)?;
    if hooks.is_empty() {
        return Ok(());
    }
    let request = match entry {
        Some(entry) if event.starts_with("request.") => of_entry(tx, entry)?,
        _ => None,
    };
    let (account, request) = match (request, account) {
        (Some((account, request)), _) => (account, Some(request)),
        (None, Some(account)) => (account, None),
        (None, None) => return Ok(()),
    };
    let about = match of_account(tx, account) {
        // A damaged row cannot be reported, which must not undo the event itself.
        Err(cause) if cause.is_of_row() => return Ok(()),
        about => about?,
    };
    if canary::is_sender(&about.address) {
        // A directory or help desk should not create a user for the canary.
        return Ok(());
    }
    let payload = json(&Payload {
        r#type: event,
        timestamp: now.timestamp(),
        data: Data {
            account: about,
            request,
            by: by.to_string(),
        },
    })?;
    for hook in hooks {
        let due = HOOK_CALLS.due_at_the_end(tx, account, &hook, now)?;
        insert!(
            tx,
            hook_call {
                n: tx.next_number()?,
                id: HookCallId::new(),
                hook,
                account,
                event,
                payload,
                created_at: now,
                state: "waiting",
                released_at: now,
                due_at: due
            }
        )?;
    }
    Ok(())
}

fn told_as(name: &str) -> Option<&'static str> {
    let own = OF_REQUESTS.iter().find(|event| **event == name);
    let told = TOLD.iter().find(|(event, _)| *event == name);
    own.copied().or(told.map(|(_, event)| *event))
}

/// Runs the query of every event as a [prefetch](crate::store::engine::job::Operation::prefetch).
pub(crate) fn prefetch(tx: &Tx) {
    let _ = subscribers(tx, "");
}

/// Hooks that subscribed to this event. Usually there are none, and a single query shows that.
pub(crate) fn subscribers(tx: &Tx, event: &str) -> Result<Vec<DestinationName>> {
    let mut hooks = Vec::new();
    tx.each("SELECT name, events FROM hook", &[], |row| {
        let patterns: Vec<EventPattern> = row.get(1)?;
        if patterns.iter().any(|pattern| pattern.matches(event)) {
            hooks.push(row.get(0)?);
        }
        Ok(())
    })?;
    Ok(hooks)
}

fn of_entry(tx: &Tx, entry: i64) -> Result<Option<(i64, Request)>> {
    tx.maybe_with(
        "SELECT l.id, l.id AS ledger, r.account, r.portal, r.state, r.received_at
             FROM request AS r JOIN ledger AS l ON l.n = r.ledger WHERE r.ledger = ?",
        &[&entry],
        |row| Ok((row.get("account")?, Request::from_row(row)?)),
    )
}

fn of_account(tx: &Tx, n: i64) -> Result<Account> {
    tx.one(
        "SELECT id, address, kind, status, groups, verified_by, verified_at, created_at
             FROM account WHERE n = ?",
        &[&n],
    )
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

/// True if calls were written since the last check, which found up to `newest`.
pub(crate) fn owes_more(tx: &Tx, newest: &mut i64) -> bool {
    let found: Result<Option<i64>, _> = tx.one("SELECT max(n) FROM hook_call", &[]);
    // If the query fails, the check after the next change finds the calls.
    let found = found.map_or(*newest, Option::unwrap_or_default);
    let more = found > *newest;
    *newest = found;
    more
}

impl Store {
    /// Replaces the set of subscribed hooks with that of the configuration. A hook that is not in it is owed no
    /// further calls, and its name is returned until its calls are removed.
    pub async fn subscribe_hooks(
        &self,
        hooks: Vec<(DestinationName, Vec<EventPattern>)>,
        now: Timestamp,
    ) -> Result<Vec<DestinationName>> {
        self.write(move |work| {
            let (tx, now) = (work.tx, now.into());
            let mut removed: Vec<DestinationName> =
                tx.all("SELECT name FROM hook ORDER BY name", &[])?;
            removed.retain(|name| hooks.iter().all(|(hook, _)| hook != name));
            for name in &removed {
                let sql = "UPDATE hook SET events = '[]', told_entry = NULL WHERE name = ?";
                tx.run(sql, &[&name])?;
            }
            for (name, events) in &hooks {
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
                    &[&name, &json(events)?, &follows],
                )?;
            }
            Ok(removed)
        })
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
