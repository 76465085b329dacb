//! Hook calls about an account or a request of it.
//!
//! A call is written in the transaction of its event, so that each event has its call and each call has an
//! event. The payload describes the state at that time and never contains anything that a sender wrote: no
//! subject, no body, no token.

use serde::Serialize;

use crate::domain::{
    AccountId, AccountKind, AccountStatus, Actor, EmailAddress, HookCallId, LedgerId, PortalName,
    RequestId, RequestState, Timestamp, canary,
};
use crate::store::Result;
use crate::store::claims::leases::HOOK_CALLS;
use crate::store::hooks::subscriptions::subscribers;
use crate::store::sql::sql_types::{Millis, from_row, json};
use crate::store::sql::{FromRow, Tx, insert};

/// Recorded events with their names for hooks; other events are not sent to hooks.
const TOLD: [(&str, &str); 14] = [
    ("account.created", "account.created"),
    ("account.verified", "account.verified"),
    ("account.blocked", "account.blocked"),
    ("account.unblocked", "account.unblocked"),
    ("request.discarded", "request.discarded"),
    ("request.expired", "request.expired"),
    ("request.replaced", "request.replaced"),
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
    let Some(event) = name_for_hooks(name) else {
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
    let Some(about) = about else {
        return Ok(());
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

fn name_for_hooks(name: &str) -> Option<&'static str> {
    let own = OF_REQUESTS.iter().find(|event| **event == name);
    let told = TOLD.iter().find(|(event, _)| *event == name);
    own.copied().or(told.map(|(_, event)| *event))
}

fn of_entry(tx: &Tx, entry: i64) -> Result<Option<(i64, Request)>> {
    tx.maybe_with(
        "SELECT l.id, l.id AS ledger, r.account, r.portal, r.state, r.received_at
             FROM request AS r JOIN ledger AS l ON l.n = r.ledger WHERE r.ledger = ?",
        &[&entry],
        |row| Ok((row.get("account")?, Request::from_row(row)?)),
    )
}

/// None for an expired account or that of a forgotten person: no account has its id.
fn of_account(tx: &Tx, n: i64) -> Result<Option<Account>> {
    tx.maybe(
        "SELECT id, address, kind, status, groups, verified_by, verified_at, created_at
             FROM account WHERE n = ? AND forgotten_at IS NULL",
        &[&n],
    )
}
