//! The ledger: one entry for each message and portal that was answered 250, with all later events.
use std::collections::HashMap;

use serde::Serialize;

use crate::access::{Circumstances, Standing, number_of, sender_for};
use crate::domain::{
    Actor, EmailAddress, Envelope, LedgerId, PortalName, Reason, RequestId, RequestState,
    Timestamp, Verdict,
};
use crate::mail::Facts;
use crate::store::audit::events::Event;
use crate::store::error::readable;
use crate::store::rows::entry_ids::n_of;
use crate::store::rows::keys::message_key;
use crate::store::sql::page_builder::end_of_scan;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Conditions, Row, Tx, list_of};
use crate::store::{ListOrder, Listed, Page, Result, Store};

/// One entry with the inputs of its decision, so that the decision can be explained and repeated.
#[derive(Debug, Clone, Serialize)]
pub struct LedgerEntry {
    pub ledger: LedgerId,
    pub portal: Option<PortalName>,
    pub received_at: Timestamp,
    pub verdict: Verdict,
    pub reason: Reason,
    pub rule: u8,
    /// Revision of the access settings that decided.
    pub revision: u64,
    pub sender: Option<EmailAddress>,
    pub account: Option<EmailAddress>,
    pub request: Option<RequestId>,
    #[serde(skip)]
    pub request_state: Option<RequestState>,
    pub recipient: String,
    pub envelope: Envelope,
    pub facts: Facts,
    /// None for a message to an address of our own, unless an operator named its portal.
    pub circumstances: Option<Circumstances>,
    pub standing: Standing,
    pub content_kept: bool,
    /// End of the time in which only the person can release the message: they refused it.
    #[serde(skip)]
    pub refused_until: Option<Timestamp>,
}

impl LedgerEntry {
    /// End of the time in which only the person can release the message; None once it has passed.
    #[must_use]
    pub fn protected_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.refused_until.filter(|until| *until > now)
    }
}

#[derive(Debug, Clone, Default)]
pub struct LedgerFilter {
    pub verdict: Option<Verdict>,
    pub reason: Option<Reason>,
    pub portal: Option<PortalName>,
    pub sender: Option<EmailAddress>,
    /// Part of the sender's address, found by the index of `find`; such a list is always newest first.
    pub sender_part: Option<String>,
    pub message_id: Option<String>,
    pub received_after: Option<Timestamp>,
    pub received_before: Option<Timestamp>,
    pub order: ListOrder,
    pub page: Page,
}

impl LedgerFilter {
    /// Narrows the list to a sender, if there is a text: an address, or a part of one.
    #[must_use]
    pub fn of_sender(mut self, text: Option<&str>) -> Self {
        self.sender = text.and_then(|text| EmailAddress::parse(text).ok());
        if self.sender.is_none() {
            self.sender_part = text.map(str::to_owned);
        }
        self
    }
}

/// Columns of an entry and of its request.
const SHOWN: &str = "SELECT l.n, l.id, l.portal, l.received_at, l.verdict, l.rule,
     l.revision, l.recipient, l.envelope, l.facts, l.circumstances, l.standing,
     (SELECT address FROM account WHERE key = l.sender) AS account,
     (SELECT r.state FROM request AS r WHERE r.ledger = coalesce(l.original, l.n)) AS state,
     o.id AS original_id,
     coalesce(
         (SELECT restorable_until FROM offer WHERE ledger = l.n),
         (SELECT r.restorable_until FROM request AS r
          WHERE r.ledger = coalesce(l.original, l.n) AND r.state = 'discarded')
     ) AS refused_until,
     EXISTS (
         SELECT 1 FROM content AS c WHERE c.ledger = coalesce(o.message, o.n, l.message, l.n)
     ) AS content_kept
     FROM ledger AS l LEFT JOIN ledger AS o ON o.n = l.original";

/// Entries that one statement reads.
const READ_AT_ONCE: usize = 64;

