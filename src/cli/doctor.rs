//! `doctor`: the checks of `check`, and the consistency of the database.

use std::time::Duration;

use super::check::resources::round_down;
use super::check::{self, Finding};
use super::context::Global;
use super::failure::CommandResult;
use super::output::{Output, count_of};
use crate::config::Config;
use crate::domain::{RequestState, Timestamp};
use crate::store::{self, Examination, Location, RequestCount, StoreError};

/// Check the database, and everything that `vestibule check` covers
///
/// Checks the integrity and the schema of the file; its consistency: one verdict for each message, content
/// for each pending request, no orphaned rows; queues that nothing reads; the clock, the disk, certificates,
/// destinations. Changes nothing, and may run beside the daemon.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule doctor
  vestibule doctor --offline --json
  sudo -u vestibule vestibule doctor     # with the permissions of the service

Exit status: 0 no problem, 1 a problem, 2 the configuration is invalid.")]
pub struct Args {
    /// Skip checks that need the network: destinations and the server for verification mail
    #[arg(long)]
    offline: bool,
}

/// Maximum difference between the clocks of synchronized machines.
const SKEW: Duration = Duration::from_mins(5);

const RESTORE: &str = "stop the service, keep the file, and restore the last backup";

/// Remedy on a server, where the only damage that is detected is an invalid index.
const REBUILD: &str = "run vestibule migrate, which rebuilds Vestibule's own indexes; for any other: REINDEX INDEX CONCURRENTLY or DROP INDEX";

pub fn run(args: &Args, global: &Global, out: &mut Output) -> CommandResult {
    let offline = args.offline;
    let mut findings = check::run(check::Args { offline }, global.config.as_deref())?;
    let config = global.config()?;
    let database = Location::of(&config);
    if database.exists() {
        findings.extend(inside(&database, &config));
    } else {
        findings.push(Finding::warning(
            "database",
            format!("{database} does not exist yet"),
            "the first start of the daemon creates it",
        ));
    }
    super::report(&findings, out)
}

fn inside(database: &Location, config: &Config) -> Vec<Finding> {
    let found = match store::examine(database) {
        Ok(found) => found,
        Err(StoreError::Damaged(cause)) => {
            let detail = format!("{database} is damaged: {cause}");
            return vec![Finding::problem("database", detail, RESTORE)];
        }
        Err(error) => {
            let remedy = if matches!(error, StoreError::NewerSchema { .. }) {
                "install the version of vestibule that created it"
            } else {
                "run it as the service's user: sudo -u vestibule vestibule doctor"
            };
            return vec![Finding::problem("database", error.to_string(), remedy)];
        }
    };
    let mut findings = vec![file(database, &found)];
    if let Some(moved) = found.place_after_move() {
        findings.push(Finding::problem(
            "store",
            moved,
            "set [store] to that location, or reopen this one: vestibule transfer --undo",
        ));
    }
    if found.schema == found.known_schema {
        findings.extend(ledger(&found));
        findings.push(clock(&found, Timestamp::now()));
        findings.extend(queues(&found, config));
    }
    findings
}

fn file(shown: &Location, found: &Examination) -> Finding {
    if let Some(damage) = found.damage() {
        let remedy = match shown {
            Location::File(_) => RESTORE,
            Location::Server(_) => REBUILD,
        };
        return Finding::problem("database", format!("{shown}: {damage}"), remedy);
    }
    let detail = format!(
        "{shown} is intact: {}, {} of it unused, schema {}",
        round_down(found.octets),
        round_down(found.unused_octets),
        found.schema
    );
    if found.schema < found.known_schema {
        return Finding::warning(
            "database",
            format!("{detail}; this program's is {}", found.known_schema),
            "make a backup; the next start of the daemon brings it up to date, or `vestibule migrate`",
        );
    }
    if !found.shrinks {
        return Finding::warning(
            "database",
            format!("{detail}; the file keeps pages that are unused"),
            "while the service is stopped: vestibule compact",
        );
    }
    Finding::ok("database", detail)
}

