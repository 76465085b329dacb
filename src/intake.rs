//! The durability promise in one place: parse the facts, store them, and only then answer `250`.
//!
//! In: an envelope and a raw message from [`crate::smtp`]. Out: the ledger id under which the message is on
//! disk, or a reason for the MTA to keep it. There is no other state, so a crash at any point leaves either
//! the entry and the acknowledgement, or a message that the MTA still has.

mod recipients;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Semaphore, watch};

use crate::access::{Circumstances, Enforcement, sender_for};
use crate::config::Config;
use crate::domain::{
    AccountOrigin, EmailAddress, Envelope, PortalName, Recipient, RecipientRole, ReplyToken,
    Timestamp, Token, TokenHash,
};
use crate::failpoint;
use crate::mail::{self, AuthenticationResult, Facts};
use crate::observe::events;
use crate::observe::metrics::{self, ProcessingStep};
use crate::sender_auth::{Checker, VouchedAuthor, outside_client};
use crate::smtp::{DataOutcome, MessageHandler, TryLater, UnknownRecipient};
use crate::store::{Arrival, ArrivalOutcome, ArrivalPart, ReplyAnswer, Store, StoreError};
use crate::verification::{self, ConfirmingWords};

/// A message above this size in octets is parsed on a blocking thread, so that it does not delay the
/// connections that share this thread.
const READ_IN_PLACE: usize = 128 * 1024;

/// Permits to parse a message on a blocking thread. Masking takes up to seven times the size of a message, which
/// `smtp.memory_budget` does not count, so only four large ones are parsed at the same time, and fewer of very large
/// ones: together no more than 32 MiB, or a single larger one.
static LARGE_MESSAGES: Semaphore = Semaphore::const_new(PERMITS);
const PERMITS: usize = 4;

/// Number of octets of a message for each permit that it needs.
const OCTETS_OF_PERMIT: usize = 8 * 1024 * 1024;

/// Octets that parsing and authenticating a message take for each octet of its header, besides a constant.
/// `tests/memory.rs` checks both, whatever the header contains.
pub const TO_READ_AN_OCTET: usize = 8;
pub const TO_READ: usize = 256 * 1024;

/// Accepts messages.
#[derive(Debug, Clone)]
pub struct Intake {
    config: watch::Receiver<Arc<Config>>,
    /// `None` if nothing is to be checked, or if our MTA's results are trusted and there is no trusted ARC
    /// sealer.
    checker: watch::Receiver<Option<Checker>>,
    store: Store,
    /// The words by which a reply confirms.
    words: ConfirmingWords,
}

impl Intake {
    #[must_use]
    pub fn new(
        config: watch::Receiver<Arc<Config>>,
        checker: watch::Receiver<Option<Checker>>,
        store: Store,
        words: ConfirmingWords,
    ) -> Self {
        Self {
            config,
            checker,
            store,
            words,
        }
    }

    async fn take(
        &self,
        envelope: Envelope,
        raw: Vec<u8>,
    ) -> Result<Vec<ArrivalOutcome>, StoreError> {
        let config = self.config.borrow().clone();
        let checker = self.checker.borrow().clone();
        let envelope = recipients::resolve(&config, envelope)?;
        let (mut facts, envelope, raw, masked) = read(&config, envelope, raw).await?;
        if let Some(checker) = checker {
            authenticate(&config, &checker, &mut facts, &envelope, &raw).await;
        }
        let answer = self.answer(&config, &envelope, &facts, &raw);
        let parts = parts(&config, &envelope, &facts, &answer);
        let envelope = without_tokens(envelope);
        let client = outside_client(&envelope, &raw, &config.smtp.trusted_peers);
        let begin = Instant::now();
        let entries = self
            .store
            .accept(Arrival {
                envelope,
                facts,
                // The original message, with live links of ours masked.
                raw: masked.unwrap_or(raw),
                parts,
                client,
                received_at: Timestamp::now(),
                quota: config.quota,
                hold_for: config.verification.hold_for,
                keep_dropped: config.dropped.keep_content,
                max_dropped: config.dropped.max_content,
            })
            .await?;
        failpoint::pass("accepted");
        metrics::took(ProcessingStep::Commit, begin.elapsed());
        Ok(entries)
    }

