//! Logs operators' actions from every interface: changed settings, and decisions about accounts and requests.
//! The command line has no log, and the parts of the daemon leave it to this module, so that nothing is
//! logged twice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::domain::{AccountOrigin, Timestamp};
use crate::observe::events;
use crate::store::{Duty, OperatorAction, Store, StoreError, Topic};

/// Interval between polls: the database changes with every message, but operators act rarely.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest time until another node notices that the one that logged is gone.
const TAKEOVER: Duration = Duration::from_mins(3);

/// Entries read in one batch; more than operators make within an interval.
const AT_ONCE: usize = 100;

/// Runs until `shutdown`.
pub async fn run(store: Store, shutdown: CancellationToken) {
    let mut changes = store.subscribe(Topic::OperatorActions);
    let watching = async {
        let mut told = loop {
            match Told::by_now(&store).await {
                Ok(told) => break told,
                Err(error) => events::fault("daemon.operator_log", &error),
            }
            tokio::time::sleep(PAUSE).await;
        };
        let mut before: VecDeque<(Instant, Told)> = VecDeque::new();
        loop {
            match store.duty_interval() {
                // The node that holds the duty may be gone.
                Some(interval) => drop(tokio::time::timeout(interval, changes.wait()).await),
                None => changes.wait().await,
            }
            let logging = async {
                let duty = store.hold_duty(Duty::OperatorLog, PAUSE, Timestamp::now());
                if duty.await? {
                    before.clear();
                    return told.go_on(&store).await;
                }
                // A node that takes over the duty repeats some lines rather than leave a gap.
                if before.is_empty() {
                    before.push_back((Instant::now(), told));
                }
                before.push_back((Instant::now(), Told::by_now(&store).await?));
                while before.get(1).is_some_and(|(at, _)| at.elapsed() > TAKEOVER) {
                    before.pop_front();
                }
                told = before.front().map_or(told, |(_, earlier)| *earlier);
                Ok(())
            };
            if let Err(error) = logging.await {
                events::fault("daemon.operator_log", &error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    shutdown.run_until_cancelled(watching).await;
}

/// The last logged entry of each kind.
#[derive(Debug, Clone, Copy)]
struct Told {
    revision: u64,
    event: i64,
}

impl Told {
    async fn by_now(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            revision: store.access().await?.number,
            event: store.newest_event().await?,
        })
    }

    async fn go_on(&mut self, store: &Store) -> Result<(), StoreError> {
        let revisions = store.access_history(AT_ONCE).await?;
        for revision in revisions.iter().rev() {
            if revision.number > self.revision {
                events::access_changed(revision.number, &revision.by, &revision.origin);
                self.revision = revision.number;
            }
        }
        loop {
            let actions = store.operator_events_since(self.event, AT_ONCE).await?;
            for action in &actions {
                log_action(action);
                self.event = action.n;
            }
            if actions.len() < AT_ONCE {
                return Ok(());
            }
        }
    }
}

/// Logs an action. Actions without an event are in the audit log only.
fn log_action(action: &OperatorAction) {
    let (by, origin) = (&action.by, action.origin.as_deref());
    match (action.event.as_str(), &action.account, &action.request) {
        ("account.added", Some((account, address, kind)), _) => {
            events::account_created(*account, address, *kind, AccountOrigin::Operator);
        }
        ("account.verified", Some((account, address, _)), _) => {
            events::account_verified(*account, address, by, origin);
        }
        ("account.blocked", Some((account, address, _)), _) => {
            events::account_blocked(*account, address, by, origin);
        }
        ("account.unblocked", Some((account, address, _)), _) => {
            events::account_unblocked(*account, address, by, origin);
        }
        ("account.takes_automatic", Some((account, address, _)), _) => {
            let setting = action.detail.as_deref();
            events::account_takes_automatic(*account, address, setting, by, origin);
        }
        ("account.forgotten", ..) => events::account_forgotten(by),
        ("request.released", Some((account, ..)), Some((request, _, portal))) => {
            events::request_released(*request, *account, portal, by, origin);
        }
        ("request.discarded", _, Some((request, ..))) => {
            events::request_discarded(*request, by, origin);
        }
        ("request.recovered", _, Some((request, ledger, _))) => {
            events::request_recovered(*request, *ledger, by, origin);
        }
        _ => {}
    }
}
