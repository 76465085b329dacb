//! Dropped messages and their recovery.

use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::bulk_actions::{MAX_BULK_ITEMS, Outcomes, Tally, bulk};
use super::lists::read_all;
use crate::config::Config;
use crate::domain::{
    Actor, Domain, DomainPattern, EmailAddress, LedgerId, PortalName, Reason, RequestId, Timestamp,
    Verdict, Vocabulary,
};
use crate::intake::circumstances;
use crate::mail::{self, Evidence, Identity};
use crate::store::{LedgerEntry, NamedPortal, Recovered, Result, Store, StoreError, Terms, Today};

/// One dropped message.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Dropped)]
pub struct DroppedMessage {
    pub ledger: LedgerId,
    pub sender: Option<EmailAddress>,
    pub domain: Option<Domain>,
    pub portal: Option<PortalName>,
    pub reason: Reason,
    pub subject: Option<String>,
    pub received_at: Timestamp,
    /// True if an operator can release it: its content is kept, its portal exists, it is not a request yet, and
    /// the person did not refuse it. If it came for no portal, the operator names one.
    pub recoverable: bool,
    /// The request that was created when an operator released it.
    pub request: Option<RequestId>,
}

/// True for a dropped entry of a portal that [`release_dropped`] can release.
#[must_use]
pub fn is_recoverable(entry: &LedgerEntry, config: &Config) -> bool {
    let portal = entry.portal.as_ref();
    is_kept(entry)
        && entry.circumstances.is_some()
        && portal.is_some_and(|portal| config.portal(portal).is_some())
}

/// True for a dropped entry of an address of our own, which [`release_dropped`] can release for a portal that the
/// operator names.
#[must_use]
pub fn needs_portal(entry: &LedgerEntry) -> bool {
    is_kept(entry) && entry.portal.is_none()
}

/// An operator's choice of the sender in a forced release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderChoice {
    /// The message has a usable sender, and no other can be named.
    None,
    /// It has none, or one of our own addresses.
    Required,
    /// The named portal decides: the message came through a list, which may be the portal's own.
    ByPortal,
}

impl SenderChoice {
    /// The choice for a recoverable entry.
    #[must_use]
    pub fn of(entry: &LedgerEntry, config: &Config) -> Self {
        let facts = &entry.facts;
        let is_ours = |sender: &EmailAddress| match &entry.circumstances {
            Some(known) => known.sender_is_ours,
            None => config.is_ours(sender),
        };
        if needs_portal(entry) && (facts.from_is_list || facts.author_behind_list.is_some()) {
            Self::ByPortal
        } else if entry.sender.as_ref().is_none_or(is_ours) {
            Self::Required
        } else {
            Self::None
        }
    }
}

fn is_kept(entry: &LedgerEntry) -> bool {
    entry.verdict == Verdict::Dropped
        && entry.reason != Reason::Duplicate
        && entry.content_kept
        && entry.request.is_none()
        && !entry.facts.is_forgotten()
        && entry.protected_until(Timestamp::now()).is_none()
}

impl DroppedMessage {
    /// One entry under the current configuration.
    #[must_use]
    pub fn of(entry: LedgerEntry, config: &Config) -> Self {
        Self {
            recoverable: is_recoverable(&entry, config) || needs_portal(&entry),
            request: entry.request,
            ledger: entry.ledger,
            domain: entry.sender.as_ref().map(|sender| sender.domain().clone()),
            sender: entry.sender,
            portal: entry.portal,
            reason: entry.reason,
            subject: entry.facts.subject,
            received_at: entry.received_at,
        }
    }
}

/// Outcome of recovering an entry.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Recovered)]
pub struct RecoveryOutcome {
    pub ledger: LedgerId,
    /// The verdict under the current settings.
    pub verdict: Verdict,
    pub reason: Reason,
    /// `None` if it is still dropped.
    pub request: Option<RequestId>,
    /// Evidence of the rule that still drops it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// True if an operator released the message although its verdict is unchanged.
    pub forced: bool,
}

