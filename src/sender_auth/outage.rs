//! Domains whose DNS did not answer a moment ago (RFC 9520: failures are to be remembered, too).
//!
//! Without this, every message of such a domain would wait for the same silence. Only what DMARC says
//! of the From domain counts: if the failure of any other name did, a forger could choose one of his
//! own that fails, and nothing would be asked about his victim for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a failure is remembered (RFC 9520 3.2: up to 5 minutes).
const REMEMBERED: Duration = Duration::from_secs(30);

/// Domains at a time; beyond it all are forgotten, which costs some waiting and nothing else.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Outages {
    since: Mutex<HashMap<String, Instant>>,
}

impl Outages {
    /// Whether asking about this domain is known to be in vain.
    pub fn has(&self, domain: &str, now: Instant) -> bool {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since
            .get(domain)
            .is_some_and(|since| now.duration_since(*since) < REMEMBERED)
    }

    /// Notes what came of asking; asking in vain on purpose is not to be noted.
    pub fn note(&self, domain: &str, failed: bool, now: Instant) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if !failed {
            since.remove(domain);
            return;
        }
        if since.len() >= MOST {
            since.clear();
        }
        since.insert(domain.to_owned(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_remembered_for_a_while_and_a_success_ends_it() {
        let outages = Outages::default();
        outages.note("silent.example", true, Instant::now());
        assert!(outages.has("silent.example", Instant::now()));
        assert!(!outages.has("other.example", Instant::now()));
        tokio::time::advance(REMEMBERED).await;
        assert!(!outages.has("silent.example", Instant::now()));

        outages.note("silent.example", true, Instant::now());
        outages.note("silent.example", false, Instant::now());
        assert!(!outages.has("silent.example", Instant::now()));
    }
}
