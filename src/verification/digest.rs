//! The worker that sends the operators' digest once a day, at a time of day in the site's zone.
//!
//! The store leases each digest to one node, which retries it until a server accepts it or the next one is due;
//! that one then covers both. Every attempt has the same Message-ID, so that a copy sent before a crash is
//! recognized.

mod compose;

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan, Zoned};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::MailTransport;
use crate::config::{Config, Digest};
use crate::domain::Timestamp;
use crate::observe::events;
use crate::outbound::AttemptOutcome;
use crate::store::{DigestClaim, Store};
use crate::templates::Templates;
use compose::compose_digest;

/// Maximum sleep before looking again at the clock, which may have been set, and at the database.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// Lease of a node on a digest; longer than sending takes.
const LEASE: SignedDuration = SignedDuration::from_mins(5);

/// Pause between two attempts.
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// Requests that expire within this time are reported.
const SOON: SignedDuration = SignedDuration::from_hours(3 * 24);

/// Runs until `shutdown`, and finishes the digest in progress.
pub async fn run(
    mut config: watch::Receiver<Arc<Config>>,
    store: Store,
    templates: Arc<Templates>,
    shutdown: CancellationToken,
) {
    loop {
        let current = config.borrow_and_update().clone();
        if let Some(digest) = &current.digest
            && let Err(error) = work(&current, digest, &store, &templates, Timestamp::now()).await
        {
            events::fault("verification.digest", &error);
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            Ok(()) = config.changed() => {}
            () = sleep(MAX_WAIT) => {}
        }
    }
}

/// The last time at or before `now` at which a digest was due. A time of day that the change to summer time skips
/// is due later by the skipped hour, and one that comes twice is due at the first.
fn last_due(now: Timestamp, at: Time, zone: &TimeZone) -> Option<Timestamp> {
    let local: Zoned = now.to_zoned(zone.clone());
    // Includes tomorrow, so that a zone that skipped a day makes no difference.
    (-2..=1).rev().find_map(|days| {
        let day = local.date().checked_add(days.days()).ok()?;
        let due = zone
            .to_ambiguous_timestamp(day.to_datetime(at))
            .compatible();
        due.ok().filter(|due| *due <= now)
    })
}

/// Sends the digest that is due, if this node gets the lease.
async fn work(
    config: &Config,
    digest: &Digest,
    store: &Store,
    templates: &Templates,
    now: Timestamp,
) -> anyhow::Result<()> {
    let Some(due) = last_due(now, digest.at, &config.site.time_zone) else {
        return Ok(());
    };
    let Some(claim) = store.claim_digest(due, now + LEASE, now).await? else {
        return Ok(());
    };
    match send(config, digest, store, templates, &claim, now).await {
        Ok(undeliverable) => store.settle_digest(due, undeliverable, now).await?,
        Err(error) => {
            events::fault("verification.digest", &error);
            store.put_off_digest(due, now + RETRY_AFTER).await?;
        }
    }
    Ok(())
}

/// Sends a digest, unless there is nothing to say. Returns the number of people whom our mail cannot reach.
async fn send(
    config: &Config,
    digest: &Digest,
    store: &Store,
    templates: &Templates,
    claim: &DigestClaim,
    now: Timestamp,
) -> anyhow::Result<u64> {
    let content = store
        .digest_content(claim.since, claim.due, now + SOON)
        .await?;
    let undeliverable = content.undeliverable.number;
    if content.is_empty(claim) {
        return Ok(undeliverable);
    }
    let mail = compose_digest(claim, &content, config, digest, templates, now)?;
    let transport = MailTransport::new(&config.outgoing, &config.hostname, 1)?;
    let attempt = transport.send(&mail).await;
    transport.close_idle().await;
    match attempt {
        AttemptOutcome::Delivered => Ok(undeliverable),
        AttemptOutcome::Retry(cause)
        | AttemptOutcome::Refused(cause)
        | AttemptOutcome::Unknown(cause) => {
            anyhow::bail!("the digest was not sent: {}", cause.text)
        }
    }
}

#[cfg(test)]
mod tests;
