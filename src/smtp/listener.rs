//! Listeners: accept connections, within limits, until shutdown; then wait for those in progress.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::budget::Budget;
use super::connection_slots::ConnectionSlots;
use super::handler::MessageHandler;
use super::reply::Reply;
use super::session::{Session, Shared};
use super::settings::ServerSettings;
use crate::observe::events;

/// Pause after a failed accept, for example when there is no free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves all listeners until `shutdown`. From then on no connection is accepted and no transaction begins;
/// returns when those in progress are finished.
///
/// The settings are read for every new connection, the memory budget only here.
pub async fn serve<R: MessageHandler>(
    listeners: Vec<TcpListener>,
    settings: watch::Receiver<Arc<ServerSettings>>,
    handler: Arc<R>,
    shutdown: CancellationToken,
) {
    let budget = {
        let settings = settings.borrow();
        let header = usize::try_from(settings.max_header_size).unwrap_or(usize::MAX);
        let to_read = handler.memory(header) as u64;
        let largest = settings.max_message_size.saturating_add(to_read);
        Budget::new(settings.memory_budget, largest)
    };
    let acceptor = Arc::new(Acceptor {
        shared: Shared { handler, budget },
        settings,
        connection_slots: Arc::new(ConnectionSlots::new()),
        shutdown,
        tasks: TaskTracker::new(),
    });
    for listener in listeners {
        let accepting = Arc::clone(&acceptor).accept_all(listener);
        acceptor.tasks.spawn(accepting);
    }
    acceptor.tasks.close();
    acceptor.tasks.wait().await;
}

/// Answers each connection with `421` until `shutdown`: the server is not ready yet.
pub async fn reject_all(listener: TcpListener, shutdown: CancellationToken) {
    let accepting = async {
        loop {
            if let Some((stream, peer)) = accept(&listener).await {
                reject(stream, peer.ip().to_canonical(), &Reply::Starting);
            }
        }
    };
    shutdown.run_until_cancelled(accepting).await;
}

/// The next connection; None if accepting it failed.
async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) if is_of_one_connection(&error) => None,
        Err(error) => {
            events::fault("smtp.accept", &error);
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Accepts the connections of all listeners.
struct Acceptor<R> {
    shared: Shared<R>,
    settings: watch::Receiver<Arc<ServerSettings>>,
    connection_slots: Arc<ConnectionSlots>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl<R: MessageHandler> Acceptor<R> {
    /// Accepts connections of one listener until shutdown.
    async fn accept_all(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                accepted = accept(&listener) => accepted,
            };
            if let Some((stream, peer)) = accepted {
                self.serve_or_reject(stream, peer);
            }
        }
    }

    /// Serves a client, or refuses it with a greeting that gives the reason.
    fn serve_or_reject(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let peer = peer.ip().to_canonical();
        let settings = Arc::clone(&self.settings.borrow());
        if !settings.trusts(peer) {
            return reject(stream, peer, &Reply::Untrusted);
        }
        let Some(slot) = self.connection_slots.take(settings.max_connections, peer) else {
            return reject(stream, peer, &Reply::TooManyConnections);
        };
        events::smtp_connected(peer);
        // We buffer replies ourselves; written ones must be sent immediately.
        if let Err(error) = stream.set_nodelay(true) {
            return Reply::ConnectionEnd.log(peer, Some(&error.to_string()));
        }
        let acceptor = Arc::clone(self);
        self.tasks.spawn(async move {
            let session = Session {
                shared: &acceptor.shared,
                settings,
                peer,
                slot,
                leave: acceptor.shutdown.child_token(),
            };
            session.run(stream).await;
        });
    }
}

/// True if accepting failed for a single connection that was closed already.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Sends one line and closes. The line fits into the socket's buffer, so nothing waits for the client.
fn reject(stream: TcpStream, peer: IpAddr, reply: &Reply) {
    reply.log(peer, None);
    let mut line = Vec::new();
    reply.write_to(&mut line);
    // If the client has closed the connection, it needs no reason.
    let _ = stream
        .into_std()
        .and_then(|mut stream| stream.write_all(&line));
}
