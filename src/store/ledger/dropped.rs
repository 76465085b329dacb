//! Dropped messages: counts by domain, and recovery of single messages.

use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

use crate::access::{
    Circumstances, Decision, DecisionInput, Standing, decide, nearest, sender_for,
};
use crate::config::Quota;
use crate::domain::{
    Actor, DomainPattern, EmailAddress, LedgerId, Reason, RequestId, RequestState, Timestamp,
    Verdict,
};
use crate::mail::{Evidence, Facts};
use crate::store::audit::events::{NewEvent, record_of_account};
use crate::store::engine::job::Work;
use crate::store::engine::settings_cache;
use crate::store::intake::decision_effects::standing;
use crate::store::requests::decided_message::DecidedMessage;
use crate::store::requests::hold_quota::withdraw;
use crate::store::rows::account_rows::find_sender_at;
use crate::store::rows::dropped_content::uncount;
use crate::store::rows::duplicates::{Likeness, find_original};
use crate::store::rows::entry_ids::n_of;
use crate::store::rows::reason_codes::with_codes;
use crate::store::sql::sql_types::{Millis, from_row, json};
use crate::store::sql::{Conditions, Tx};
use crate::store::{Listed, Page, Result, Store, StoreError, Topic};

/// A domain whose mail the access settings dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DroppedDomain {
    pub domain: String,
    pub messages: u64,
    /// Number of distinct senders; a lower bound if there are tens of thousands of messages.
    pub people: u64,
    /// The current pattern that is most similar to the domain: possibly a typo.
    pub nearest: Option<DomainPattern>,
}

/// Settings that apply to a message when it is recovered.
#[derive(Debug, Clone)]
pub struct Terms {
    pub quota: Quota,
    pub hold_for: Duration,
    /// None if the configuration is unchanged since the message was received.
    pub today: Option<Today>,
}

/// Values of the present configuration for a message received earlier.
#[derive(Debug, Clone)]
pub struct Today {
    pub circumstances: Circumstances,
    /// Header by which our own MTA marked it as spam.
    pub spam: Option<Evidence>,
}

/// Outcome of deciding again.
#[derive(Debug, Clone)]
pub enum Recovered {
    /// Now a request.
    Now {
        verdict: Verdict,
        reason: Reason,
        request: RequestId,
    },
    /// The current settings drop it, too; nothing changed.
    StillDropped(Decision),
    /// Dropped for this reason, but released by an operator anyway.
    Forced { reason: Reason, request: RequestId },
}

impl Store {
    /// Lists the domains whose mail the access settings dropped since the (UTC) day of `since`, by number of
    /// messages.
    pub async fn dropped_domains(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<DroppedDomain>> {
        self.read_long(move |tx| domains(tx, since.into(), limit))
            .await
    }

    /// Dropped entries that still have content, of all domains or of those that match a pattern; oldest
    /// first.
    pub async fn recoverable(
        &self,
        pattern: Option<DomainPattern>,
        page: Page,
    ) -> Result<Listed<LedgerId>> {
        self.read_long(move |tx| recoverable(tx, pattern.as_ref(), &page))
            .await
    }

    /// Decides a dropped message again under the present settings. It keeps its entry, which gets the new
    /// verdict; its events record the old one.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` for an entry that was not dropped, repeats another message, or is forgotten.
    pub async fn recover(
        &self,
        ledger: LedgerId,
        terms: Terms,
        by: Actor,
        now: Timestamp,
    ) -> Result<Recovered> {
        self.write(move |work| work.recover(ledger, &terms, &by, now.into()))
            .await
    }
}

/// Maximum messages of a domain that are read to count its senders.
const MAX_LOOKED_THROUGH: u32 = 20_000;

fn midnight_before(at: Millis) -> Millis {
    Millis(at.0.div_euclid(Millis::DAY) * Millis::DAY)
}

/// Domains with their numbers of messages in the daily counters since a midnight, largest first.
fn counted_domains(tx: &Tx, midnight: Millis, limit: usize) -> Result<Vec<(String, u64)>> {
    tx.all(
        "SELECT domain, CAST(sum(messages) AS bigint) AS total FROM shut_out WHERE day >= ?1
         GROUP BY domain ORDER BY total DESC, domain LIMIT ?2",
        &[&midnight, &limit],
    )
}

/// Lists domains. Messages are counted from the daily counters; different senders through an index, for the listed
/// domains only.
pub(crate) fn domains(tx: &Tx, since: Millis, limit: usize) -> Result<Vec<DroppedDomain>> {
    let settings = settings_cache::newest(tx)?.settings;
    let midnight = midnight_before(since);
    let domains = counted_domains(tx, midnight, limit)?;
    let people = with_codes(
        "SELECT count(DISTINCT sender) FROM (
             SELECT sender FROM ledger INDEXED BY ledger_dropped
             WHERE verdict = 'dropped' AND domain = ?1 AND received_at >= ?2
                 AND rule IN ({refuses})
             LIMIT ?3
         ) AS newest",
    );
    domains
        .into_iter()
        .map(|(domain, messages)| {
            Ok(DroppedDomain {
                messages,
                people: tx.one(&people, &[&domain, &midnight, &MAX_LOOKED_THROUGH])?,
                nearest: nearest(&domain, &settings).cloned(),
                domain,
            })
        })
        .collect()
}

