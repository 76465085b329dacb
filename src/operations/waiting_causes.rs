//! Reasons outside a request for which it waits although it is released: its portal is not in the configuration, or
//! its destination is paused. Also portals that the configuration does not have any more.

use std::collections::BTreeMap;
use std::fmt;

use crate::config::Config;
use crate::domain::{DestinationName, PortalName, RequestState, canary};
use crate::store::{Listed, Request, Result, Store, StoreError};

/// Why a released request is not attempted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitingCause {
    MissingPortal(PortalName),
    PausedDestination(DestinationName),
}

impl fmt::Display for WaitingCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingPortal(portal) => {
                write!(f, "portal {portal} is not in the configuration")
            }
            Self::PausedDestination(name) => write!(f, "destination {name} is paused"),
        }
    }
}

impl WaitingCause {
    /// The refusal of a retry that changes nothing.
    pub(super) fn refuse_retry(&self, request: &Request) -> StoreError {
        let id = request.id;
        StoreError::NotAllowed(match self {
            Self::MissingPortal(_) => {
                format!("request {id} waits: {self}; restore the portal, or discard the request")
            }
            Self::PausedDestination(name) => format!(
                "request {id} waits: {self}; it is attempted once the destination is resumed \
                 (`vestibule deliveries resume {name}`)"
            ),
        })
    }
}

/// The configuration, and what operators paused.
#[derive(Debug)]
pub struct WaitingCauses<'a> {
    config: &'a Config,
    paused: Vec<DestinationName>,
}

impl<'a> WaitingCauses<'a> {
    pub async fn read(store: &Store, config: &'a Config) -> Result<Self> {
        let paused = store.paused_destinations().await?;
        Ok(Self { config, paused })
    }

    /// The cause for which a request waits. None for one that is not released, or that its blocked account stops.
    #[must_use]
    pub fn of(&self, request: &Request) -> Option<WaitingCause> {
        if request.state != RequestState::Released || request.stopped {
            return None;
        }
        let Some(portal) = self.config.portal(&request.portal) else {
            return Some(WaitingCause::MissingPortal(request.portal.clone()));
        };
        let is_paused = self.paused.contains(&portal.destination);
        is_paused.then(|| WaitingCause::PausedDestination(portal.destination.clone()))
    }

    /// Names the cause in `last_error`, as for a blocked account. A request that waits has no next attempt.
    #[must_use]
    pub fn explain(&self, mut request: Request) -> Request {
        if let Some(cause) = self.of(&request) {
            request.next_attempt_at = None;
            request.last_error = Some(match request.last_error {
                Some(error) => format!("waiting: {cause}; last error: {error}"),
                None => format!("waiting: {cause}"),
            });
        }
        request
    }

    #[must_use]
    pub fn explain_list(&self, listed: Listed<Request>) -> Listed<Request> {
        let explain = |request| self.explain(request);
        Listed {
            rows: listed.rows.into_iter().map(explain).collect(),
            next: listed.next,
        }
    }
}

/// True for a portal that the configuration does not have although the ledger has entries for it: it was removed or
/// renamed. Lists can still be filtered by it.
pub async fn is_former_portal(store: &Store, config: &Config, name: &PortalName) -> Result<bool> {
    let is_known = config.public_portal(name).is_some() || *name == canary::portal();
    Ok(!is_known && store.has_entries_for(name.clone()).await?)
}

/// Portals that the configuration does not have although held or released requests wait for them, with the numbers
/// of these requests.
pub async fn count_unreachable(
    store: &Store,
    config: &Config,
) -> Result<BTreeMap<PortalName, u64>> {
    let mut found = BTreeMap::new();
    for count in store.request_counts().await? {
        let waits = matches!(count.state, RequestState::Held | RequestState::Released);
        if waits && config.portal(&count.portal).is_none() && count.portal != canary::portal() {
            *found.entry(count.portal).or_default() += count.requests;
        }
    }
    Ok(found)
}
