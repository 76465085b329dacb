//! The driver for a PostgreSQL server: opens its sessions, and keeps what they share.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use super::connection::{self, Purpose};
use super::endpoints::LastEndpoint;
use super::migrations;
use super::notify::PostgresListener;
use super::session::PostgresSession;
use super::wire::ProtocolConnection;
use crate::config::PostgresServer;
use crate::domain::{LedgerId, Timestamp};
use crate::store::Result;
use crate::store::engine::driver::{Driver, Listener, ReaderSession, WriterSession};
use crate::store::engine::notify::Wakeups;

/// Time after which the duties of a node that is gone are taken over.
const DUTY_LEASE: Duration = Duration::from_secs(90);

/// A database on a server, as opened by this process.
#[derive(Debug)]
pub(crate) struct Server {
    pub(super) place: PostgresServer,
    /// Identifies this opening of the database: in the row of its commits, and as the author of its notifications.
    pub(super) opening: String,
    pub(super) clock: ClockOffset,
    last: LastEndpoint,
}

/// Offset of this machine's clock from that of the server.
#[derive(Debug, Default)]
pub(crate) struct ClockOffset(AtomicI64);

impl ClockOffset {
    /// Compares this machine's clock with the server's current time, in milliseconds.
    pub(super) fn compare(&self, server: i64) {
        let offset = Timestamp::now().as_millisecond() - server;
        self.0.store(offset, Ordering::Relaxed);
    }

    fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Server {
    /// Connects, trying the endpoint that accepted last first.
    pub(super) fn connect(
        &self,
        purpose: Purpose,
        deadline: Option<Instant>,
    ) -> Result<ProtocolConnection> {
        connection::connect_from(&self.place, &self.last, purpose, deadline)
    }

    /// Channel of the notifications, one for each schema of a database.
    pub(super) fn channel(&self) -> String {
        format!("vestibule_{}", self.place.schema)
    }

    /// The statement that announces a commit to other nodes; empty if it made nothing due. A session that listens
    /// but never reads fills the notification queue of the whole server, and COMMIT would fail. So nothing is sent
    /// once the queue is nearly full: other nodes poll anyway.
    pub(super) fn announce(&self, wakeups: Wakeups) -> String {
        let mut sql = String::new();
        if wakeups.any() {
            let _ = write!(
                sql,
                "SELECT pg_notify('{}', '{} {}') WHERE pg_notification_queue_usage() < 0.9;",
                self.channel(),
                self.opening,
                wakeups.bits()
            );
        }
        sql
    }
}

/// Opens sessions of one server.
#[derive(Debug)]
pub(crate) struct PostgresDriver {
    server: Arc<Server>,
}

impl PostgresDriver {
    pub(crate) fn of(place: &PostgresServer) -> Self {
        Self {
            server: Arc::new(Server {
                place: place.clone(),
                opening: LedgerId::new().to_string(),
                clock: ClockOffset::default(),
                last: LastEndpoint::default(),
            }),
        }
    }

    fn open(&self, purpose: Purpose) -> Result<Box<PostgresSession>> {
        PostgresSession::open(&self.server, purpose).map(Box::new)
    }
}

impl Driver for PostgresDriver {
    /// Does nothing: the migration creates the schema.
    fn create(&self) -> Result<()> {
        Ok(())
    }

    fn migrate(&self) -> Result<()> {
        migrations::migrate(&self.server.place)
    }

    fn repair(&self) -> Result<()> {
        migrations::repair(&self.server.place)
    }

    fn schema(&self) -> Result<(usize, usize)> {
        let version = migrations::version(&self.server.place)?;
        Ok((version.found, migrations::newest()))
    }

    fn check_schema(&self) -> Result<()> {
        migrations::version(&self.server.place)?.check()
    }

    /// Ignores `in_doubt`: the session itself has looked up a commit in doubt, and each transaction checks the
    /// schema.
    fn open_writer(&self, _: bool) -> Result<Box<dyn WriterSession>> {
        Ok(self.open(Purpose::Write)?)
    }

    fn open_reader(&self) -> Result<Box<dyn ReaderSession>> {
        Ok(self.open(Purpose::Read)?)
    }

    fn open_copy_reader(&self) -> Result<Box<dyn ReaderSession>> {
        Ok(self.open(Purpose::Copy)?)
    }

    fn open_copy_writer(&self) -> Result<Box<dyn WriterSession>> {
        Ok(self.open(Purpose::Copy)?)
    }

    /// Removes deleted rows from the tables; the server's log keeps them until it is recycled.
    fn erase_log(&self) -> Result<bool> {
        let mut wire = self.server.connect(Purpose::Migrate, None)?;
        let schema = self.server.place.quoted_schema();
        let tables = wire.simple(&format!(
            "SELECT quote_ident(relname) FROM pg_class
             WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'r'"
        ))?;
        for row in &tables.rows {
            if let Some(table) = super::rows::text_of(row, 0) {
                wire.simple(&format!("VACUUM {schema}.{table}"))?;
            }
        }
        Ok(true)
    }

    fn listen(&self) -> Result<Option<Box<dyn Listener>>> {
        if self.server.place.pooler {
            return Ok(None);
        }
        Ok(Some(Box::new(PostgresListener::open(&self.server)?)))
    }

    fn readers(&self) -> (usize, usize) {
        (self.server.place.readers, self.server.place.long_readers)
    }

    fn clock_offset(&self) -> i64 {
        self.server.clock.get()
    }

    fn duty_lease(&self) -> Option<Duration> {
        Some(DUTY_LEASE)
    }
}