/// Maximum candidate domains that are taken from the daily counters.
const MAX_CANDIDATES: usize = 200;

/// Lists the domains whose mail the access settings dropped in a period, those with the most messages first.
/// Messages and senders are counted through an index, up to a bound for each domain.
pub(crate) fn domains_between(
    tx: &Tx,
    since: Millis,
    until: Millis,
    limit: usize,
) -> Result<Vec<DroppedDomain>> {
    let settings = settings_cache::newest(tx)?.settings;
    let candidates = counted_domains(tx, midnight_before(since), MAX_CANDIDATES)?;
    let counted = with_codes(
        "SELECT count(*), count(DISTINCT sender) FROM (
             SELECT sender FROM ledger INDEXED BY ledger_dropped
             WHERE verdict = 'dropped' AND domain = ?1 AND received_at >= ?2 AND received_at < ?3
                 AND rule IN ({refuses})
             LIMIT ?4
         ) AS entries",
    );
    let mut domains = Vec::new();
    for (domain, _) in candidates {
        let (messages, people): (u64, u64) =
            tx.one(&counted, &[&domain, &since, &until, &MAX_LOOKED_THROUGH])?;
        if messages > 0 {
            domains.push(DroppedDomain {
                messages,
                people,
                nearest: nearest(&domain, &settings).cloned(),
                domain,
            });
        }
    }
    domains.sort_by(|a, b| {
        b.messages
            .cmp(&a.messages)
            .then_with(|| a.domain.cmp(&b.domain))
    });
    domains.truncate(limit);
    Ok(domains)
}

fn recoverable(tx: &Tx, pattern: Option<&DomainPattern>, page: &Page) -> Result<Listed<LedgerId>> {
    let after = match &page.after {
        Some(cursor) => n_of(tx, cursor)?,
        None => 0,
    };
    let (exactly, below, sender) = match pattern {
        None => (None, None, None),
        Some(DomainPattern::Exactly(domain)) => (Some(domain.to_string()), None, None),
        Some(DomainPattern::Below(domain)) => (None, Some(format!(".{domain}")), None),
        Some(DomainPattern::Address(address)) => (
            Some(address.domain().to_string()),
            None,
            Some(address.key()),
        ),
    };
    let mut wanted = Conditions::default();
    wanted.ask("l.n > ?", Some(&after));
    wanted.ask("l.domain = ?", exactly.as_ref());
    wanted.ask("l.sender = ?", sender.as_ref());
    wanted.ask(
        "substr(l.domain, length(l.domain) - length(?) + 1) = ?",
        below.as_ref(),
    );
    let sql = format!(
        "SELECT l.id FROM ledger AS l
         WHERE l.verdict = 'dropped' AND l.forget_at IS NOT NULL AND l.portal IS NOT NULL AND {}
         ORDER BY l.n",
        wanted.sql()
    );
    wanted.page(tx, &sql, page, |row| {
        let ledger: LedgerId = row.get(0)?;
        Ok((ledger, ledger.to_string()))
    })
}

/// A dropped entry with the inputs of its decision.
pub(crate) struct DroppedEntry {
    pub(crate) n: i64,
    pub(crate) received_at: Millis,
    pub(crate) reason: Reason,
    pub(crate) revision: i64,
    pub(crate) facts: Facts,
    circumstances: Option<Circumstances>,
    /// True while its content exists.
    kept: bool,
    dropped: bool,
    original: Option<LedgerId>,
    request: Option<RequestState>,
}
from_row!(
    DroppedEntry, row: n, received_at, reason, revision, facts, circumstances, kept, dropped, original,
    request,
);

