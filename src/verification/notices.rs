//! The worker that sends notices to senders whose mail is not accepted: claims what is due, composes and
//! sends it, one after the other. A notice is a courtesy: it is tried a few times within a day, under the same
//! Message-ID, and one that may have been sent before a crash is not sent again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::MailTransport;
use super::compose::compose_notice;
use super::mail_queue::judge_compose_error;
use crate::config::{Config, Retry};
use crate::domain::{LanguagePriority, Timestamp};
use crate::observe::events;
use crate::outbound::Attempt;
use crate::outbound::retry::{self, settlement};
use crate::store::{Notice, Settlement, Store, Topic};
use crate::templates::{Language, Templates};

/// Notices that are claimed at a time.
const CLAIMED: usize = 16;

/// Pause after an error of our own, such as a full disk.
const PAUSE: Duration = Duration::from_secs(5);

/// Longest sleep without a look at the database.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// Runs until `shutdown`, and finishes the notice in progress.
pub async fn run(
    mut config: watch::Receiver<Arc<Config>>,
    store: Store,
    templates: Arc<Templates>,
    shutdown: CancellationToken,
) {
    let mut changes = store.subscribe(Topic::Notices);
    loop {
        let current = config.borrow_and_update().clone();
        let wait = match work(&current, &store, &templates, &shutdown).await {
            Ok(wait) => wait,
            Err(error) => {
                events::fault("verification.notices", &error);
                PAUSE
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            Ok(()) = config.changed() => {}
            () = changes.wait() => {}
            () = sleep(wait) => {}
        }
    }
}

/// Sends what is due. Returns the time until the next look.
async fn work(
    config: &Config,
    store: &Store,
    templates: &Templates,
    shutdown: &CancellationToken,
) -> anyhow::Result<Duration> {
    let mut post = None;
    loop {
        let now = Timestamp::now();
        if !store.is_clock_right() {
            return Ok(PAUSE);
        }
        let wait = match store.next_notice().await? {
            None => return Ok(LONGEST_WAIT),
            Some(due) => Duration::try_from(due.duration_since(now)).unwrap_or_default(),
        };
        if !wait.is_zero() || shutdown.is_cancelled() {
            return Ok(wait.clamp(Duration::from_millis(10), LONGEST_WAIT));
        }
        let post = match &post {
            Some(post) => post,
            None => post.insert(MailTransport::new(&config.outgoing, &config.hostname)?),
        };
        let limits = config.verification.limits;
        let claimed = store.claim_notices(CLAIMED, limits, now).await?;
        for notice in claimed.notices {
            if shutdown.is_cancelled() {
                store.retry_notice(notice.id, now).await?;
                continue;
            }
            // Those after it are claimed already.
            if let Err(error) = send(config, store, templates, post, &notice).await {
                events::fault("verification.notices", &error);
            }
        }
        post.close_idle().await;
    }
}

async fn send(
    config: &Config,
    store: &Store,
    templates: &Templates,
    post: &MailTransport,
    notice: &Notice,
) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let language = language(config, templates, notice);
    let mail = compose_notice(notice, config, templates, &language, now);
    let attempt = match mail {
        // Our own addresses get no notices.
        _ if config.is_ours(&notice.address) => return Ok(()),
        Ok(mail) => post.send(&mail).await,
        Err(error) => judge_compose_error(&error),
    };
    if let Attempt::Unknown(cause) = &attempt {
        // It may have arrived, and none is sent twice.
        events::fault("verification.notices", &cause.text);
        return Ok(());
    }
    let retry = Retry::default();
    let begun = retry::first_attempt(&retry, notice.attempt, now);
    match settlement(&attempt, notice.attempt, begun, &retry, now) {
        Settlement::Delivered => {
            events::sender_told(notice.ledger, &notice.address, &notice.portal);
            store.notice_sent(notice.id, now).await?;
        }
        Settlement::Retry { at, cause } => {
            events::fault("verification.notices", &cause);
            store.retry_notice(notice.id, at).await?;
        }
        Settlement::Failed { cause } => events::fault("verification.notices", &cause),
        Settlement::Unattempted => {}
    }
    Ok(())
}

/// The language of the message, else the portal's, else the site's.
fn language(config: &Config, templates: &Templates, notice: &Notice) -> Language {
    let portal = config.portal(&notice.portal);
    let wanted = [
        Some(notice.languages.clone()),
        portal
            .and_then(|portal| portal.language.clone())
            .map(LanguagePriority::from),
        Some(config.site.language.clone().into()),
    ];
    let found = wanted
        .iter()
        .flatten()
        .find_map(|list| templates.choose(list));
    found.unwrap_or_default()
}
