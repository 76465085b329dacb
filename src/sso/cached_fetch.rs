//! Something of the provider that is fetched when it is needed, and kept for an hour.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::SsoError;

/// Time for which a value is used.
const FRESH: Duration = Duration::from_hours(1);

/// Time for which a failure is remembered.
const FAILED_FOR: Duration = Duration::from_secs(3);

/// A value that was fetched, and the last failure to do so.
pub(super) struct CachedFetch<T> {
    value: Option<(Instant, Arc<T>)>,
    failure: Option<(Instant, SsoError)>,
}

impl<T> Default for CachedFetch<T> {
    fn default() -> Self {
        Self {
            value: None,
            failure: None,
        }
    }
}

impl<T> CachedFetch<T> {
    /// The value, unless it is older than an hour.
    pub(super) fn fresh(&self) -> Option<Arc<T>> {
        let (since, value) = self.value.as_ref()?;
        (since.elapsed() < FRESH).then(|| Arc::clone(value))
    }

    /// Fetches the value, unless that failed a moment ago.
    pub(super) async fn renew(
        &mut self,
        fetch: impl Future<Output = Result<T, SsoError>>,
    ) -> Result<Arc<T>, SsoError> {
        if let Some((since, error)) = &self.failure
            && since.elapsed() < FAILED_FOR
        {
            return Err(error.clone());
        }
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                self.value = Some((Instant::now(), Arc::clone(&value)));
                self.failure = None;
                Ok(value)
            }
            Err(error) => {
                self.failure = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}
