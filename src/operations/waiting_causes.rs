//! Reasons outside a request for which it waits although it is released: its portal is not in the configuration, or
//! its destination is paused, is down or asked for a pause. Also portals that the configuration does not have any more.

use std::collections::BTreeMap;
use std::fmt;

use crate::config::Config;
use crate::domain::{DestinationName, PortalName, RequestState, Timestamp, canary};
use crate::store::{DownDestination, Listed, Request, Result, Store, StoreError};

/// Cause for which a released request is not attempted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitingCause {
    MissingPortal(PortalName),
    /// This node does not have it, but another may.
    PortalElsewhere(PortalName),
    PausedDestination(DestinationName),
    /// With the time of the next trial.
    DownDestination(DestinationName, Timestamp),
    /// The destination asked for a pause until then.
    RequestedPause(DestinationName, Timestamp),
}

impl fmt::Display for WaitingCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingPortal(portal) => {
                write!(f, "portal {portal} is not in the configuration")
            }
            Self::PortalElsewhere(portal) => {
                write!(
                    f,
                    "portal {portal} is not in the configuration of this node"
                )
            }
            Self::PausedDestination(name) => write!(f, "destination {name} is paused"),
            Self::DownDestination(name, _) => write!(f, "destination {name} is down"),
            Self::RequestedPause(name, until) => {
                write!(f, "destination {name} asked for a pause until {until:.0}")
            }
        }
    }
}

impl WaitingCause {
    /// The refusal of a retry that causes no attempt now: the request is due as soon as the cause ends.
    pub(super) fn refuse_retry(&self, request: &Request) -> StoreError {
        let id = request.id;
        StoreError::NotAllowed(match self {
            Self::MissingPortal(_) => {
                format!("request {id} waits: {self}; restore the portal, or discard the request")
            }
            Self::PortalElsewhere(_) => format!(
                "request {id} waits: {self}; a node that has the portal attempts it (`vestibule nodes list` shows \
                 how the nodes differ)"
            ),
            Self::PausedDestination(name) => format!(
                "request {id} waits: {self}; it is attempted once the destination is resumed \
                 (`vestibule deliveries resume {name}`)"
            ),
            Self::DownDestination(name, next) => format!(
                "request {id} waits: {self}; the next trial is at {next:.0}, or at once with \
                 `vestibule deliveries retry {name}`"
            ),
            Self::RequestedPause(name, _) => format!(
                "request {id} waits: {self}; `vestibule deliveries retry {name}` does not wait for \
                 its end"
            ),
        })
    }

    /// The time of the next attempt of a request that is due at `due`. None if there is none before the cause ends.
    fn next_attempt(&self, due: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::MissingPortal(_) | Self::PausedDestination(_) => None,
            Self::PortalElsewhere(_) => due,
            Self::DownDestination(_, next) | Self::RequestedPause(_, next) => {
                due.map(|due| due.max(*next))
            }
        }
    }
}

/// The configuration, what operators paused, and what is down.
#[derive(Debug)]
pub struct WaitingCauses<'a> {
    config: &'a Config,
    paused: Vec<DestinationName>,
    down: Vec<DownDestination>,
    /// True if another node may have portals that this configuration lacks.
    others_differ: bool,
}

impl<'a> WaitingCauses<'a> {
    pub async fn read(store: &Store, config: &'a Config) -> Result<Self> {
        let paused = store.paused_destinations().await?;
        let down = store.down_destinations().await?;
        let others_differ = store.others_may_have_portals(config).await?;
        Ok(Self {
            others_differ,
            ..Self::new(config, paused, down)
        })
    }

    #[must_use]
    pub fn new(
        config: &'a Config,
        paused: Vec<DestinationName>,
        down: Vec<DownDestination>,
    ) -> Self {
        Self {
            config,
            paused,
            down,
            others_differ: false,
        }
    }

    #[must_use]
    pub fn config(&self) -> &'a Config {
        self.config
    }

    /// The cause for which a request waits. None for one that is not released, or that its blocked account stops.
    #[must_use]
    pub fn of(&self, request: &Request) -> Option<WaitingCause> {
        if request.state != RequestState::Released || request.stopped {
            return None;
        }
        self.of_portal(&request.portal)
    }

    /// The cause for which all released requests of a portal wait.
    #[must_use]
    pub fn of_portal(&self, portal: &PortalName) -> Option<WaitingCause> {
        let Some(found) = self.config.portal(portal) else {
            let cause = if self.others_differ {
                WaitingCause::PortalElsewhere
            } else {
                WaitingCause::MissingPortal
            };
            return Some(cause(portal.clone()));
        };
        let name = &found.destination;
        if self.paused.contains(name) {
            return Some(WaitingCause::PausedDestination(name.clone()));
        }
        let down = self.down.iter().find(|down| down.name == *name)?;
        let cause = if down.is_requested {
            WaitingCause::RequestedPause
        } else {
            WaitingCause::DownDestination
        };
        Some(cause(name.clone(), down.next_try_at))
    }

    /// Names the cause in `last_error`, as for a blocked account, and corrects the time of the next attempt.
    #[must_use]
    pub fn explain(&self, mut request: Request) -> Request {
        if let Some(cause) = self.of(&request) {
            request.next_attempt_at = cause.next_attempt(request.next_attempt_at);
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
