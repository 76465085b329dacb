//! Notifications of commits by other nodes, over a connection of their own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Purpose;
use super::driver::Server;
use super::wire::ProtocolConnection;
use crate::store::Result;
use crate::store::engine::driver::Listener;
use crate::store::engine::notify::Wakeups;

/// Longest single wait.
const WAIT: Duration = Duration::from_secs(1);

/// Silence after which the connection is probed: a server that has vanished does not close it.
const SILENCE: Duration = Duration::from_secs(10);

/// Waits for the notifications that other openings send with their commits.
pub(super) struct PostgresListener {
    server: Arc<Server>,
    wire: ProtocolConnection,
    heard: Instant,
}

impl PostgresListener {
    pub(super) fn open(server: &Arc<Server>) -> Result<Self> {
        let mut wire = server.connect(Purpose::Listen(WAIT), None)?;
        wire.simple(&format!("LISTEN {}", server.channel()))?;
        Ok(Self {
            server: server.clone(),
            wire,
            heard: Instant::now(),
        })
    }
}

impl Listener for PostgresListener {
    fn wait(&mut self) -> Result<Wakeups> {
        if self.wire.wait_for_notification()? {
            self.heard = Instant::now();
        } else if self.heard.elapsed() > SILENCE {
            self.wire.simple("")?;
            self.heard = Instant::now();
        }
        let mut bits = 0;
        for notification in self.wire.take_notifications() {
            let (opening, topics) = notification.payload.split_once(' ').unwrap_or_default();
            // The workers of this process were woken by its own commit.
            if opening != self.server.opening {
                bits |= topics.parse().unwrap_or(u8::MAX);
            }
        }
        Ok(Wakeups::from_bits(bits))
    }
}
