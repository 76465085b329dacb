//! Simulation over the ledger: verdicts that the messages of the last days would have got under a draft of the
//! access settings. Reads one range of the ledger once, in index order, and no message content;
//! [`crate::access::Comparison`] explains the rule.

use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use utoipa::ToSchema;

use crate::access::{
    AccessSettings, Circumstances, Compared, Comparison, Key, Outcome, Recorded, Shift, Standing,
};
use crate::domain::{LedgerId, PortalName, Timestamp, Verdict};
use crate::mail::Facts;
use crate::store::engine::settings_cache;
use crate::store::error::readable;
use crate::store::rows::reason_codes::with_codes;
use crate::store::rows::shown_facts::ShownFacts;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{ToSql, Tx};
use crate::store::{Result, Store, StoreError};

/// Rows between two progress reports.
const STRIDE: u64 = 4096;

/// Draft to be compared with the settings in force, and its filters.
#[derive(Debug, Clone)]
pub struct WhatIf {
    pub draft: AccessSettings,
    pub since: Timestamp,
    /// Only messages for this portal.
    pub portal: Option<PortalName>,
    /// Only messages of this domain, in ASCII.
    pub domain: Option<String>,
    /// Maximum number of domains, and of messages, listed one by one.
    pub most: usize,
}

/// Effect of a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Simulated {
    /// Revision in force that the draft was compared with.
    pub revision: u64,
    pub since: Timestamp,
    /// Number of messages since then, without duplicates.
    pub messages: u64,
    /// Number of these messages that would change.
    pub changed: u64,
    pub shifts: Vec<ShiftCount>,
    /// The domains with the most changes.
    pub domains: Vec<DomainShift>,
    /// Number of domains with changes, including those not listed.
    pub domains_changed: u64,
    /// The newest messages that would change.
    pub examples: Vec<Example>,
}

/// Messages that would change from one verdict to another, or keep it with another kind of account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShiftCount {
    pub from: Verdict,
    pub to: Verdict,
    pub messages: u64,
    /// Number of distinct senders.
    pub people: u64,
}

/// Messages of one domain and portal that would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DomainShift {
    pub domain: String,
    pub portal: PortalName,
    pub before: Outcome,
    pub after: Outcome,
    pub messages: u64,
    pub people: u64,
}

/// One message that would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Shifted)]
pub struct Example {
    pub ledger: LedgerId,
    pub received_at: Timestamp,
    pub portal: PortalName,
    pub sender: Option<String>,
    pub subject: Option<String>,
    pub before: Outcome,
    pub after: Outcome,
}

impl DomainShift {
    #[must_use]
    pub fn shift(&self) -> Shift {
        Shift {
            before: self.before,
            after: self.after,
        }
    }
}

impl Example {
    #[must_use]
    pub fn shift(&self) -> Shift {
        Shift {
            before: self.before,
            after: self.after,
        }
    }
}

impl Store {
    /// Compares a draft with the settings in force over the messages received since `what.since`. `progress`
    /// receives the number of entries examined and the total.
    pub async fn simulate(
        &self,
        what: WhatIf,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Simulated> {
        self.read_long(move |tx| simulate(tx, &what, progress))
            .await
    }
}

/// Number of messages, and their senders by a hash of the address.
#[derive(Default)]
struct Tally {
    messages: u64,
    people: HashSet<u64>,
}

impl Tally {
    fn add(&mut self, person: u64) {
        self.messages += 1;
        self.people.insert(person);
    }

