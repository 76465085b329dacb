//! `access`: the settings that decide who gets in. Every change is a new revision.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::draft;
use super::failure::{Failure, Outcome};
use super::house::{Global, House, by};
use super::output::{Column, Layout, Output, note, time};
use super::probe;
use crate::access::{AccessSettings, Assignment, Change, Key, Source, Warning};
use crate::domain::{DomainPattern, EmailAddress, PortalName, Timestamp};
use crate::store::{Revision, StoreError};

/// How often a change begins again because somebody else changed the settings meanwhile.
const MOST_CONFLICTS: u32 = 5;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule access show
  vestibule access approve corp.example '*.corp.example'
  vestibule access set external.restrict_domains=true
  vestibule access allow partner.example
  vestibule access test bob@partner.example")]
pub enum Command {
    /// Show what is in force, and where each value comes from
    #[command(after_help = "\
Examples:
  vestibule access show
  vestibule access show --portal it --json")]
    Show(Whose),
    /// Change settings
    #[command(after_help = "\
Examples:
  vestibule access set external.restrict_domains=true
  vestibule access set internal.default_groups=staff,wiki external.verify=true
  vestibule access set external.verify=inherit --portal it")]
    Set(Set),
    /// Add approved domains: their senders become internal customers
    #[command(after_help = "\
Examples:
  vestibule access approve corp.example
  vestibule access approve '*.corp.example' --portal it")]
    Approve(Domains),
    /// Add domains to the allow list: their senders may become external customers
    #[command(after_help = "\
Examples:
  vestibule access allow partner.example
  vestibule access allow '*.partner.example' --dry-run")]
    Allow(Domains),
    /// Take domains off both lists
    #[command(after_help = "\
Examples:
  vestibule access remove partner.example")]
    Remove(Domains),
    /// List the revisions, newest first
    #[command(after_help = "\
Examples:
  vestibule access history
  vestibule access history --limit 10 --json")]
    History(History),
    /// Show what differs between two revisions
    #[command(after_help = "\
Examples:
  vestibule access diff 1 2
  vestibule access diff 3          (against what is in force)")]
    Diff(Diff),
    /// Write the settings as TOML, for apply and for keeping
    #[command(after_help = "\
Examples:
  vestibule access export > access.toml
  vestibule access export --revision 3")]
    Export(Export),
    /// Put the settings of a file in force
    #[command(after_help = "\
Examples:
  vestibule access apply access.toml --dry-run
  vestibule access apply access.toml")]
    Apply(Apply),
    /// Tell what would become of ordinary mail from an address
    #[command(after_help = "\
Examples:
  vestibule access test ann@corp.example
  vestibule access test bob@partner.example --portal it --json
  vestibule access test bob@partner.example --access draft.toml")]
    Test(Test),
}

#[derive(Debug, Args)]
pub struct Whose {
    /// A portal's settings instead of the site's
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
}

#[derive(Debug, Args)]
pub struct How {
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Settings and values; lists with commas between, `inherit` to take a portal's override away
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = Assignment::parse)]
    assignments: Vec<Assignment>,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
