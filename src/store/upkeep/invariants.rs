//! Invariants, checked on the rows themselves: for `doctor` and for the tests.
//!
//! The checks, keys and triggers of the schema enforce many invariants. The ones here concern more than one
//! row.
use serde::Serialize;

use std::ops::ControlFlow;

use crate::access::{Circumstances, Standing};
use crate::domain::{EmailAddress, Envelope, LedgerId};
use crate::mail::Facts;
use crate::store::rows::reason_codes::with_codes;
use crate::store::sql::{FromSql, Row, SqlValue, Tx};
use crate::store::{Result, Store};

/// A violated invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The invariant.
    pub invariant: &'static str,
    /// Place of the violation.
    pub place: String,
}

/// Invariants, each with a query for the places that violate it.
const INVARIANTS: &[(&str, &str)] = &[
    (
        "every accepted or held entry that is not a copy has a request",
        "SELECT id FROM ledger AS l
         WHERE verdict <> 'dropped' AND original IS NULL
             AND NOT EXISTS (SELECT 1 FROM request WHERE ledger = l.n)",
    ),
    (
        "a dropped entry has no request unless an operator released it, and a copy never has one",
        "SELECT id FROM request AS r JOIN ledger AS l ON l.n = r.ledger
         WHERE l.original IS NOT NULL
             OR (l.verdict = 'dropped' AND coalesce(substr(r.released_by, 1, 9), '') <> 'operator:')",
    ),
    (
        "the verdict is possible for the rule",
        "SELECT id FROM ledger WHERE NOT CASE rule
             WHEN {duplicate} THEN true
             WHEN {account_active} THEN verdict = 'accepted'
             WHEN {account_pending} THEN verdict = 'held'
             WHEN {internal_account_created} THEN verdict = 'held'
             WHEN {external_account_created} THEN verdict <> 'dropped'
             ELSE verdict = 'dropped' END",
    ),
    (
        "an active and verified account has no held request",
        "SELECT a.address FROM account AS a
         WHERE status = 'active' AND verified_at IS NOT NULL
             AND EXISTS (SELECT 1 FROM request WHERE account = a.n AND state = 'held')",
    ),
    (
        "a request that a verification released belongs to a verified account",
        "SELECT a.address FROM request AS r JOIN account AS a ON a.n = r.account
         WHERE r.released_by = 'proof' AND a.verified_at IS NULL",
    ),
    (
        "a request that a rule released was accepted",
        "SELECT l.id FROM request AS r JOIN ledger AS l ON l.n = r.ledger
         WHERE r.released_by = 'rule' AND l.verdict <> 'accepted'",
    ),
    (
        "if requests of an account and portal wait, one of them is due or in progress",
        "SELECT id FROM ledger WHERE n IN (
             SELECT min(r.ledger) FROM request AS r
             WHERE r.state = 'released' AND r.stopped = 0 AND r.passed = 0
             GROUP BY r.account, r.portal HAVING count(r.due_at) = 0
         )",
    ),
    (
        "no request is due while an earlier one of its account and portal is due or in progress",
        "SELECT l.id FROM request AS r JOIN ledger AS l ON l.n = r.ledger
         WHERE r.state = 'released' AND r.stopped = 0 AND r.passed = 0
             AND r.due_at IS NOT NULL AND r.in_work = 0
             AND EXISTS (SELECT 1 FROM request AS q
                 WHERE q.account = r.account AND q.portal = r.portal AND q.state = 'released'
                     AND q.stopped = 0 AND q.passed = 0 AND q.due_at IS NOT NULL
                     AND (q.released_at, q.ledger) < (r.released_at, r.ledger))",
    ),
    (
        "a request that was passed over is released, and due unless it is stopped",
        "SELECT l.id FROM request AS r JOIN ledger AS l ON l.n = r.ledger
         WHERE r.passed = 1 AND (r.state <> 'released' OR (r.due_at IS NULL AND r.stopped = 0))",
    ),
    (
        "a stopped request is released, belongs to a blocked account, and is not due unless it is in progress",
        "SELECT l.id FROM request AS r JOIN ledger AS l ON l.n = r.ledger
             JOIN account AS a ON a.n = r.account
         WHERE r.stopped = 1 AND (r.state <> 'released' OR a.status <> 'blocked'
             OR (r.due_at IS NOT NULL AND r.in_work = 0))",
    ),
    (
        "every request that needs content has it",
        "SELECT l.id FROM request AS r JOIN ledger AS l ON l.n = r.ledger
         WHERE r.kept = 1
             AND NOT EXISTS (SELECT 1 FROM content WHERE ledger = coalesce(l.message, l.n))",
    ),
    (
        "every stored content is needed by an entry",
        "SELECT l.id FROM content AS c JOIN ledger AS l ON l.n = c.ledger
         WHERE NOT EXISTS (
             SELECT 1 FROM ledger AS o LEFT JOIN request AS r ON r.ledger = o.n
             WHERE (o.n = c.ledger OR o.message = c.ledger)
                 AND coalesce(o.message, o.n) = c.ledger
                 AND (o.forget_at IS NOT NULL OR r.kept = 1)
         )",
    ),
    (
        "dropped content is counted if and only if no request needs it",
        "WITH unwanted AS (
             SELECT c.ledger FROM content AS c
             WHERE NOT EXISTS (
                 SELECT 1 FROM ledger AS o JOIN request AS r ON r.ledger = o.n
                 WHERE (o.n = c.ledger OR o.message = c.ledger)
                     AND coalesce(o.message, o.n) = c.ledger AND r.kept = 1
             )
         )
         SELECT l.id FROM (
             SELECT * FROM unwanted EXCEPT SELECT ledger FROM dropped_content
             UNION ALL
             SELECT * FROM (SELECT ledger FROM dropped_content EXCEPT SELECT * FROM unwanted) AS missing
         ) AS wrong JOIN ledger AS l ON l.n = wrong.ledger",
    ),
    (
        "the recorded size of dropped content is its real size",
        "SELECT l.id FROM dropped_content AS d JOIN content AS c ON c.ledger = d.ledger
             JOIN ledger AS l ON l.n = d.ledger
         WHERE d.octets <> length(c.raw)",
    ),
    (
        "the totals of dropped content by sender and overall are correct",
        "WITH counted AS (
             SELECT swarm, sender, sum(octets) AS octets, count(*) AS messages
             FROM dropped_content GROUP BY swarm, sender
         )
         SELECT sender FROM (
             SELECT * FROM counted EXCEPT SELECT * FROM dropped_sender
             UNION ALL
             SELECT * FROM (SELECT * FROM dropped_sender EXCEPT SELECT * FROM counted) AS missing
         ) AS wrong
         UNION ALL
         SELECT 'all' FROM dropped_total AS t
         WHERE octets <> (
             SELECT coalesce(sum(octets), 0) FROM dropped_content WHERE swarm = t.swarm
         )",
    ),
    (
        "an offered message was dropped by the quota, and its content is kept",
        "SELECT l.id FROM offer AS o JOIN ledger AS l ON l.n = o.ledger
         WHERE l.rule <> {hold_quota} OR l.forget_at IS NULL",
    ),
    (
        "only a dropped entry has an expiry time for its content",
        "SELECT id FROM ledger WHERE forget_at IS NOT NULL AND verdict <> 'dropped'",
    ),
    (
        "a forgotten account has no waiting request, content, verification mail or link",
        "SELECT a.address FROM account AS a
         WHERE forgotten_at IS NOT NULL AND (
             EXISTS (SELECT 1 FROM request AS r WHERE r.account = a.n
                 AND (r.kept = 1 OR r.settled_at IS NULL))
             OR EXISTS (SELECT 1 FROM letter WHERE account = a.n)
             OR EXISTS (SELECT 1 FROM token WHERE account = a.n)
         )",
    ),
    (
        "a forgotten account is blocked",
        "SELECT address FROM account WHERE forgotten_at IS NOT NULL AND status <> 'blocked'",
    ),
    (
        "an expired account is forgotten, its key is not an address, and its former key is one",
        "SELECT address FROM account
         WHERE former_key IS NOT NULL AND (forgotten_at IS NULL OR substr(key, 1, 1) <> ' '
             OR substr(former_key, 1, 1) = ' ')",
    ),
    (
        "a verification mail waits for an account that can be verified",
        "SELECT t.id FROM letter AS t JOIN account AS a ON a.n = t.account
         WHERE t.state = 'waiting' AND t.kind <> 'already_registered'
             AND a.status <> 'pending' AND (a.status <> 'active' OR a.verified_at IS NOT NULL)",
    ),
    (
        "a row is in progress if and only if it has a claim and a holder",
        "SELECT l.id FROM request AS r JOIN ledger AS l ON l.n = r.ledger
         WHERE (r.in_work = 1) <> (r.claim IS NOT NULL) OR (r.claim IS NULL) <> (r.holder IS NULL)
         UNION ALL
         SELECT id FROM hook_call
         WHERE (in_work = 1) <> (claim IS NOT NULL) OR (claim IS NULL) <> (holder IS NULL)
         UNION ALL
         SELECT id FROM letter
         WHERE (state = 'claimed') <> (claim IS NOT NULL) OR (claim IS NULL) <> (holder IS NULL)",
    ),
    (
        "if calls of an account and hook wait, exactly one of them is due",
        "SELECT id FROM hook_call WHERE n IN (
             SELECT min(c.n) FROM hook_call AS c JOIN hook AS h ON h.name = c.hook
             WHERE c.state = 'waiting' AND h.events <> '[]' AND c.account IS NOT NULL
             GROUP BY c.account, c.hook HAVING count(c.due_at) <> 1
         )",
    ),
    (
        "every waiting call without an account is due",
        "SELECT c.id FROM hook_call AS c
         WHERE c.state = 'waiting' AND c.account IS NULL AND c.due_at IS NULL",
    ),
    (
        "an account is blocked if an operator blocked it or the directory deactivated it",
        "SELECT id FROM account
         WHERE (operator_block = 1 OR deactivated_at IS NOT NULL) AND status <> 'blocked'",
    ),
    (
        "the next number is above every assigned number",
        "SELECT place FROM writer, (
             SELECT 'account' AS place, (SELECT max(n) FROM account) AS given
             UNION ALL SELECT 'ledger', (SELECT max(n) FROM ledger)
             UNION ALL SELECT 'letter', (SELECT max(n) FROM letter)
             UNION ALL SELECT 'letter_claim', (SELECT max(letter) FROM letter_claim)
             UNION ALL SELECT 'event', (SELECT max(n) FROM event)
             UNION ALL SELECT 'operator', (SELECT max(n) FROM operator)
             UNION ALL SELECT 'answer', (SELECT max(n) FROM answer)
             UNION ALL SELECT 'offer', (SELECT max(n) FROM offer)
             UNION ALL SELECT 'notice', (SELECT max(n) FROM notice)
             UNION ALL SELECT 'hook_call', (SELECT max(n) FROM hook_call)
             UNION ALL SELECT 'directory_user', (SELECT max(n) FROM directory_user)
             UNION ALL SELECT 'claims of requests', (SELECT max(claim) FROM request)
             UNION ALL SELECT 'claims of calls', (SELECT max(claim) FROM hook_call)
             UNION ALL SELECT 'claims of mail', (SELECT max(claim) FROM letter)
         ) AS numbers WHERE given >= next_number",
    ),
    (
        NOT_MOVED,
        "SELECT 'it was moved to ' || place FROM moved WHERE role = 'source'",
    ),
    (
        "there is a next number",
        "SELECT 'writer' WHERE NOT EXISTS (SELECT 1 FROM writer) AND NOT EXISTS (SELECT 1 FROM moved)",
    ),
    (
        "the counts of entries by day are correct",
        "WITH counted AS (
             SELECT received_at / 86400000 * 86400000 AS day, coalesce(portal, '') AS portal,
                 verdict, rule, count(*) AS messages
             FROM ledger GROUP BY 1, 2, 3, 4
         )
         SELECT day || ' ' || portal || ' ' || verdict || ' ' || rule FROM (
             SELECT * FROM counted EXCEPT SELECT * FROM day_count
             UNION ALL
             SELECT * FROM (SELECT * FROM day_count EXCEPT SELECT * FROM counted) AS missing
         ) AS wrong",
    ),
    (
        "the counts of settled requests by portal and state are correct",
        "WITH counted AS (
             SELECT portal, state, count(*) AS requests FROM request
             WHERE state <> 'held' AND state <> 'released' GROUP BY portal, state
         )
         SELECT portal || ' ' || state FROM (
             SELECT * FROM counted EXCEPT SELECT * FROM request_count
             UNION ALL
             SELECT * FROM (SELECT * FROM request_count EXCEPT SELECT * FROM counted) AS missing
         ) AS wrong",
    ),
    (
        "the counts of messages that the access settings dropped, by domain, are correct",
        "WITH counted AS (
             SELECT received_at / 86400000 * 86400000 AS day, domain, count(*) AS messages
             FROM ledger WHERE rule IN ({refuses}) AND domain IS NOT NULL GROUP BY 1, 2
         )
         SELECT day || ' ' || domain FROM (
             SELECT * FROM counted EXCEPT SELECT * FROM shut_out
             UNION ALL
             SELECT * FROM (SELECT * FROM shut_out EXCEPT SELECT * FROM counted) AS missing
         ) AS wrong",
    ),
];