    /// The answer in a reply to a verification mail; parsed only if the message is one.
    fn answer(
        &self,
        config: &Config,
        envelope: &Envelope,
        facts: &Facts,
        raw: &[u8],
    ) -> ReplyAnswer {
        let is_answer = envelope
            .recipients
            .iter()
            .any(|recipient| recipient.role == RecipientRole::Confirmation);
        let mode = config.authentication.mode;
        let is_disowned = (mode != Enforcement::Off
            && facts.authentication.dmarc == Some(AuthenticationResult::Fail))
            || (mode == Enforcement::Enforce && facts.authentication_failure(false).is_some());
        if !is_answer {
            ReplyAnswer::Other
        } else if is_disowned {
            ReplyAnswer::Unauthenticated
        } else {
            self.words.answer(raw)
        }
    }
}

impl MessageHandler for Intake {
    fn recipient(&self, address: &str) -> Result<RecipientRole, UnknownRecipient> {
        recipients::find_role(&self.config.borrow(), address)
    }

    fn may_be_elsewhere(&self) -> bool {
        self.store.others_may_have_mailbox()
    }

    fn memory(&self, header: usize) -> usize {
        header
            .saturating_mul(TO_READ_AN_OCTET)
            .saturating_add(TO_READ)
    }

    async fn receive(&self, envelope: Envelope, raw: Vec<u8>) -> DataOutcome {
        let peer = envelope.peer;
        let begin = Instant::now();
        match self.take(envelope, raw).await {
            Ok(entries) => {
                metrics::took(ProcessingStep::Accept, begin.elapsed());
                for entry in &entries {
                    emit_event(entry, peer);
                }
                entries.first().map_or_else(
                    || DataOutcome::TryLater(TryLater::Internal),
                    |first| DataOutcome::Stored(first.ledger),
                )
            }
            Err(error) => {
                events::fault("intake", &error);
                DataOutcome::TryLater(match error {
                    StoreError::Full(_) | StoreError::ServerFull(_) => TryLater::DiskFull,
                    StoreError::Closed => TryLater::ShuttingDown,
                    _ => TryLater::Internal,
                })
            }
        }
    }
}

/// Emits the events of a committed entry.
fn emit_event(entry: &ArrivalOutcome, peer: Option<IpAddr>) {
    if let (true, Some((account, kind)), Some(sender)) =
        (entry.account_created, entry.account, &entry.sender)
    {
        events::account_created(account, sender, kind, AccountOrigin::Mail);
    }
    events::message_decided(entry, peer);
    if let Some(account) = entry.undeliverable {
        events::verification_bounced(
            account,
            None,
            Some(entry.ledger),
            "a delivery report arrived",
        );
    }
    if let Some(verification) = &entry.verification {
        verification::confirm::emit_events(verification, "reply");
    }
}

/// Parses the message on a suitable thread.
async fn read(
    config: &Config,
    envelope: Envelope,
    raw: Vec<u8>,
) -> Result<(Facts, Envelope, Vec<u8>, Option<Vec<u8>>), StoreError> {
    let size = raw.len();
    let own = config.identity();
    let links = Arc::clone(&config.own_links);
    let read = move || {
        // The facts are stored, too, and must not hold a link either.
        let masked = mail::mask(&raw, &links);
        let stored = masked.as_ref().map_or(&raw, |masked| &masked.raw);
        let mut facts = mail::read(stored, &envelope, &own);
        facts.masked_links = masked.as_ref().map_or(0, |masked| masked.links);
        (facts, envelope, raw, masked.map(|masked| masked.raw))
    };
    if size <= READ_IN_PLACE {
        return Ok(read());
    }
    let permit = LARGE_MESSAGES.acquire_many(permits(size)).await;
    let read = move || {
        let _permit = permit;
        read()
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|cause| StoreError::Other(format!("reading a message failed: {cause}")))
}