pub struct Domains {
    /// example.com for that domain only, *.example.com for its subdomains
    #[arg(value_name = "DOMAIN", required = true, value_parser = DomainPattern::parse)]
    patterns: Vec<DomainPattern>,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
pub struct History {
    /// At most so many revisions
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, Args)]
pub struct Diff {
    /// A revision
    #[arg(value_name = "A")]
    from: u64,
    /// A later one; what is in force otherwise
    #[arg(value_name = "B")]
    to: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Export {
    /// A revision; what is in force otherwise
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Apply {
    /// TOML as `export` writes it, or a configuration with an [access] section
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
pub struct Test {
    /// The sender's address
    #[arg(value_name = "ADDRESS")]
    address: EmailAddress,
    /// The portal it would write to; every portal otherwise
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
    /// Under the settings of this draft instead of those in force
    #[arg(long, value_name = "FILE")]
    access: Option<PathBuf>,
}

pub async fn run(command: Command, global: &Global, out: &mut Output) -> Outcome {
    let house = global.open().await?;
    match command {
        Command::Show(whose) => show(&house, whose, out).await,
        Command::Set(set) => {
            let portal = house.portal(set.whose.portal)?;
            change(&house, set.how.dry_run, out, |settings| {
                settings
                    .with(portal.as_ref(), &set.assignments)
                    .map_err(|error| Failure::Usage(error.to_string()))
            })
            .await
        }
        Command::Approve(domains) => add(&house, Key::InternalApprovedDomains, domains, out).await,
        Command::Allow(domains) => add(&house, Key::ExternalAllowedDomains, domains, out).await,
        Command::Remove(domains) => {
            let portal = house.portal(domains.whose.portal)?;
            change(&house, domains.how.dry_run, out, |settings| {
                let (settings, unknown) =
                    settings.without_domains(portal.as_ref(), &domains.patterns);
                match unknown.as_slice() {
                    [] => Ok(settings),
                    unknown => Err(Failure::NotFound(format!(
                        "neither list has {}; see vestibule access show",
                        list(unknown)
                    ))),
                }
            })
            .await
        }
        Command::History(history) => show_history(&house, history, out).await,
        Command::Diff(diff) => show_diff(&house, &diff, out).await,
        Command::Export(export) => {
            let revision = match export.revision {
                Some(number) => find(&house, number).await?,
                None => house.store.access().await?,
            };
            if out.is_json() {
                return out.object(&*revision.settings);
            }
            let text = toml::to_string(&*revision.settings)
                .map_err(|error| Failure::Failed(error.into()))?;
            out.line(format_args!(
                "# Access settings, revision {} of {} by {}.\n{}",
                revision.number,
                time(revision.at),
                revision.by,
                text.trim_end()
            ))
        }
        Command::Apply(apply) => {
            let draft = draft::read(&apply.file)?;
            for portal in draft.portals.keys() {
                house.portal(Some(portal.clone()))?;
            }
            change(&house, apply.how.dry_run, out, |_| Ok(draft.clone())).await
        }
        Command::Test(test) => {
            let draft = test.access.as_deref().map(draft::read).transpose()?;
            let portal = house.portal(test.portal)?;
            probe::run(&house, &test.address, portal, draft, out).await
        }
    }
}

async fn add(house: &House, key: Key, domains: Domains, out: &mut Output) -> Outcome {
    let portal = house.portal(domains.whose.portal)?;
    change(house, domains.how.dry_run, out, |settings| {
        Ok(settings.with_domains(portal.as_ref(), key, &domains.patterns))
    })
    .await
}

fn list(patterns: &[DomainPattern]) -> String {
    let names: Vec<_> = patterns.iter().map(ToString::to_string).collect();
    names.join(", ")
}

async fn find(house: &House, number: u64) -> Result<Revision, Failure> {
    house.store.revision(number).await?.ok_or_else(|| {
        Failure::NotFound(format!(
            "there is no revision {number}; see vestibule access history"
        ))
    })
}

/// What a change did.
#[derive(Serialize)]
struct Changed {
    revision: u64,
    changes: Vec<Change>,
    warnings: Vec<String>,
}

/// Reads what is in force, changes it and makes that a revision; again from the start where
/// somebody else was faster.
async fn change(
    house: &House,
    dry_run: bool,
    out: &mut Output,
    how: impl Fn(&AccessSettings) -> Result<AccessSettings, Failure>,
) -> Outcome {
    let mut conflicts = 0;
    loop {
        let base = house.store.access().await?;
        let settings = how(&base.settings)?;
        let changes = base.settings.changes_to(&settings);
        let known = base.settings.warnings();
        let warnings: Vec<_> = settings
            .warnings()
            .into_iter()
            .filter(|warning| !known.contains(warning))
            .collect();
        let revision = if dry_run || changes.is_empty() {
            base.number
        } else {
            let made = house
                .store
                .change_access(
                    base.number,
                    settings,
                    by(),
                    "command line".to_owned(),
                    Timestamp::now(),
                )
                .await;
            match made {
                Ok(revision) => revision.number,
                Err(StoreError::Conflict { .. }) if conflicts < MOST_CONFLICTS => {
                    conflicts += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        };
        return tell(revision, changes, &warnings, dry_run, out);
    }
}

fn tell(
    revision: u64,
    changes: Vec<Change>,
    warnings: &[Warning],
    dry_run: bool,
    out: &mut Output,
) -> Outcome {
    if out.is_json() {
        return out.object(&Changed {
            revision,
            changes,
            warnings: warnings.iter().map(ToString::to_string).collect(),
        });
    }
    for change in &changes {
        out.line(change)?;
    }
    out.line(match (changes.is_empty(), dry_run) {
        (true, _) => format!("nothing changes; revision {revision} stays in force"),
        (false, true) => format!("nothing was changed; revision {revision} stays in force"),
        (false, false) => format!("revision {revision} is in force"),
    })?;
    warn(warnings, out)
}

/// Warnings go to standard error, below what they are about.
fn warn(warnings: &[Warning], out: &mut Output) -> Outcome {
    out.flush()?;
    for warning in warnings {
        note(format_args!("warning: {warning}"));
    }
    Ok(())
}

/// One setting as `show` has it.
struct Setting {
    key: Key,
    value: String,
    source: Source,
}

#[derive(Serialize)]
struct Shown<'a> {
    revision: u64,
    at: Timestamp,
    by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_portal: Option<&'a PortalName>,
    #[serde(flatten)]
    settings: &'a AccessSettings,
    /// Where each value comes from.
    sources: std::collections::BTreeMap<&'static str, Source>,
    warnings: Vec<String>,
}

async fn show(house: &House, whose: Whose, out: &mut Output) -> Outcome {
    let portal = house.portal(whose.portal)?;
    let revision = house.store.access().await?;
    let settings = &revision.settings;
    let effective = settings.effective(portal.as_ref());
    let warnings = match portal {
        Some(_) => effective.warnings(),
        None => settings.warnings(),
    };
    if out.is_json() {
        let one = AccessSettings {
            site: effective,
            ..AccessSettings::default()
        };
        return out.object(&Shown {
            revision: revision.number,
            at: revision.at,
            by: &revision.by,
            for_portal: portal.as_ref(),
            settings: if portal.is_some() { &one } else { settings },
            sources: Key::ALL
                .iter()
                .map(|key| (key.as_str(), settings.source(*key, portal.as_ref())))
                .collect(),
            warnings: warnings.iter().map(ToString::to_string).collect(),
        });
    }
    let rows: Vec<_> = Key::ALL
        .iter()
        .map(|key| Setting {
            key: *key,
            value: key.of(&effective).to_string(),
            source: settings.source(*key, portal.as_ref()),
        })
        .collect();
    out.table(
        &rows,
        &[
            Column::new("setting", Layout::Whole, |row| row.key.as_str().to_owned()),
            Column::new("value", Layout::Whole, |row| {
                if row.value.is_empty() {
                    "(empty)".to_owned()
                } else {
                    row.value.clone()
                }
            }),
            Column::new("from", Layout::Whole, |row| {
                match row.source {
                    Source::Default => "default",
                    Source::Site => "site",
                    Source::Portal => "portal",
                }
                .to_owned()
            }),
        ],
        true,
    )?;
    if portal.is_none() && !settings.portals.is_empty() {
        out.line("")?;
        let overridden = AccessSettings {
            site: settings.site.clone(),
            ..AccessSettings::default()
        };
        for change in overridden.changes_to(settings) {
            out.line(format_args!(
                "portal {}: {} = {}",
                change.portal.as_ref().map_or("", PortalName::as_str),
                change.key.as_str(),
                change
                    .after
                    .map_or_else(String::new, |value| value.to_string())
            ))?;
        }
    }
    out.line(format_args!(
        "\nrevision {} of {} by {}",
        revision.number,
        time(revision.at),
        revision.by
    ))?;
    warn(&warnings, out)
}

/// A revision and what it changed.
#[derive(Serialize)]
struct Step {
    revision: u64,
    at: Timestamp,
    by: String,
    origin: String,
    changes: Vec<Change>,
}

async fn show_history(house: &House, history: History, out: &mut Output) -> Outcome {
    let limit = usize::try_from(history.limit).unwrap_or(usize::MAX);
    // One more, so that the oldest that is shown has something to be compared with.
    let revisions = house.store.access_history(limit.saturating_add(1)).await?;
    let nothing = AccessSettings::default();
    let steps: Vec<_> = revisions
        .iter()
        .enumerate()
        .take(limit)
        .map(|(place, revision)| Step {
            revision: revision.number,
            at: revision.at,
            by: revision.by.clone(),
            origin: revision.origin.clone(),
            changes: revisions
                .get(place + 1)
                .map_or(&nothing, |before| &before.settings)
                .changes_to(&revision.settings),
        })
        .collect();
    out.list(
        &steps,
        None,
        &[
            Column::new("revision", Layout::Number, |step| step.revision.to_string()),
            Column::new("at", Layout::Whole, |step| time(step.at)),
            Column::new("by", Layout::Whole, |step| step.by.clone()),
            Column::new("from", Layout::Whole, |step| step.origin.clone()),
            Column::new("changes", Layout::Text, |step| {
                let changes: Vec<_> = step.changes.iter().map(ToString::to_string).collect();
                changes.join("; ")
            }),
        ],
    )
}

#[derive(Serialize)]
struct Difference {
    from: u64,
    to: u64,
    changes: Vec<Change>,
}

async fn show_diff(house: &House, diff: &Diff, out: &mut Output) -> Outcome {
    let from = find(house, diff.from).await?;
    let to = match diff.to {
        Some(number) => find(house, number).await?,
        None => house.store.access().await?,
    };
    let changes = from.settings.changes_to(&to.settings);
    if out.is_json() {
        return out.object(&Difference {
            from: from.number,
            to: to.number,
            changes,
        });
    }
    if changes.is_empty() {
        note(format_args!(
            "revisions {} and {} are the same",
            from.number, to.number
        ));
    }
    for change in &changes {
        out.line(change)?;
    }
    Ok(())
}