    fn people(&self) -> u64 {
        self.people.len() as u64
    }
}

pub(crate) fn simulate(
    tx: &Tx,
    what: &WhatIf,
    mut progress: impl FnMut(u64, u64),
) -> Result<Simulated> {
    let revision = settings_cache::newest(tx)?;
    let (messages, newcomers) = count(tx, what)?;
    let mut comparison = Comparison::new(&revision.settings, &what.draft);
    let hasher = RandomState::new();
    let mut shifts: BTreeMap<(&str, &str), (Verdict, Verdict, Tally)> = BTreeMap::new();
    let mut domains: HashMap<(String, String, Shift), Tally> = HashMap::new();
    let mut newest: Vec<(i64, Shift)> = Vec::new();
    let (mut done, mut changed) = (0, 0);
    // Messages whose decision read the settings. Others only if they can differ: where the deny lists differ,
    // and where the account was not verified.
    let since = Millis::from(what.since);
    let denial_differs = revision.settings.changes_to(&what.draft);
    let denial_differs = denial_differs
        .iter()
        .any(|change| change.key == Key::Denied);
    let sql = with_codes(
        "SELECT n, portal, domain, sender, rule,
             CASE WHEN rule IN ({reads_settings}) THEN false
                 ELSE standing LIKE '%\"unverified\":true%' END
         FROM ledger INDEXED BY ledger_time
         WHERE received_at >= ?1
             AND (rule IN ({reads_settings}, {sender_denied}) OR (
                 rule IN ({after_denial})
                 AND (?4 = 1 OR standing LIKE '%\"unverified\":true%')
             ))
             AND (CAST(?2 AS text) IS NULL OR portal = ?2) AND (CAST(?3 AS text) IS NULL OR domain = ?3)
         ORDER BY received_at DESC, n DESC",
    );
    let parameters: [&dyn ToSql; 4] = [&since, &what.portal, &what.domain, &denial_differs];
    tx.each(&sql, &parameters, |row| {
        done += 1;
        if done % STRIDE == 0 {
            progress(done.min(newcomers), newcomers);
        }
        let (portal, domain) = (row.value(1)?.text_or_empty(), row.value(2)?.text_or_empty());
        let sender = row.value(3)?.text_or_empty();
        let recorded = Recorded {
            reason: row.get(4)?,
            portal,
            domain,
            sender,
            unverified: row.get(5)?,
        };
        let shift = match comparison.compare(&recorded) {
            Compared::Same => None,
            Compared::Differs(shift) => Some(shift),
            Compared::Open => decide_again(tx, &comparison, row.get(0)?)?,
        };
        let Some(shift) = shift else {
            return Ok(());
        };
        changed += 1;
        let person = hasher.hash_one(sender);
        let (from, to) = (shift.before.verdict, shift.after.verdict);
        let (.., tally) = shifts
            .entry((from.as_str(), to.as_str()))
            .or_insert_with(|| (from, to, Tally::default()));
        tally.add(person);
        domains
            .entry((domain.to_owned(), portal.to_owned(), shift))
            .or_default()
            .add(person);
        if newest.len() < what.most {
            newest.push((row.get(0)?, shift));
        }
        Ok(())
    })?;
    progress(newcomers, newcomers);
    let different: HashSet<_> = domains.keys().map(|(domain, ..)| domain.as_str()).collect();
    Ok(Simulated {
        revision: revision.number,
        since: since.timestamp(),
        messages,
        changed,
        domains_changed: different.len() as u64,
        shifts: ranked_shifts(shifts.into_values()),
        domains: rank(domains, what.most)?,
        examples: examples(tx, &newest)?,
    })
}

/// Decides one entry again from its recorded inputs.
fn decide_again(tx: &Tx, comparison: &Comparison, n: i64) -> Result<Option<Shift>> {
    let sql = "SELECT facts, circumstances, standing FROM ledger WHERE n = ?";
    let found = tx.one::<(Facts, Option<Circumstances>, Standing)>(sql, &[&n]);
    let Some((facts, Some(circumstances), standing)) = readable(found)? else {
        return Ok(None);
    };
    Ok(comparison.decide_again(&facts, &circumstances, &standing))
}

/// Number of messages in that time, and of those whose decision read the settings.
fn count(tx: &Tx, what: &WhatIf) -> Result<(u64, u64)> {
    let sql = if what.domain.is_none() {
        // Reads the index only.
        "SELECT count(*), count(*) FILTER (WHERE rule IN ({reads_settings}))
         FROM ledger INDEXED BY ledger_time
         WHERE received_at >= ?1 AND rule <> {duplicate} AND portal IS NOT NULL
             AND (CAST(?2 AS text) IS NULL OR portal = ?2) AND CAST(?3 AS text) IS NULL"
    } else {
        "SELECT count(*), count(*) FILTER (WHERE rule IN ({reads_settings}))
         FROM ledger INDEXED BY ledger_time
         WHERE received_at >= ?1 AND rule <> {duplicate} AND portal IS NOT NULL
             AND (CAST(?2 AS text) IS NULL OR portal = ?2) AND domain = ?3"
    };
    let since = Millis::from(what.since);
    tx.one(&with_codes(sql), &[&since, &what.portal, &what.domain])
}

fn ranked_shifts(shifts: impl Iterator<Item = (Verdict, Verdict, Tally)>) -> Vec<ShiftCount> {
    let mut counts: Vec<_> = shifts
        .map(|(from, to, tally)| ShiftCount {
            from,
            to,
            messages: tally.messages,
            people: tally.people(),
        })
        .collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.messages));
    counts
}

fn rank(domains: HashMap<(String, String, Shift), Tally>, most: usize) -> Result<Vec<DomainShift>> {
    let mut ranking: Vec<_> = domains.into_iter().collect();
    ranking.sort_by(|((one, portal, _), few), ((other, beside, _), many)| {
        (many.messages.cmp(&few.messages))
            .then_with(|| one.cmp(other))
            .then_with(|| portal.cmp(beside))
    });
    ranking.truncate(most);
    ranking
        .into_iter()
        .map(|((domain, portal, shift), tally)| {
            Ok(DomainShift {
                domain,
                portal: PortalName::parse(&portal).map_err(StoreError::other)?,
                before: shift.before,
                after: shift.after,
                messages: tally.messages,
                people: tally.people(),
            })
        })
        .collect()
}

fn examples(tx: &Tx, newest: &[(i64, Shift)]) -> Result<Vec<Example>> {
    let example = |(n, shift): &(i64, Shift)| {
        tx.one_with(
            "SELECT id, received_at, portal, sender, facts FROM ledger WHERE n = ?",
            &[n],
            |row| {
                Ok(Example {
                    ledger: row.get(0)?,
                    received_at: row.get(1)?,
                    portal: row.get(2)?,
                    sender: row.get(3)?,
                    subject: row.get::<_, ShownFacts>(4)?.subject,
                    before: shift.before,
                    after: shift.after,
                })
            },
        )
    };
    newest.iter().map(example).collect()
}