/// Invariant that a store violates which `transfer` moved to another location.
pub(crate) const NOT_MOVED: &str = "the store was not moved away";

/// Invariant that a damaged file violates.
pub(crate) const WHOLE: &str = "the database is intact";

/// Maximum number of reported violations of each invariant.
const MAX_VIOLATIONS: usize = 100;

impl Store {
    /// Checks all invariants and the file. Takes long on a large database, but blocks nothing else.
    pub async fn check_invariants(&self) -> Result<Vec<Violation>> {
        self.read_long(check).await
    }
}

pub(crate) fn check(tx: &Tx) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for &(invariant, sql) in INVARIANTS {
        let sql = format!("{} LIMIT {MAX_VIOLATIONS}", with_codes(sql));
        violations.extend(tx.all_with(&sql, &[], |row| {
            let place = place(row.value(0)?);
            Ok(Violation { invariant, place })
        })?);
    }
    violations.extend(check_rows(tx)?);
    violations.extend(tx.find_orphans()?.into_iter().map(|place| Violation {
        invariant: "every foreign key refers to an existing row",
        place,
    }));
    violations.extend(check_file(tx)?);
    Ok(violations)
}

/// Entries and accounts with a part that cannot be decoded.
fn check_rows(tx: &Tx) -> Result<Vec<Violation>> {
    fn damage<T: FromSql>(row: &Row, column: usize) -> Option<String> {
        row.get::<_, T>(column).err().map(|cause| cause.to_string())
    }
    let mut violations = Vec::new();
    let mut check = |sql: &str, damage: fn(&Row) -> Option<String>| {
        tx.query(sql, &[], &mut |row| {
            if let Some(cause) = damage(row) {
                let id = row.value(0).map(place).unwrap_or_default();
                violations.push(Violation {
                    invariant: "every row can be read",
                    place: format!("{id}: {cause}"),
                });
            }
            Ok(if violations.len() < MAX_VIOLATIONS {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })
    };
    check(
        "SELECT id, facts, envelope, standing, circumstances, recipient FROM ledger",
        |row| {
            damage::<Facts>(row, 1)
                .or_else(|| damage::<Envelope>(row, 2))
                .or_else(|| damage::<Standing>(row, 3))
                .or_else(|| damage::<Option<Circumstances>>(row, 4))
                .or_else(|| damage::<String>(row, 5))
        },
    )?;
    check("SELECT id, groups, address FROM account", |row| {
        damage::<Vec<String>>(row, 1).or_else(|| damage::<EmailAddress>(row, 2))
    })?;
    Ok(violations)
}

/// The id of a row in the form that commands take, or any other value of the query.
fn place(value: SqlValue) -> String {
    match value {
        SqlValue::Blob(octets) => match octets.try_into() {
            Ok(id) => LedgerId::from_bytes(id).to_string(),
            Err(_) => "damaged id".to_owned(),
        },
        SqlValue::Text(text) => text.to_owned(),
        SqlValue::Integer(number) => number.to_string(),
        SqlValue::Null => String::new(),
    }
}

/// Checks the integrity of the file, with any schema.
pub(crate) fn check_file(tx: &Tx) -> Result<Vec<Violation>> {
    let places = tx.find_damage(MAX_VIOLATIONS)?.into_iter();
    let violation = |place| Violation {
        invariant: WHOLE,
        place,
    };
    Ok(places.map(violation).collect())
}
