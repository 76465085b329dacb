//! Domains whose DNS recently failed to answer (RFC 9520: failures must be cached, too).
//!
//! Without this cache, every message of such a domain would wait for the same timeout. Only failures of
//! the queries about the policy of the From domain are recorded: if other names counted, a forger could use one
//! that fails, of their own or in a signature of the forged domain, and queries about that domain would stop for
//! a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Time for which a failure is cached (RFC 9520 3.2: up to 5 minutes).
const CACHE_TIME: Duration = Duration::from_secs(30);

/// Maximum number of domains. Beyond it the cache is cleared, which only costs some waiting.
const MAX_DOMAINS: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Outages {
    since: Mutex<HashMap<String, Instant>>,
}

impl Outages {
    /// True if queries about this domain recently failed.
    pub fn has(&self, domain: &str, now: Instant) -> bool {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since
            .get(domain)
            .is_some_and(|since| now.duration_since(*since) < CACHE_TIME)
    }

    /// Records the outcome of a query. Do not record queries that were skipped or had no time.
    pub fn note(&self, domain: &str, failed: bool, now: Instant) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if !failed {
            since.remove(domain);
            return;
        }
        if since.len() >= MAX_DOMAINS {
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
        tokio::time::advance(CACHE_TIME).await;
        assert!(!outages.has("silent.example", Instant::now()));

        outages.note("silent.example", true, Instant::now());
        outages.note("silent.example", false, Instant::now());
        assert!(!outages.has("silent.example", Instant::now()));
    }
}