/// Reports each kind of inconsistency, with its first occurrence.
fn ledger(found: &Examination) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut said = Vec::new();
    for violation in &found.violations {
        // These two have findings of their own.
        let place = Some(violation.place.as_str());
        if found.damage() == place || found.place_after_move() == place {
            continue;
        }
        if said.contains(&violation.invariant) {
            continue;
        }
        said.push(violation.invariant);
        let places = found
            .violations
            .iter()
            .filter(|other| other.invariant == violation.invariant)
            .count();
        findings.push(Finding::problem(
            "ledger",
            format!(
                "it must hold that {}; violated in {}, such as {}",
                violation.invariant,
                count_of(places, "place"),
                violation.place
            ),
            "a bug in vestibule, or a change by another program: make a backup and report it",
        ));
    }
    if findings.is_empty() {
        let entries = match found.entries {
            1 => "1 entry".to_owned(),
            count => format!("{count} entries"),
        };
        findings.push(Finding::ok("ledger", format!("{entries}, all in order")));
    }
    findings
}

fn clock(found: &Examination, now: Timestamp) -> Finding {
    match found.newest {
        Some(newest) if newest > now + SKEW => Finding::warning(
            "clock",
            format!("the newest entry is dated {newest:.0}, and it is {now:.0} now"),
            "check the clock: timedatectl; holds and links expire by it",
        ),
        _ => Finding::ok(
            "clock",
            format!("{now:.0}, and no entry is from the future"),
        ),
    }
}

/// Requests in queues that nothing reads.
fn queues(found: &Examination, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut orphaned = Vec::new();
    for count in &found.requests {
        let waits = matches!(count.state, RequestState::Held | RequestState::Released);
        let unknown = config.portal(&count.portal).is_none();
        if waits && unknown && !orphaned.contains(&&count.portal) {
            orphaned.push(&count.portal);
            findings.push(Finding::problem(
                format!("portal.{}", count.portal),
                "it is not in the configuration, and requests wait for it",
                format!(
                    "restore it, at least until they are delivered or discarded: vestibule requests \
                     list --portal {}",
                    count.portal
                ),
            ));
        }
        if count.state == RequestState::Failed {
            findings.extend(check_failed_requests(count, found, unknown));
        }
    }
    if found.refused_mails > 0 {
        findings.push(Finding::warning(
            "verification mail",
            format!(
                "it was given up for {}",
                count_of(found.refused_mails, "account")
            ),
            "see why: vestibule customers mail --state refused; then: vestibule customers resend --given-up, which names \
             denied addresses: vestibule customers block ADDRESS",
        ));
    }
    for name in &found.paused {
        findings.push(Finding::warning(
            format!("destination.{name}"),
            "it is paused; its deliveries wait",
            format!("to resume it: vestibule deliveries resume {name}"),
        ));
    }
    findings
}

/// Findings about the failed requests of a portal: those that can be retried, and those without content.
fn check_failed_requests(
    count: &RequestCount,
    found: &Examination,
    is_unknown_portal: bool,
) -> Vec<Finding> {
    let portal = &count.portal;
    let without_content = found
        .failed_without_content
        .iter()
        .find(|(name, _)| name == portal)
        .map_or(0, |(_, requests)| *requests);
    let mut findings = Vec::new();
    let retry = format!("vestibule requests retry --all-failed --portal {portal}");
    let with_content = count.requests.saturating_sub(without_content);
    if with_content > 0 {
        findings.push(Finding::warning(
            format!("portal.{portal}"),
            format!("{with_content} could not be delivered and were given up"),
            if is_unknown_portal {
                format!("restore the portal, then: {retry}; or vestibule requests discard ID")
            } else {
                format!(
                    "see why: vestibule requests list --state failed; then: {retry}; and for those that \
                     it refuses: vestibule requests discard ID"
                )
            },
        ));
    }
    if without_content > 0 {
        findings.push(Finding::warning(
            format!("portal.{portal}"),
            format!(
                "{without_content} were given up, and can no longer be delivered: their content has expired"
            ),
            "vestibule requests list --state failed; then, for each: vestibule requests discard ID",
        ));
    }
    findings
}