fn read_entry(row: &Row) -> Result<LedgerEntry> {
    let ledger: LedgerId = row.get("id")?;
    let original: Option<RequestId> = row.get("original_id")?;
    let request_state: Option<RequestState> = row.get("state")?;
    let facts: Facts = row.get("facts")?;
    let circumstances: Option<Circumstances> = row.get("circumstances")?;
    let own_list = circumstances
        .as_ref()
        .and_then(|circumstances| circumstances.own_list.as_deref());
    let reason: Reason = row.get("rule")?;
    Ok(LedgerEntry {
        ledger,
        portal: row.get("portal")?,
        received_at: row.get("received_at")?,
        verdict: row.get("verdict")?,
        reason,
        rule: number_of(reason),
        revision: row.get("revision")?,
        sender: sender_for(&facts, own_list).address().cloned(),
        account: row.get("account")?,
        request: match (request_state, original) {
            (Some(_), None) => Some(row.get("id")?),
            (Some(_), original) => original,
            (None, _) => None,
        },
        request_state,
        recipient: row.get("recipient")?,
        envelope: row.get("envelope")?,
        facts,
        circumstances,
        standing: row.get("standing")?,
        content_kept: row.get("content_kept")?,
        refused_until: row.get("refused_until")?,
    })
}

/// Reads entries by their numbers, in this order. A damaged one is left out; `doctor` names it.
pub(crate) fn by_numbers(tx: &Tx, numbers: &[i64]) -> Result<Vec<(i64, LedgerEntry)>> {
    let sql = format!("{SHOWN} WHERE {}", tx.is_among("l.n", "?"));
    let mut found = HashMap::with_capacity(numbers.len());
    for some in numbers.chunks(READ_AT_ONCE) {
        tx.each(&sql, &[&list_of(some)], |row| {
            if let Some(entry) = readable(read_entry(row))? {
                found.insert(row.get::<_, i64>("n")?, entry);
            }
            Ok(())
        })?;
    }
    let in_order = numbers.iter().filter_map(|n| found.remove_entry(n));
    Ok(in_order.collect())
}

/// Lists entries of one sender or with one Message-ID, which have an index, or all of them; for other filters
/// see `lists`.
pub(crate) fn list(tx: &Tx, filter: &LedgerFilter) -> Result<Listed<LedgerEntry>> {
    let after = filter.page.after.as_deref();
    let after = after.map(|cursor| match end_of_scan(cursor)? {
        Some((n, _)) => Ok(n),
        None => n_of(tx, cursor),
    });
    let after: Option<i64> = after.transpose()?;
    let sender = filter.sender.as_ref().map(EmailAddress::key);
    let domain = filter
        .sender
        .as_ref()
        .map(|sender| sender.domain().as_str());
    let key = filter.message_id.as_deref().map(message_key);
    let mut wanted = Conditions::default();
    wanted.ask("l.received_at >= ?", filter.received_after.as_ref());
    wanted.ask("l.received_at < ?", filter.received_before.as_ref());
    let goes_on = match filter.order {
        ListOrder::NewestFirst => "l.n < ?",
        ListOrder::OldestFirst => "l.n > ?",
    };
    wanted.ask(goes_on, after.as_ref());
    wanted.ask("l.verdict = ?", filter.verdict.as_ref());
    wanted.ask("l.rule = ?", filter.reason.as_ref());
    wanted.ask("l.portal = ?", filter.portal.as_ref());
    // Entries with a request are found by the account, which may have expired, dropped ones by the domain, and their
    // copies by the original.
    if let (Some(sender), Some(domain)) = (&sender, &domain) {
        let (sender, domain) = (wanted.bind(sender), wanted.bind(domain));
        wanted.always(&format!(
            "l.n IN (
             WITH firsts (n) AS (
                 SELECT r.ledger FROM request AS r JOIN account AS a ON a.n = r.account
                 WHERE a.key = {sender}
                 UNION ALL
                 SELECT r.ledger FROM request AS r JOIN account AS a ON a.n = r.account
                 WHERE a.former_key = {sender}
                 UNION ALL
                 SELECT d.n FROM ledger AS d
                 WHERE d.verdict = 'dropped' AND d.domain = {domain} AND d.sender = {sender}
             )
             SELECT n FROM firsts
             UNION
             SELECT again.n FROM firsts CROSS JOIN ledger AS again
             WHERE again.original = firsts.n
         )"
        ));
    }
    wanted.ask(
        "l.n IN (
             WITH firsts (n) AS (
                 SELECT f.n FROM ledger AS f WHERE f.message_key = ? AND f.original IS NULL
             )
             SELECT n FROM firsts
             UNION
             SELECT again.n FROM firsts CROSS JOIN ledger AS again
             WHERE again.original = firsts.n
         )",
        key.as_ref(),
    );
    let sql = format!(
        "{SHOWN} WHERE {} ORDER BY l.n {}",
        wanted.sql(),
        filter.order.direction()
    );
    let Listed { rows, next } = wanted.page(tx, &sql, &filter.page, |row| {
        let id: LedgerId = row.get("id")?;
        // A damaged entry is left out; `doctor` names it. The key of a Message-ID only finds candidates.
        let entry = readable(read_entry(row))?.filter(|entry| {
            let wanted = filter.message_id.as_ref();
            wanted.is_none_or(|wanted| entry.facts.message_id.as_ref() == Some(wanted))
        });
        Ok((entry, id.to_string()))
    })?;
    Ok(Listed {
        rows: rows.into_iter().flatten().collect(),
        next,
    })
}