impl DroppedEntry {
    /// Returns the circumstances of an entry that can become a request.
    ///
    /// # Errors
    /// `NotAllowed` with the reason why it cannot.
    pub(crate) fn recoverable(&self, ledger: LedgerId) -> Result<&Circumstances> {
        let refused = |why: String| Err(StoreError::NotAllowed(format!("{ledger} {why}")));
        match (self.dropped, self.request) {
            (true, Some(state)) => {
                return refused(format!(
                    "was already released by an operator; its request is {state}"
                ));
            }
            (false, Some(state)) => {
                return refused(format!(
                    "was not dropped, or was already recovered; its request is {state}"
                ));
            }
            (_, None) => {}
        }
        if !self.dropped {
            return refused("was not dropped".to_owned());
        }
        if let Some(original) = self.original {
            return refused(format!("is a copy of {original}; recover that entry"));
        }
        let Some(circumstances) = &self.circumstances else {
            return refused(
                "was sent to an address of our own, for bounces or answers, not to a portal"
                    .to_owned(),
            );
        };
        if !self.kept {
            return refused(
                "cannot be recovered: its content was erased, because it had expired or \
                 dropped.max_content was reached"
                    .to_owned(),
            );
        }
        Ok(circumstances)
    }
}

pub(crate) fn find(tx: &Tx, ledger: LedgerId) -> Result<DroppedEntry> {
    tx.maybe(
        "SELECT l.n, l.received_at, l.rule AS reason, l.revision, l.facts, l.circumstances,
                 EXISTS (
                     SELECT 1 FROM content AS c WHERE c.ledger = coalesce(l.message, l.n)
                 ) AS kept,
                 l.verdict = 'dropped' AS dropped,
                 (SELECT id FROM ledger WHERE n = l.original) AS original,
                 (SELECT state FROM request WHERE ledger = l.n) AS request
             FROM ledger AS l WHERE l.id = ?",
        &[&ledger],
    )?
    .ok_or_else(|| StoreError::not_found("ledger entry", ledger))
}

impl Work<'_> {
    fn recover(
        &mut self,
        ledger: LedgerId,
        terms: &Terms,
        by: &Actor,
        now: Millis,
    ) -> Result<Recovered> {
        let tx = self.tx;
        let found = find(tx, ledger)?;
        let of_then = found.recoverable(ledger)?;
        let circumstances = match &terms.today {
            Some(today) => &today.circumstances,
            None => of_then,
        };
        let of_today = terms.today.as_ref().map(|today| Facts {
            spam: today.spam.clone(),
            ..found.facts.clone()
        });
        let facts = of_today.as_ref().unwrap_or(&found.facts);
        let sender = sender_for(facts, circumstances.own_list.as_deref()).address();
        let portal = &circumstances.portal;
        let sender_key = sender.map(EmailAddress::key);
        let account = match &sender_key {
            Some(key) => find_sender_at(tx, key, Some(portal))?,
            None => None,
        };
        let like = Likeness::of(facts, portal, sender_key.as_deref(), found.received_at);
        let original = find_original(tx, &like, Some(found.n))?;
        let standing = Standing {
            account: match &account {
                Some(account) => Some(standing(tx, account, facts.size, terms.quota)?),
                None => None,
            },
            original: original.map(|earlier| earlier.original),
        };
        let (revision, settings) = self.settings.effective(tx, Some(portal))?;
        let decision = decide(&DecisionInput {
            facts,
            circumstances,
            standing: &standing,
            settings: &settings,
        });
        let case = DecidedMessage {
            n: found.n,
            ledger,
            sender,
            portal,
            message_id: facts.message_id.as_deref(),
            languages: &facts.languages,
            size: facts.size,
            received_at: found.received_at,
            now,
            hold_for: terms.hold_for,
            authenticated: facts.authentication.passes(),
            client: None,
            quota: terms.quota,
            full: standing.account.filter(|account| account.quota_reached),
        };
        let Some(followed) = self.apply(&case, &decision, &settings, account)? else {
            return Ok(Recovered::StillDropped(decision));
        };
        tx.run(
            "UPDATE ledger SET verdict = ?2, rule = ?3, revision = ?4, standing = ?5,
                     forget_at = NULL, copy_key = ?6, circumstances = ?7, facts = ?8, sender = ?9,
                     domain = ?10
                 WHERE n = ?1",
            &[
                &found.n,
                &decision.verdict,
                &decision.reason,
                &revision,
                &json(&standing)?,
                &like.copy_key,
                &json(circumstances)?,
                &json(facts)?,
                &sender_key,
                &sender.map(|sender| sender.domain().as_str()),
            ],
        )?;
        withdraw(tx, found.n)?;
        uncount(tx, found.n)?;
        if followed.created {
            record_of_account(tx, "account.added", followed.account.n, by, now)?;
        }
        NewEvent::new("request.recovered")
            .entry(found.n)
            .detail(format!(
                "dropped earlier as {} by revision {}",
                found.reason, found.revision
            ))
            .record(tx, by, now)?;
        self.wakeups.add(Topic::OperatorActions);
        Ok(Recovered::Now {
            verdict: decision.verdict,
            reason: decision.reason,
            request: followed.request,
        })
    }
}
