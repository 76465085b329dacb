//! Recovery of single dropped messages: the present settings decide them again.

use std::time::Duration;

use crate::access::{Circumstances, Decision, DecisionInput, Standing, decide, sender_for};
use crate::config::Quota;
use crate::domain::{
    Actor, DomainPattern, EmailAddress, LedgerId, Reason, RequestId, Timestamp, Verdict,
};
use crate::mail::Evidence;
use crate::store::audit::events::{NewEvent, record_of_account};
use crate::store::engine::job::Work;
use crate::store::intake::decision_effects::standing;
use crate::store::ledger::dropped_entry::{NamedPortal, find};
use crate::store::requests::decided_message::DecidedMessage;
use crate::store::requests::hold_quota::withdraw;
use crate::store::requests::refused_messages::check_operator_may_release;
use crate::store::rows::account_rows::find_sender_at;
use crate::store::rows::dropped_content::uncount;
use crate::store::rows::duplicates::{Likeness, find_original};
use crate::store::rows::entry_ids::n_of;
use crate::store::sql::sql_types::{Millis, json};
use crate::store::sql::{Conditions, Tx};
use crate::store::{Listed, Page, Result, Store, Topic};

/// Settings that apply to a message when it is recovered.
#[derive(Debug, Clone)]
pub struct Terms {
    pub quota: Quota,
    pub hold_for: Duration,
    /// None: the circumstances and facts recorded at receipt decide.
    pub today: Option<Today>,
    /// None for a message to a portal.
    pub portal: Option<NamedPortal>,
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
    /// It is a request now.
    Request {
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
    /// Dropped entries of portals that still have content, of all domains or of those that match a pattern; oldest
    /// first.
    pub async fn list_recoverable(
        &self,
        pattern: Option<DomainPattern>,
        page: Page,
    ) -> Result<Listed<LedgerId>> {
        self.read_long(move |tx| list_recoverable(tx, pattern.as_ref(), &page))
            .await
    }

    /// Decides a dropped message again under the present settings. It keeps its entry, which gets the new
    /// verdict; its events record the old one.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` for an entry that was not dropped, repeats another message, is forgotten, or was
    /// refused by the person.
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

fn list_recoverable(
    tx: &Tx,
    pattern: Option<&DomainPattern>,
    page: &Page,
) -> Result<Listed<LedgerId>> {
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

impl Work<'_> {
    fn recover(
        &mut self,
        ledger: LedgerId,
        terms: &Terms,
        by: &Actor,
        now: Millis,
    ) -> Result<Recovered> {
        let tx = self.tx;
        let mut found = find(tx, ledger)?;
        let today = terms.today.as_ref();
        if let Some(today) = today {
            found.facts.spam.clone_from(&today.spam);
        }
        let recorded = found.require_recoverable(ledger, terms.portal.as_ref())?;
        check_operator_may_release(tx, found.n, &ledger.to_string(), now)?;
        let circumstances = today.map_or(recorded, |today| &today.circumstances);
        let facts = &found.facts;
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
        let Some(sender) = sender else {
            return Ok(Recovered::StillDropped(decision));
        };
        let decided = DecidedMessage {
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
        let Some(applied) = self.apply(&decided, &decision, &settings, account)? else {
            return Ok(Recovered::StillDropped(decision));
        };
        let named = terms.portal.as_ref();
        tx.run(
            "UPDATE ledger SET verdict = ?2, rule = ?3, revision = ?4, standing = ?5,
                     forget_at = NULL, copy_key = ?6, circumstances = ?7, facts = ?8, sender = ?9,
                     domain = ?10, portal = coalesce(?11, portal),
                     recipient = coalesce(?12, recipient)
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
                &sender.domain().as_str(),
                &named.map(|named| &named.circumstances.portal),
                &named.map(|named| &named.recipient),
            ],
        )?;
        withdraw(tx, found.n)?;
        uncount(tx, found.n)?;
        if applied.created {
            record_of_account(tx, "account.added", applied.account.n, by, now)?;
        }
        NewEvent::new("request.recovered")
            .entry(found.n)
            .detail(format!(
                "dropped earlier as {} by revision {}{}",
                found.reason,
                found.revision,
                found.describe_named(false, named)
            ))
            .record(tx, by, now)?;
        self.wakeups.add(Topic::OperatorActions);
        Ok(Recovered::Request {
            verdict: decision.verdict,
            reason: decision.reason,
            request: applied.request,
        })
    }
}