/// Number of permits for a message of a size in octets.
fn permits(size: usize) -> u32 {
    let permits = size.div_ceil(OCTETS_OF_PERMIT).min(PERMITS);
    u32::try_from(permits).unwrap_or(1)
}

/// Authenticates the message, or verifies only its ARC chain if our MTA has authenticated it.
async fn authenticate(
    config: &Config,
    checker: &Checker,
    facts: &mut Facts,
    envelope: &Envelope,
    raw: &[u8],
) {
    let author = VouchedAuthor::of(facts);
    if config.authentication.authserv_id.is_none() {
        let from = facts.sender.domain();
        facts.authentication = checker
            .check(raw, envelope, from.as_ref(), author.as_ref())
            .await;
    } else if let Some(author) = author.filter(|_| !facts.authentication.passes_dmarc()) {
        facts.authentication.arc_sealer = checker.find_arc_sealer(raw, &author).await;
    }
}

/// One part for each mailbox, however many of its addresses the message came for.
fn parts(
    config: &Config,
    envelope: &Envelope,
    facts: &Facts,
    answer: &ReplyAnswer,
) -> Vec<ArrivalPart> {
    let mut parts = Vec::new();
    let mut seen: Vec<&RecipientRole> = Vec::new();
    for recipient in &envelope.recipients {
        if seen.contains(&&recipient.role) {
            continue;
        }
        seen.push(&recipient.role);
        parts.push(part(config, recipient, facts, answer));
    }
    parts
}

fn part(
    config: &Config,
    recipient: &Recipient,
    facts: &Facts,
    answer: &ReplyAnswer,
) -> ArrivalPart {
    let address = recipient.address.clone();
    match &recipient.role {
        RecipientRole::Portal(name) => ArrivalPart::Portal {
            recipient: address,
            circumstances: circumstances(config, name, facts),
        },
        RecipientRole::Bounces => ArrivalPart::Bounce { recipient: address },
        RecipientRole::Confirmation => ArrivalPart::Confirmation {
            token: token(&address),
            recipient: without_detail(&address),
            answer: answer.clone(),
        },
    }
}

/// Removes the token of a reply to a verification mail, which must not get into the database.
fn without_tokens(mut envelope: Envelope) -> Envelope {
    for recipient in &mut envelope.recipients {
        if recipient.role == RecipientRole::Confirmation {
            recipient.address = without_detail(&recipient.address);
        }
    }
    envelope
}

fn without_detail(address: &str) -> String {
    EmailAddress::parse(address).map_or_else(
        |_| address.to_owned(),
        |address| address.without_detail().to_string(),
    )
}

/// The token in the recipient address of a reply. Mail of version 0.1 carried the token of its link there.
fn token(recipient: &str) -> Option<TokenHash> {
    let recipient = EmailAddress::parse(recipient).ok()?;
    let detail = recipient.detail()?;
    ReplyToken::parse(detail)
        .map(|token| token.hash())
        .or_else(|_| Token::parse(detail).map(|token| token.hash()))
        .ok()
}

/// The context of a message for a portal, as far as the configuration determines it.
#[must_use]
pub fn circumstances(config: &Config, name: &PortalName, facts: &Facts) -> Circumstances {
    let portal = config.portal(name);
    // The list whose address is in From comes first: a message may pass through several.
    let vouching = facts.author_behind_list.iter().map(|behind| &behind.list);
    let own_list = portal.and_then(|portal| {
        vouching
            .chain(&facts.list_ids)
            .find(|list| portal.list_ids.contains(list))
            .cloned()
    });
    let sender_is_ours = sender_for(facts, own_list.as_deref())
        .address()
        .is_some_and(|address| config.is_ours(address));
    Circumstances {
        portal: name.clone(),
        takes_automatic: portal.is_some_and(|portal| portal.automatic_mail),
        own_list,
        sender_is_ours,
        enforcement: config.authentication.mode,
    }
}

#[cfg(test)]
mod tests;