/// Events of the entry, and of its account from then on. The verification mail for a held request may have
/// been sent before the request arrived.
fn events(tx: &Tx, id: LedgerId) -> Result<Vec<Event>> {
    let found: Option<(i64, Option<i64>, Millis, Verdict)> = tx.maybe(
        "SELECT n, coalesce((SELECT r.account FROM request AS r WHERE r.ledger = l.n),
                 (SELECT a.n FROM account AS a WHERE a.key = l.sender)), received_at, verdict
             FROM ledger AS l WHERE id = ?",
        &[&id],
    )?;
    let Some((n, account, received_at, verdict)) = found else {
        return Ok(Vec::new());
    };
    let mut events: Vec<Event> = tx.all(
        "SELECT at, name AS event, actor, detail, n FROM event WHERE ledger = ?1
         UNION
         SELECT at, name, actor, detail, n FROM event
         WHERE account = ?2 AND ledger IS NULL AND at >= coalesce(
             (SELECT max(at) FROM event
              WHERE account = ?2 AND name = 'verification.sent' AND at < ?3 AND ?4 = 'held'),
             ?3)
         ORDER BY at, n",
        &[&n, &account, &received_at, &verdict],
    )?;
    // The entry itself is the first event; a stored row for each message would add nothing.
    let before = events.partition_point(|event| event.at < received_at.timestamp());
    let own = Event {
        at: received_at.timestamp(),
        event: format!("message.{verdict}"),
        actor: Actor::Daemon.to_string(),
        detail: None,
    };
    events.insert(before, own);
    Ok(events)
}

/// Finds at most `most` ids that begin or end with `part`. A beginning is looked up in the index; an end requires a
/// scan of the index.
fn ids_with_part(tx: &Tx, part: &str, most: usize) -> Result<Vec<LedgerId>> {
    const DIGITS: usize = 26;
    let missing = DIGITS.saturating_sub(part.len());
    let bound = |digit: &str| format!("{part}{}", digit.repeat(missing)).parse::<LedgerId>();
    let mut found = Vec::new();
    if let (Ok(first), Ok(last)) = (bound("0"), bound("Z")) {
        found = tx.all::<LedgerId>(
            "SELECT id FROM ledger WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
            &[&first, &last, &most],
        )?;
    }
    // Each character has five bits; the database compares the octets that the part covers completely.
    if let Ok(end) = format!("{}{part}", "0".repeat(missing)).parse::<LedgerId>() {
        let from = 16 - part.len().min(DIGITS) * 5 / 8;
        let sql = "SELECT id FROM ledger WHERE substr(id, ?1) = ?2";
        let ends = tx.all::<LedgerId>(sql, &[&(from + 1), &end.to_bytes()[from..].to_vec()])?;
        for id in ends {
            if id.to_string().ends_with(part) && !found.contains(&id) {
                found.push(id);
            }
        }
    }
    found.truncate(most);
    Ok(found)
}

impl Store {
    /// Finds at most `most` entries whose id begins or ends with `part`, which is in capitals.
    pub async fn entries_with_id_part(&self, part: &str, most: usize) -> Result<Vec<LedgerId>> {
        let part = part.to_owned();
        self.read_long(move |tx| ids_with_part(tx, &part, most))
            .await
    }

    pub async fn ledger_entry(&self, id: LedgerId) -> Result<Option<LedgerEntry>> {
        self.read(move |tx| tx.maybe_with(&format!("{SHOWN} WHERE l.id = ?"), &[&id], read_entry))
            .await
    }

    /// Entries in the order of their commits, newest first: new entries come first, whatever their time of
    /// receipt.
    pub async fn newest_entries(&self, page: Page) -> Result<Listed<LedgerEntry>> {
        let filter = LedgerFilter {
            page,
            ..LedgerFilter::default()
        };
        self.read(move |tx| list(tx, &filter)).await
    }

    /// All events of an entry, oldest first.
    pub async fn events(&self, id: LedgerId) -> Result<Vec<Event>> {
        self.read(move |tx| events(tx, id)).await
    }
}