impl RecoveryOutcome {
    /// True if the message is a request now.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.request.is_some()
    }

    /// The outcome in words.
    #[must_use]
    pub fn outcome(&self) -> String {
        let reason = Vocabulary::Reason.words(self.reason.as_str());
        match (&self.request, self.forced) {
            (Some(_), true) => format!("released, although dropped: {reason}"),
            (Some(_), false) => {
                let verdict = Vocabulary::Verdict.words(self.verdict.as_str());
                format!("{verdict}: {reason}")
            }
            (None, _) => {
                let evidence = self.evidence.as_ref();
                let evidence = evidence.map_or_else(String::new, |text| format!(" ({text})"));
                let stays = match self.reason {
                    Reason::Duplicate => "is a copy",
                    _ => "stays dropped",
                };
                format!("{stays}: {reason}{evidence}")
            }
        }
    }
}

/// Finds the entry, if its portal exists: otherwise there would be no destination for the message. An operator
/// names the portal of a message that came for none.
async fn find_with_portal(
    store: &Store,
    config: &Config,
    ledger: LedgerId,
    named: Option<&PortalName>,
) -> Result<(LedgerEntry, Option<NamedPortal>)> {
    let entry = store.ledger_entry(ledger).await?;
    let entry = entry.ok_or_else(|| StoreError::not_found("ledger entry", ledger))?;
    let refused = |why: String| StoreError::NotAllowed(format!("{ledger} {why}"));
    if let Some(own) = &entry.portal {
        if named.is_some() {
            return Err(refused(format!(
                "came for the portal {own}; name a portal only for a message that came for none"
            )));
        }
        if config.portal(own).is_none() {
            return Err(refused(format!(
                "came for the portal {own}, which is no longer in the configuration"
            )));
        }
    }
    let Some(name) = named else {
        return Ok((entry, None));
    };
    let portal = config.public_portal(name);
    let address = portal.and_then(|portal| portal.addresses.first());
    let Some(address) = address else {
        return Err(refused(format!(
            "cannot go to the portal {name}, which is not in the configuration"
        )));
    };
    let named = NamedPortal {
        circumstances: circumstances(config, name, &entry.facts),
        recipient: address.to_string(),
    };
    Ok((entry, Some(named)))
}

/// The current configuration's view of an earlier message; `None` if it came for no portal and none is named.
async fn today(
    store: &Store,
    config: &Config,
    entry: LedgerEntry,
    named: Option<&NamedPortal>,
) -> Result<Option<Today>> {
    let circumstances = match (named, &entry.portal) {
        (Some(named), _) => named.circumstances.clone(),
        (None, Some(portal)) => circumstances(config, portal, &entry.facts),
        (None, None) => return Ok(None),
    };
    let own = config.identity();
    let spam = if own.spam.is_empty() {
        None
    } else {
        find_spam_mark(store, entry, own).await?
    };
    Ok(Some(Today {
        circumstances,
        spam,
    }))
}

/// Octets at the beginning of a message that are searched for a spam mark: our MTA puts it on top.
const SEARCHED_OCTETS: u64 = 256 * 1024;

/// Permits to search a message. A bulk action decides many at the same time, and only these are in memory.
static SEARCHES: Semaphore = Semaphore::const_new(4);

/// Field by which our own MTA marked an earlier message as spam, according to the current configuration.
async fn find_spam_mark(
    store: &Store,
    entry: LedgerEntry,
    own: Identity,
) -> Result<Option<Evidence>> {
    let _permit = SEARCHES.acquire().await;
    let Some((_, top)) = store.content(entry.ledger, SEARCHED_OCTETS).await? else {
        return Ok(None);
    };
    // Parsing takes time.
    let read = move || mail::read(&top, &entry.envelope, &own).spam;
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| StoreError::Other(error.to_string()))
}

