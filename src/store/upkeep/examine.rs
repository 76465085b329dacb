//! Examination of a whole database without changing it: takes a location, returns figures and the violated
//! invariants. Works on a copy and on the live database, beside a running daemon.

use crate::access::AccessSettings;
use crate::domain::{DestinationName, PortalName, Timestamp};
use crate::store::engine::driver::Driver;
use crate::store::engine::settings_cache;
use crate::store::ledger::counts::{self, RequestCount};
use crate::store::operators::nodes::{self, Node};
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Maintenance, Tx};
use crate::store::upkeep::invariants::{self, Violation};
use crate::store::verification::sent_and_queued_mail::count_given_up;
use crate::store::{Location, Result, StoreError};

/// Result of an examination.
#[derive(Debug, Clone)]
pub struct Examination {
    /// Schema migrations that the database has, and that this program knows.
    pub schema: usize,
    pub known_schema: usize,
    pub octets: u64,
    /// The part of these that could be returned to the file system.
    pub unused_octets: u64,
    /// True if the file returns unused pages by itself.
    pub shrinks: bool,
    pub entries: u64,
    /// Time of the newest ledger entry.
    pub newest: Option<Timestamp>,
    pub requests: Vec<RequestCount>,
    pub paused: Vec<DestinationName>,
    /// Accounts whose last verification mail was given up, and which still wait for one.
    pub refused_mails: u64,
    /// Number of failed requests whose content is no longer stored, by portal.
    pub failed_without_content: Vec<(PortalName, u64)>,
    pub violations: Vec<Violation>,
}

impl Examination {
    /// The first sign that the file itself is damaged.
    pub fn damage(&self) -> Option<&str> {
        self.place_of(invariants::WHOLE)
    }

    /// The location to which the store was moved, in words; None if it was not moved.
    pub fn place_after_move(&self) -> Option<&str> {
        self.place_of(invariants::NOT_MOVED)
    }

    /// The first place that violates an invariant.
    fn place_of(&self, invariant: &str) -> Option<&str> {
        let violated = self
            .violations
            .iter()
            .find(|violation| violation.invariant == invariant);
        violated.map(|violation| violation.place.as_str())
    }
}

/// Counts failed requests whose content is no longer stored, by portal.
const FAILED_WITHOUT_CONTENT: &str = "SELECT r.portal, count(*)
     FROM request AS r JOIN ledger AS l ON l.n = r.ledger
     WHERE r.state = 'failed' AND NOT EXISTS (
         SELECT 1 FROM content WHERE content.ledger = coalesce(l.message, l.n)
     )
     GROUP BY r.portal ORDER BY r.portal";

/// Reads the whole database, so it takes long on a large one. Blocks.
///
/// # Errors
/// Not a Vestibule database, a schema that this program does not know, or a database too damaged to be read.
pub fn examine(database: &Location) -> Result<Examination> {
    let session = database.driver().open_copy_reader()?;
    // One snapshot of the database, whatever is committed meanwhile.
    session.begin_reading()?;
    let tx: &Tx = &*session;
    let (schema, known_schema) = tx.schema()?;
    if schema > known_schema {
        return Err(StoreError::NewerSchema {
            found: schema,
            known: known_schema,
        });
    }
    let mut examination = Examination {
        schema,
        known_schema,
        octets: tx.size()?,
        unused_octets: tx.unused_octets()?,
        shrinks: tx.shrinks()?,
        entries: 0,
        newest: None,
        requests: Vec::new(),
        paused: Vec::new(),
        refused_mails: 0,
        failed_without_content: Vec::new(),
        violations: Vec::new(),
    };
    // The invariants are those of the newest schema only.
    if schema < known_schema {
        examination.violations = invariants::check_file(tx)?;
        return Ok(examination);
    }
    let newest: Option<Millis> = tx.one("SELECT max(received_at) FROM ledger", &[])?;
    let paused = "SELECT destination FROM paused_destination ORDER BY destination";
    Ok(Examination {
        entries: tx.one("SELECT count(*) FROM ledger", &[])?,
        newest: newest.map(Millis::timestamp),
        requests: counts::requests(tx)?,
        paused: tx.all(paused, &[])?,
        refused_mails: count_given_up(tx, Millis(0))?,
        failed_without_content: tx.all(FAILED_WITHOUT_CONTENT, &[])?,
        violations: invariants::check(tx)?,
        ..examination
    })
}

/// True if any account was ever verified; false if there is no database yet. Blocks.
///
/// # Errors
/// Not a Vestibule database, or one that cannot be read.
pub fn has_verified_accounts(database: &Location) -> Result<bool> {
    if !database.exists() {
        return Ok(false);
    }
    let sql = "SELECT 1 FROM account WHERE verified_at IS NOT NULL LIMIT 1";
    read_in_transaction(&*database.driver(), |tx| tx.exists(sql, &[]))
}

/// Reads in a transaction: behind a pooler, a session has no settings outside of one.
pub(super) fn read_in_transaction<T>(
    driver: &dyn Driver,
    read: impl FnOnce(&Tx) -> Result<T>,
) -> Result<T> {
    let session = driver.open_reader()?;
    session.begin_reading()?;
    let found = read(&*session)?;
    session.end_reading()?;
    Ok(found)
}

/// Octets of the unused pages of a database, which later rows fill; 0 if there is no database yet. Blocks.
///
/// # Errors
/// Not a Vestibule database, or one that cannot be read.
pub fn unused_octets_of(database: &Location) -> Result<u64> {
    if !database.exists() {
        return Ok(0);
    }
    read_in_transaction(&*database.driver(), Maintenance::unused_octets)
}

/// The nodes that share a store; empty if there is no database yet. Blocks.
///
/// # Errors
/// Not a Vestibule database of this schema, or one that cannot be read.
pub fn nodes_of(database: &Location) -> Result<Vec<Node>> {
    if !database.exists() {
        return Ok(Vec::new());
    }
    read_in_transaction(&*database.driver(), nodes::all)
}

/// The access settings in force; `None` if there is no database, no table in it, or no revision. Blocks.
///
/// # Errors
/// Not a Vestibule database, or one that cannot be read.
pub fn access_settings_of(database: &Location) -> Result<Option<AccessSettings>> {
    if !database.exists() {
        return Ok(None);
    }
    let driver = database.driver();
    let (schema, _) = driver.schema()?;
    if schema == 0 {
        return Ok(None);
    }
    let revision = read_in_transaction(&*driver, settings_cache::newest)?;
    Ok((revision.number > 0).then(|| (*revision.settings).clone()))
}
