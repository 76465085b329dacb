//! People in bulk, from a file or a program: each person is merged with the existing account, if there is one, and
//! has an outcome.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::Serialize;
use utoipa::ToSchema;

use super::customers::NOT_A_CUSTOMER;
use super::people_csv::PeopleLine;
use crate::config::Config;
use crate::domain::{Actor, Timestamp, keywords};
use crate::store::{Person, PersonChange, PersonOutcome, Result, Store};

/// Maximum people in one transaction: few, so that incoming mail does not wait for them.
const AT_ONCE: usize = 50;

/// Outcome of an import for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    Created,
    Changed,
    Unchanged,
    /// The account is blocked, and stays as it is.
    Blocked,
    Refused,
}

keywords!(ImportOutcome {
    Created => "created",
    Changed => "changed",
    Unchanged => "unchanged",
    Blocked => "blocked",
    Refused => "refused",
});

/// One person of an import, with the outcome.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImportedPerson {
    /// Line in the file, or place in the list, from 1.
    pub line: u64,
    /// The address, where it could be read.
    pub address: Option<String>,
    pub outcome: ImportOutcome,
    /// The account that was created, the changes, or the mistake with its remedy.
    pub detail: Option<String>,
}

/// Numbers of people by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ImportTally {
    pub created: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub blocked: u64,
    pub refused: u64,
}

impl ImportTally {
    pub fn count(&mut self, outcome: ImportOutcome) {
        *match outcome {
            ImportOutcome::Created => &mut self.created,
            ImportOutcome::Changed => &mut self.changed,
            ImportOutcome::Unchanged => &mut self.unchanged,
            ImportOutcome::Blocked => &mut self.blocked,
            ImportOutcome::Refused => &mut self.refused,
        } += 1;
    }
}

/// An import in progress. Lines are passed in their order, and outcomes come back in that order, in batches.
pub struct Import<'a> {
    store: &'a Store,
    config: &'a Config,
    dry_run: bool,
    by: Actor,
    /// Line of each address: the same address twice would make the file change something every time.
    seen: HashMap<String, u64>,
    waiting: Vec<Waiting>,
}

struct Waiting {
    line: u64,
    address: Option<String>,
    person: Result<Person, String>,
}

impl<'a> Import<'a> {
    #[must_use]
    pub fn new(store: &'a Store, config: &'a Config, dry_run: bool, by: Actor) -> Self {
        Self {
            store,
            config,
            dry_run,
            by,
            seen: HashMap::new(),
            waiting: Vec::new(),
        }
    }

    /// Takes a line. Returns the outcomes of this and earlier lines once there are enough for a transaction.
    ///
    /// # Errors
    /// The database cannot be written; lines whose outcomes were returned before are stored.
    pub async fn take(&mut self, line: PeopleLine) -> Result<Vec<ImportedPerson>> {
        let PeopleLine { line, person } = line;
        let address = person
            .as_ref()
            .ok()
            .map(|person| person.address.to_string());
        let person = person.and_then(|person| self.check(line, person));
        self.waiting.push(Waiting {
            line,
            address,
            person,
        });
        if self.waiting.len() < AT_ONCE {
            return Ok(Vec::new());
        }
        self.flush().await
    }

    fn check(&mut self, line: u64, person: Person) -> Result<Person, String> {
        if self.config.is_ours(&person.address) {
            return Err(format!("{} {NOT_A_CUSTOMER}", person.address));
        }
        match self.seen.entry(person.address.key()) {
            Entry::Occupied(first) => Err(format!(
                "{} is already in line {}; remove one of the two",
                person.address,
                first.get()
            )),
            Entry::Vacant(place) => {
                place.insert(line);
                Ok(person)
            }
        }
    }

    /// Imports the lines that wait.
    pub async fn flush(&mut self) -> Result<Vec<ImportedPerson>> {
        let waiting = std::mem::take(&mut self.waiting);
        let people: Vec<Person> = waiting
            .iter()
            .filter_map(|line| line.person.as_ref().ok().cloned())
            .collect();
        let put = self
            .store
            .put_people(people, self.dry_run, self.by.clone(), Timestamp::now());
        let mut outcomes = put.await?.into_iter();
        let rows = waiting.into_iter().map(|line| {
            let (outcome, detail) = match line.person {
                Err(mistake) => (ImportOutcome::Refused, Some(mistake)),
                Ok(_) => outcomes
                    .next()
                    .map_or((ImportOutcome::Refused, None), describe),
            };
            ImportedPerson {
                line: line.line,
                address: line.address,
                outcome,
                detail,
            }
        });
        Ok(rows.collect())
    }
}

fn describe(outcome: PersonOutcome) -> (ImportOutcome, Option<String>) {
    match outcome {
        PersonOutcome::Created { kind, status } => {
            (ImportOutcome::Created, Some(format!("{kind}, {status}")))
        }
        PersonOutcome::Changed(changes) => {
            let changes: Vec<_> = changes.into_iter().map(describe_change).collect();
            (ImportOutcome::Changed, Some(changes.join("; ")))
        }
        PersonOutcome::Unchanged => (ImportOutcome::Unchanged, None),
        PersonOutcome::Blocked => (
            ImportOutcome::Blocked,
            Some(
                "the account is blocked, and an import does not unblock it; unblock it first"
                    .to_owned(),
            ),
        ),
        PersonOutcome::Refused(refusal) => (ImportOutcome::Refused, Some(refusal.to_string())),
    }
}

fn describe_change(change: PersonChange) -> String {
    match change {
        PersonChange::MadeInternal => "internal".to_owned(),
        PersonChange::Groups => "groups".to_owned(),
        PersonChange::Verified { released: 0 } => "verified".to_owned(),
        PersonChange::Verified { released: 1 } => "verified, with 1 held request".to_owned(),
        PersonChange::Verified { released } => format!("verified, with {released} held requests"),
    }
}

/// Imports a list of people.
///
/// # Errors
/// The database cannot be written; the same list again completes the import.
pub async fn import_people(
    store: &Store,
    config: &Config,
    lines: Vec<PeopleLine>,
    dry_run: bool,
    by: Actor,
) -> Result<(Vec<ImportedPerson>, ImportTally)> {
    let mut import = Import::new(store, config, dry_run, by);
    let mut rows = Vec::with_capacity(lines.len());
    for line in lines {
        rows.extend(import.take(line).await?);
    }
    rows.extend(import.flush().await?);
    let mut tally = ImportTally::default();
    for row in &rows {
        tally.count(row.outcome);
    }
    Ok((rows, tally))
}