/// Releases one dropped entry, whatever the reason of its verdict. `named` is its sender, if the message has no
/// usable one or one of our own addresses; `portal` is its portal, if it came for none.
///
/// # Errors
/// `NotFound`; `NotAllowed` for an entry that was not dropped, is already a request, is no longer kept,
/// came for a portal that no longer exists, or whose sender or portal is missing or cannot be named.
pub async fn release_dropped(
    store: &Store,
    config: &Config,
    ledger: LedgerId,
    named: Option<EmailAddress>,
    portal: Option<&PortalName>,
    by: Actor,
) -> Result<RecoveryOutcome> {
    let (entry, portal) = find_with_portal(store, config, ledger, portal).await?;
    if let Some(named) = named.as_ref().filter(|named| config.is_ours(named)) {
        return Err(StoreError::NotAllowed(format!(
            "{named} is an address of this installation and cannot be the sender"
        )));
    }
    let released = store.release_dropped(ledger, named, portal, by, Timestamp::now());
    Ok(outcome_of(ledger, entry.verdict, released.await?))
}

/// Decides one entry again by the current settings and configuration. `portal` is its portal, if it came for none.
///
/// # Errors
/// `NotFound`; `NotAllowed` for an entry that was not dropped, is no longer kept, came for a portal that no longer
/// exists, or whose portal is missing or cannot be named.
pub async fn recover(
    store: &Store,
    config: &Config,
    ledger: LedgerId,
    portal: Option<&PortalName>,
    by: Actor,
) -> Result<RecoveryOutcome> {
    let (entry, portal) = find_with_portal(store, config, ledger, portal).await?;
    let verdict = entry.verdict;
    let terms = Terms {
        quota: config.quota,
        hold_for: config.verification.hold_for,
        today: today(store, config, entry, portal.as_ref()).await?,
        portal,
    };
    let recovered = store.recover(ledger, terms, by, Timestamp::now());
    Ok(outcome_of(ledger, verdict, recovered.await?))
}

/// `before` is the previous verdict of the entry.
fn outcome_of(ledger: LedgerId, before: Verdict, recovered: Recovered) -> RecoveryOutcome {
    let forced = matches!(recovered, Recovered::Forced { .. });
    let (verdict, reason, request, evidence) = match recovered {
        Recovered::Request {
            verdict,
            reason,
            request,
        } => (verdict, reason, Some(request), None),
        Recovered::StillDropped(decision) => {
            (decision.verdict, decision.reason, None, decision.evidence)
        }
        Recovered::Forced { reason, request } => (before, reason, Some(request), None),
    };
    RecoveryOutcome {
        ledger,
        verdict,
        reason,
        request,
        evidence,
        forced,
    }
}

/// All recoverable entries, of all domains or of those that a pattern matches; oldest first, up to a limit.
pub async fn list_recoverable(
    store: &Store,
    pattern: Option<DomainPattern>,
    most: usize,
) -> Result<Vec<LedgerId>> {
    read_all(most, |page| store.list_recoverable(pattern.clone(), page)).await
}

/// Decides each entry again, in this order. `portal` is the portal of each that came for none.
///
/// # Errors
/// Those of [`bulk`].
pub async fn recover_many(
    store: &Store,
    config: &Config,
    ids: Vec<LedgerId>,
    portal: Option<&PortalName>,
    by: &Actor,
) -> Result<Outcomes<LedgerId, RecoveryOutcome>> {
    bulk(ids, |id| recover(store, config, id, portal, by.clone())).await
}

/// Releases each entry as it is, in this order. `named` is the sender of each that has no usable one, `portal` the
/// portal of each that came for none.
///
/// # Errors
/// Those of [`bulk`].
pub async fn release_many_dropped(
    store: &Store,
    config: &Config,
    ids: Vec<LedgerId>,
    named: Option<&EmailAddress>,
    portal: Option<&PortalName>,
    by: &Actor,
) -> Result<Outcomes<LedgerId, RecoveryOutcome>> {
    bulk(ids, |id| {
        release_dropped(store, config, id, named.cloned(), portal, by.clone())
    })
    .await
}

/// Maximum entries that [`recover_matching`] decides again.
const MAX_MATCHING: usize = 10 * MAX_BULK_ITEMS;

/// Decides again the oldest recoverable entries whose domain matches.
pub async fn recover_matching(
    store: &Store,
    config: &Config,
    pattern: DomainPattern,
    by: &Actor,
) -> Result<Tally> {
    let ids = list_recoverable(store, Some(pattern), MAX_MATCHING).await?;
    let outcomes = recover_many(store, config, ids, None, by).await?;
    Ok(Tally::of(&outcomes, RecoveryOutcome::is_request))
}
