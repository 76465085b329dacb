//! `vestibule check`: checks whether everything that the configuration names is usable.
//!
//! In: a configuration. Out: a list of [`Finding`]s; each problem comes with a remedy. Nothing is sent, and
//! no file remains.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::output::{count_of, wrap};
use crate::access::Enforcement;
use crate::config::{Config, ConfigErrors, Destination, Secrets};
use crate::store::{Location, has_verified_accounts};
use crate::templates::Templates;

mod access_settings;
mod certificate;
mod exposure;
mod mta;
mod nodes;
mod postgres;
pub(super) mod resources;
mod servers;

/// Check the configuration, and the database, ports, certificates and destinations
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[command(after_help = "Examples:
  vestibule check
  vestibule check --offline --json
  sudo -u vestibule vestibule check      # with the permissions of the service

Exit status: 0 no problem, 1 a problem, 2 the configuration is invalid.")]
pub struct Args {
    /// Skip checks that need the network: destinations and the server for verification mail
    #[arg(long)]
    pub offline: bool,
}

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    /// Works, but is probably unintended or will not work for long.
    Warning,
    Problem,
}

/// Result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The checked item, named as in the configuration.
    pub check: String,
    pub state: State,
    pub detail: String,
    /// The remedy, unless all is well.
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            state: State::Ok,
            detail: detail.into(),
            remedy: None,
        }
    }

    pub(super) fn warning(
        check: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Warning,
            remedy: Some(remedy.into()),
            ..Self::ok(check, detail)
        }
    }

    pub(super) fn problem(
        check: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Problem,
            ..Self::warning(check, detail, remedy)
        }
    }
}

/// Loads the configuration and checks everything that it names.
///
/// # Errors
/// Errors of the configuration (exit status 2).
pub fn run(args: Args, config: Option<&Path>) -> Result<Vec<Finding>, ConfigErrors> {
    let path = Config::path(config);
    let config = Config::load_with(Some(&path), Secrets::of_the_service(!args.offline))?;
    let mut findings = vec![Finding::ok(
        "configuration",
        format!(
            "{}: {}, {}",
            path.display(),
            count_of(config.portals.len(), "portal"),
            count_of(config.destinations.len(), "destination")
        ),
    )];
    findings.extend(of(&config, args));
    findings.extend(mta::finding());
    Ok(findings)
}

/// Findings about a loaded configuration.
#[must_use]
pub fn of(config: &Config, args: Args) -> Vec<Finding> {
    let mut findings = vec![resources::database(config)];
    findings.extend(resources::ports(config));
    if !args.offline {
        findings.extend(postgres::findings(config));
    }
    findings.extend(certificate::finding(config));
    findings.push(certificate::authorities());
    findings.extend(settings(config));
    findings.extend(access_settings::findings(config));
    findings.extend(exposure::findings(config));
    findings.extend(authentication(config));
    findings.extend(templates(config));
    findings.extend(resources::folders_and_programs(config));
    if !args.offline {
        findings.extend(servers::findings(config));
    }
    findings
}

/// The operator's own texts and templates, if configured.
fn templates(config: &Config) -> Option<Finding> {
    let folder = config.verification.templates.as_deref()?;
    let check = "verification.templates";
    Some(match Templates::load(Some(folder)) {
        Ok(_) => Finding::ok(check, folder.display().to_string()),
        Err(error) => Finding::problem(
            check,
            format!("{}: {error}", folder.display()),
            "start from the built-in file (vestibule templates export FOLDER), or remove this file \
             from the folder",
        ),
    })
}

/// Warns if authentication is not enforced and there are verified customers: forged mail in their names reaches the
/// help desk.
fn authentication(config: &Config) -> Option<Finding> {
    if config.authentication.mode == Enforcement::Enforce {
        return None;
    }
    // A database that cannot be read is reported by another finding.
    let has_verified = has_verified_accounts(&Location::of(config)).unwrap_or_default();
    has_verified.then(|| {
        let mode = match config.authentication.mode {
            Enforcement::Off => "off",
            _ => "report",
        };
        Finding::warning(
            "authentication.mode",
            format!(
                "is {mode} although there are verified accounts: mail that forges one of their \
                 addresses reaches the help desk"
            ),
            "use vestibule explain to see what enforcing would drop, then set authentication.mode = \
             \"enforce\"",
        )
    })
}

/// Warns about values that work but are probably unintended.
fn settings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let public_url = &config.http.public_url;
    if public_url.starts_with("http://") {
        findings.push(Finding::warning(
            "http.public_url",
            format!("links in mail begin with {public_url}, which only this machine can reach"),
            "set http.public_url to the https:// address under which people reach the pages",
        ));
    }
    for name in config.destinations.keys() {
        if !config
            .all_portals()
            .any(|portal| portal.destination == *name)
        {
            findings.push(Finding::warning(
                format!("destination.{name}"),
                "no portal uses it",
                "use it in a portal, or remove it",
            ));
        }
    }
    findings
}

/// Prints the findings for a person, one line each with its remedy below, wrapped at a width if there is one;
/// or as JSON, one object a line.
///
/// # Errors
/// Errors of the output.
pub fn show(
    findings: &[Finding],
    json: bool,
    width: Option<usize>,
    out: &mut impl Write,
) -> io::Result<()> {
    if json {
        for finding in findings {
            serde_json::to_writer(&mut *out, finding)?;
            writeln!(out)?;
        }
        return Ok(());
    }
    let checks = findings.iter().map(|finding| finding.check.chars().count());
    let column = checks.max().unwrap_or(0);
    let beside = STATE_WIDTH + 2 + column + 2;
    // On a narrow terminal, the details are below the checks.
    let is_below = width.is_some_and(|width| width < beside + MIN_DETAIL_WIDTH);
    let indent = if is_below { STATE_WIDTH + 2 } else { beside };
    let room = width.map(|width| width.saturating_sub(indent).max(MIN_DETAIL_WIDTH));
    let lines = |text: &str, room: Option<usize>| match room {
        Some(room) => wrap(text, room),
        None => vec![text.to_owned()],
    };
    for finding in findings {
        let Finding {
            check,
            state,
            detail,
            remedy,
        } = finding;
        for (place, line) in lines(detail, room).iter().enumerate() {
            match place {
                0 if is_below => {
                    writeln!(out, "{state:<STATE_WIDTH$}  {check}\n{:indent$}{line}", "")?;
                }
                0 => writeln!(out, "{state:<STATE_WIDTH$}  {check:<column$}  {line}")?,
                _ => writeln!(out, "{:indent$}{line}", "")?,
            }
        }
        let remedy = remedy.as_deref().unwrap_or_default();
        if remedy.is_empty() {
            continue;
        }
        let room = room.map(|room| room.saturating_sub(2));
        for (place, line) in lines(remedy, room).iter().enumerate() {
            let arrow = if place == 0 { "→ " } else { "  " };
            writeln!(out, "{:indent$}{arrow}{line}", "")?;
        }
    }
    Ok(())
}

/// Columns of the longest state.
const STATE_WIDTH: usize = 7;

/// Minimum width of the column of details; if there is less beside the checks, the details are below them.
const MIN_DETAIL_WIDTH: usize = 24;

/// True if there is a problem, so that the exit status is 1.
#[must_use]
pub fn has_problem(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.state == State::Problem)
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "PROBLEM",
        })
    }
}

/// Label of a destination in findings.
fn label(name: &crate::domain::DestinationName, destination: &Destination) -> String {
    format!("destination.{name} ({})", destination.kind())
}

#[cfg(test)]
mod tests;
